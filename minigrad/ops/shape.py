"""Another shape for the same numbers: reshape, expand and what is made of them. Most results are views."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.op import operation
from minigrad.ops.dims import as_dim, as_dims, as_int, as_ints
from minigrad.ops.index import getitem

METHODS = [
    "broadcast_to",
    "contiguous",
    "expand",
    "expand_as",
    "flatten",
    "narrow",
    "ravel",
    "reshape",
    "reshape_as",
    "select",
    "squeeze",
    "unflatten",
    "unsqueeze",
    "view",
    "view_as",
]
__all__ = [*METHODS, "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_tensors"]


# ---------------------------------------------------------------- the operations


@operation(
    name="reshape",
    formula="y = x, elements in row-major order",
    gradient_formula="gx = gy in the shape of x",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.normal(2, 6), shape=(3, 4)),
        draw.call(draw.normal(2, 3, 2), shape=(6, 2)),
        draw.call(draw.normal(1), shape=()),
        draw.call(draw.normal(0, 3), shape=(2, 0)),
    ],
    dtypes="move",
    may_view=True,
    flops=0,
)
def _reshape(xp, x, *, shape):
    return xp.reshape(x, shape)


@_reshape.gradient
def reshape_gradient(xp, gy, x_shape):
    return gy.reshape(x_shape)


@operation(
    name="expand",
    formula="y[.., i, ..] = x[.., 0, ..] along dimensions of length 1",
    gradient_formula="gx = gy summed over the repeated dimensions",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.normal(2, 1), shape=(4, 2, 3)),
        draw.call(draw.normal(), shape=(2, 2)),
        draw.call(draw.normal(1, 3), shape=(0, 3)),
    ],
    dtypes="move",
    may_view=True,
    broadcast=True,
    flops=0,
)
def _expand(xp, x, *, shape):
    return xp.broadcast_to(x, shape)


@_expand.gradient
def expand_gradient(xp, gy):
    return gy  # the engine sums over what was broadcast


@operation(
    name="contiguous",
    formula="y = x, laid out in row-major order",
    gradient_formula="gx = gy",
    source="definition",
    samples=lambda draw: [draw.call(draw.normal(3, 2).T), draw.call(draw.normal(2, 3))],
    dtypes="move",
    may_view=True,
    flops=0,
)
def _contiguous(xp, x):
    return xp.asarray(x, order="C")


@_contiguous.gradient
def contiguous_gradient(xp, gy):
    return gy


# ---------------------------------------------------------------- reshape


def reshape(x: Any, shape: Any = (), *more: int) -> Any:
    """The same elements, in row-major order, in another shape. A view where memory allows, else a copy.

    shape: lengths, as x.reshape(2, 3) or x.reshape((2, 3)); one may be -1 and is worked out.

    Raises ShapeError if the number of elements would change.

    >>> import minigrad as mg
    >>> mg.reshape(mg.arange(6), (2, -1)).shape
    (2, 3)
    """
    given = lengths = as_ints((shape, *more), "shape")
    if any(n < -1 for n in lengths) or lengths.count(-1) > 1:
        raise ShapeError(
            f"cannot reshape {list(x.shape)} to {list(lengths)}: lengths are 0 or more, and one may be -1"
        )
    known, total = math.prod(n for n in lengths if n != -1), math.prod(x.shape)
    if -1 in lengths and known:
        lengths = tuple(total // known if n == -1 else n for n in lengths)
    if -1 in lengths or math.prod(lengths) != total:
        raise ShapeError(f"cannot reshape {list(x.shape)}, {total} elements, to {list(given)}")
    return _reshape(x, shape=lengths)


def view(x: Any, size: Any = (), *more: int) -> Any:
    """The same as `reshape`.

    Shares memory where that is possible and copies where it is not: how a result lies in memory (a convolution's may
    have its channels innermost) is not the user's business here, so this never fails because of it.
    """
    if isinstance(size, (np.dtype, type, str)):
        raise DtypeError("view does not reinterpret elements as another dtype; convert them with x.to(dtype)")
    return reshape(x, size, *more)


def reshape_as(x: Any, other: Any) -> Any:
    """The same elements in the shape of `other`."""
    return reshape(x, other.shape)


def view_as(x: Any, other: Any) -> Any:
    """The same elements in the shape of `other`."""
    return reshape(x, other.shape)


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The dimensions from start_dim to end_dim, both included, made one.

    >>> import minigrad as mg
    >>> mg.flatten(mg.zeros(8, 3, 4, 4), start_dim=1).shape
    (8, 48)
    """
    start, end = as_dim(start_dim, x.shape, name="start_dim"), as_dim(end_dim, x.shape, name="end_dim")
    if start > end:
        raise ArgumentError(
            f"flatten of shape {list(x.shape)}: start_dim {start_dim} comes after end_dim {end_dim}"
        )
    return _reshape(x, shape=(*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :]))


def ravel(x: Any) -> Any:
    """All elements in one dimension."""
    return flatten(x)


def unflatten(x: Any, dim: int, sizes: Sequence[int]) -> Any:
    """One dimension split into several of the given lengths, of which one may be -1.

    >>> import minigrad as mg
    >>> mg.unflatten(mg.zeros(8, 48), 1, (3, 4, -1)).shape
    (8, 3, 4, 4)
    """
    if not x.ndim:
        raise ShapeError("unflatten needs a tensor with dimensions")
    dim, sizes = as_dim(dim, x.shape), as_ints(sizes, "sizes")
    n, known = x.shape[dim], math.prod(s for s in sizes if s != -1)
    if sizes.count(-1) == 1 and known > 0:
        sizes = tuple(n // known if s == -1 else s for s in sizes)
    if not sizes or any(s < 0 for s in sizes) or math.prod(sizes) != n:
        raise ShapeError(
            f"cannot unflatten dimension {dim} of shape {list(x.shape)}, of length {n}, into {list(sizes)}"
        )
    return _reshape(x, shape=(*x.shape[:dim], *sizes, *x.shape[dim + 1 :]))


def squeeze(x: Any, dim: int | Sequence[int] | None = None) -> Any:
    """Without dimensions of length 1: all, or those among `dim`, an int or several. Other lengths stay as they are.

    >>> import minigrad as mg
    >>> x = mg.zeros(1, 3, 1)
    >>> x.squeeze().shape, x.squeeze(0).shape, x.squeeze((0, 1)).shape
    ((3,), (3, 1), (3, 1))
    """
    dims = range(x.ndim) if dim is None else as_dims(dim, x.shape, name="dim")
    return _reshape(x, shape=tuple(n for i, n in enumerate(x.shape) if n != 1 or i not in dims))


def unsqueeze(x: Any, dim: int) -> Any:
    """With a new dimension of length 1 at position `dim` of the result."""
    dim = as_dim(dim, x.shape, extra=1)
    return _reshape(x, shape=(*x.shape[:dim], 1, *x.shape[dim:]))


def atleast_1d(*tensors: Any) -> Any:
    """The tensor, of shape (1,) if it has no dimensions. Of several, a tuple."""
    return _each(tensors, lambda x: x if x.ndim else _reshape(x, shape=(1,)))


def atleast_2d(*tensors: Any) -> Any:
    """The tensor, with leading dimensions of length 1 if it has fewer than two. Of several, a tuple."""
    return _each(tensors, lambda x: x if x.ndim >= 2 else _reshape(x, shape=(1,) * (2 - x.ndim) + x.shape))


def atleast_3d(*tensors: Any) -> Any:
    """The tensor, as (1, n, 1) if its shape is (n,), as (m, n, 1) if it is (m, n). Of several, a tuple."""
    return _each(tensors, lambda x: x if x.ndim >= 3 else unsqueeze(atleast_2d(x), -1))


def _each(tensors: tuple, change: Callable[[Any], Any]) -> Any:
    if len(tensors) == 1 and not isinstance(tensors[0], (tuple, list)):
        return change(tensors[0])
    return tuple(map(change, tensors[0] if len(tensors) == 1 else tensors))


# ---------------------------------------------------------------- expand


def expand(x: Any, size: Any = (), *more: int) -> Any:
    """The tensor repeated along dimensions of length 1, and along new leading ones, without a copy.

    size: lengths of the result, as x.expand(2, 3) or x.expand((2, 3)); -1 keeps a length.

    >>> import minigrad as mg
    >>> mg.expand(mg.zeros(3, 1), 2, -1, 4).shape
    (2, 3, 4)
    """
    lengths = as_ints((size, *more), "size")
    lead = len(lengths) - x.ndim
    shape = tuple(x.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(lengths))
    if (
        lead < 0
        or any(n < 0 for n in shape)
        or any(m not in (1, n) for m, n in zip(x.shape, shape[lead:], strict=True))
    ):
        raise ShapeError(
            f"cannot expand {list(x.shape)} to {list(lengths)}: "
            "only lengths of 1 grow, new dimensions come in front, -1 keeps a length"
        )
    return _expand(x, shape=shape)


def expand_as(x: Any, other: Any) -> Any:
    """The tensor expanded to the shape of `other`."""
    return expand(x, other.shape)


def broadcast_to(x: Any, size: Sequence[int]) -> Any:
    """The tensor expanded to a shape."""
    return expand(x, size)


def broadcast_tensors(*tensors: Any) -> tuple:
    """All tensors expanded to the one shape they broadcast to."""
    shape = broadcast_shapes(*(x.shape for x in tensors))
    return tuple(x if x.shape == shape else _expand(x, shape=shape) for x in tensors)


def broadcast_shapes(*shapes: tuple) -> tuple:
    """The shape that tensors of these shapes have together: aligned at the end, lengths equal or 1."""
    ndim = max(map(len, shapes), default=0)
    padded = [(1,) * (ndim - len(s)) + tuple(s) for s in shapes]
    result = tuple(next((n for n in lengths if n != 1), 1) for lengths in zip(*padded, strict=True))
    if any(n not in (1, m) for s in padded for n, m in zip(s, result, strict=True)):
        raise ShapeError(
            f"shapes {', '.join(str(list(s)) for s in shapes)} do not broadcast: "
            "aligned at the end, lengths must be equal or 1"
        )
    return result


# ---------------------------------------------------------------- the rest


def contiguous(x: Any) -> Any:
    """The tensor laid out in row-major order: itself if it already is, else a copy."""
    return x if x.array.flags.c_contiguous else _contiguous(x)


def narrow(x: Any, dim: int, start: int, length: int) -> Any:
    """`length` entries of one dimension, from `start` on; a view."""
    dim, start, length = as_dim(dim, x.shape), as_int(start, "start"), as_int(length, "length")
    n = x.shape[dim] if x.ndim else 0
    begin = start + n if start < 0 else start
    if not x.ndim or length < 0 or not 0 <= begin <= n - length:
        raise ArgumentError(
            f"narrow: start {start} and length {length} do not lie within dimension {dim} of shape {list(x.shape)}"
        )
    return getitem(x, (slice(None),) * dim + (slice(begin, begin + length),))


def select(x: Any, dim: int, index: int) -> Any:
    """One entry of a dimension, without that dimension; a view."""
    return getitem(x, (slice(None),) * as_dim(dim, x.shape) + (as_int(index, "index"),))
