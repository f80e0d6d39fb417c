"""Another shape for the same numbers: reshape, permute, expand and what is made of these three. Most results are views."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

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
    "moveaxis",
    "movedim",
    "narrow",
    "permute",
    "ravel",
    "reshape",
    "reshape_as",
    "select",
    "squeeze",
    "swapaxes",
    "swapdims",
    "t",
    "transpose",
    "unflatten",
    "unsqueeze",
    "view",
    "view_as",
]
__all__ = [*METHODS, "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_tensors"]


# ---------------------------------------------------------------- the four operations


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
    name="permute",
    formula="y[i_dims[0], i_dims[1], ..] = x[i_0, i_1, ..]",
    gradient_formula="gx = gy permuted back",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3, 4), dims=(2, 0, 1)),
        draw.call(draw.normal(2, 3), dims=(1, 0)),
        draw.call(draw.normal(), dims=()),
    ],
    dtypes="move",
    may_view=True,
    flops=0,
)
def _permute(xp, x, *, dims):
    return xp.transpose(x, dims)


@_permute.gradient
def permute_gradient(xp, gy, *, dims):
    return xp.transpose(gy, tuple(dims.index(i) for i in range(len(dims))))


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


def reshape(x: Any, *shape: Any) -> Any:
    """The same elements, in row-major order, in another shape; one length may be -1 and is worked out. A view where memory allows.

    shape: lengths, as x.reshape(2, 3) or x.reshape((2, 3)). Raises ShapeError if the number of elements would change.

    >>> import minigrad as mg
    >>> mg.reshape(mg.arange(6), (2, -1)).shape
    (2, 3)
    """
    lengths = as_ints(shape, "shape")
    if any(n < -1 for n in lengths) or lengths.count(-1) > 1:
        raise ShapeError(f"cannot reshape {list(x.shape)} to {list(lengths)}: lengths are 0 or more, and one may be -1")
    known, total = math.prod(n for n in lengths if n != -1), math.prod(x.shape)
    if -1 in lengths and known:
        lengths = tuple(total // known if n == -1 else n for n in lengths)
    if -1 in lengths or math.prod(lengths) != total:
        raise ShapeError(f"cannot reshape {list(x.shape)}, {total} elements, to {list(as_ints(shape, 'shape'))}")
    return _reshape(x, shape=lengths)


def view(x: Any, *shape: Any) -> Any:
    """The same as `reshape`.

    Shares memory where that is possible and copies where it is not: how a result lies in memory (a convolution's may have its channels
    innermost) is not the user's business here, so this never fails because of it.
    """
    if len(shape) == 1 and (isinstance(shape[0], type) or hasattr(shape[0], "itemsize") and not hasattr(shape[0], "ndim")):
        raise DtypeError("view does not reinterpret elements as another dtype; convert them with x.to(dtype)")
    return reshape(x, *shape)


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
        raise ArgumentError(f"flatten of shape {list(x.shape)}: start_dim {start_dim} comes after end_dim {end_dim}")
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
        raise ShapeError(f"cannot unflatten dimension {dim} of shape {list(x.shape)}, of length {n}, into {list(sizes)}")
    return _reshape(x, shape=(*x.shape[:dim], *sizes, *x.shape[dim + 1 :]))


def squeeze(x: Any, dim: int | Sequence[int] | None = None) -> Any:
    """Without dimensions of length 1: those among `dim` (an int or several), or all. A named dimension of another length stays.

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


def atleast_1d(x: Any) -> Any:
    """The tensor, of shape (1,) if it has no dimensions."""
    return x if x.ndim else _reshape(x, shape=(1,))


def atleast_2d(x: Any) -> Any:
    """The tensor, with leading dimensions of length 1 if it has fewer than two."""
    return x if x.ndim >= 2 else _reshape(x, shape=(1,) * (2 - x.ndim) + x.shape)


def atleast_3d(x: Any) -> Any:
    """The tensor, with dimensions of length 1 added if it has fewer than three: (n,) becomes (1, n, 1), (m, n) becomes (m, n, 1)."""
    return x if x.ndim >= 3 else _reshape(atleast_2d(x), shape=(*atleast_2d(x).shape, 1))


# ---------------------------------------------------------------- permute


def permute(x: Any, *dims: Any) -> Any:
    """The dimensions in another order; a view.

    dims: all dimensions of x, as x.permute(2, 0, 1) or x.permute((2, 0, 1)).

    >>> import minigrad as mg
    >>> mg.permute(mg.zeros(2, 3, 4), (2, 0, 1)).shape
    (4, 2, 3)
    """
    order = as_dims(dims, x.shape) if as_ints(dims, "dims") else ()
    if len(order) != x.ndim:
        raise ShapeError(f"permute needs all {x.ndim} dimensions of shape {list(x.shape)}, got {list(as_ints(dims, 'dims'))}")
    return _permute(x, dims=order)


def transpose(x: Any, dim0: int, dim1: int) -> Any:
    """Two dimensions swapped; a view."""
    a, b = as_dim(dim0, x.shape, name="dim0"), as_dim(dim1, x.shape, name="dim1")
    dims = list(range(x.ndim))
    if dims:
        dims[a], dims[b] = dims[b], dims[a]
    return _permute(x, dims=tuple(dims))


def swapdims(x: Any, dim0: int, dim1: int) -> Any:
    """The same as `transpose`."""
    return transpose(x, dim0, dim1)


def swapaxes(x: Any, axis0: int, axis1: int) -> Any:
    """The same as `transpose`, with NumPy's names."""
    return transpose(x, axis0, axis1)


def t(x: Any) -> Any:
    """A matrix transposed; a tensor of fewer dimensions as it is."""
    if x.ndim > 2:
        raise ShapeError(f"t takes at most 2 dimensions, not shape {list(x.shape)}; use transpose(dim0, dim1) or x.mT")
    return _permute(x, dims=tuple(reversed(range(x.ndim))))


def movedim(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """Dimensions `source` moved to positions `destination`; the others keep their order. A view.

    >>> import minigrad as mg
    >>> mg.movedim(mg.zeros(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    sources, targets = as_dims(source, x.shape, name="source"), as_dims(destination, x.shape, name="destination")
    if len(sources) != len(targets):
        raise ArgumentError(f"movedim: source {source} and destination {destination} differ in number")
    placed = dict(zip(targets, sources, strict=True))
    others = iter([d for d in range(x.ndim) if d not in sources])
    return _permute(x, dims=tuple(placed[d] if d in placed else next(others) for d in range(x.ndim)))


def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """The same as `movedim`."""
    return movedim(x, source, destination)


# ---------------------------------------------------------------- expand


def expand(x: Any, *sizes: Any) -> Any:
    """The tensor repeated along its dimensions of length 1, and along new leading ones, without a copy; -1 keeps a length.

    >>> import minigrad as mg
    >>> mg.expand(mg.zeros(3, 1), 2, -1, 4).shape
    (2, 3, 4)
    """
    lengths = as_ints(sizes, "sizes")
    lead = len(lengths) - x.ndim
    shape = tuple(x.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(lengths))
    if lead < 0 or any(n < 0 for n in shape) or any(m not in (1, n) for m, n in zip(x.shape, shape[lead:], strict=True)):
        raise ShapeError(
            f"cannot expand {list(x.shape)} to {list(lengths)}: only lengths of 1 grow, new dimensions come in front, -1 keeps a length"
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
        raise ShapeError(f"shapes {', '.join(str(list(s)) for s in shapes)} do not broadcast: aligned at the end, lengths must be equal or 1")
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
        raise ArgumentError(f"narrow: start {start} and length {length} do not lie within dimension {dim} of shape {list(x.shape)}")
    return getitem(x, (slice(None),) * dim + (slice(begin, begin + length),))


def select(x: Any, dim: int, index: int) -> Any:
    """One entry of a dimension, without that dimension; a view."""
    return getitem(x, (slice(None),) * as_dim(dim, x.shape) + (as_int(index, "index"),))
