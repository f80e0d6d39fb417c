"""The same numbers in other places, or several times: flipped, rolled, repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import operation
from minigrad.ops.dims import as_dim, as_dims, as_int, as_ints
from minigrad.ops.lookup import index_select
from minigrad.ops.shape import reshape

METHODS = ["flip", "repeat", "repeat_interleave", "roll", "tile"]
__all__ = [*METHODS]


# ---------------------------------------------------------------- flip and roll


@operation(
    name="flip",
    formula="y[.., i, ..] = x[.., n - 1 - i, ..]",
    gradient_formula="gx = gy flipped",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3), dims=(0,)),
        draw.call(draw.normal(2, 3, 2), dims=(0, 2)),
    ],
    dtypes="move",
    flops=0,
)
def _flip(xp, x, *, dims):
    return xp.array(xp.flip(x, axis=dims))  # a copy: no kernel need know negative strides


@_flip.gradient
def flip_gradient(xp, gy, *, dims):
    return xp.flip(gy, axis=dims)


@operation(
    name="roll",
    formula="y[.., (i + shift) mod n, ..] = x[.., i, ..]",
    gradient_formula="gx = gy rolled back",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3), shifts=(1,), dims=(1,)),
        draw.call(draw.normal(3, 4), shifts=(-2, 5), dims=(0, 1)),
    ],
    dtypes="move",
    flops=0,
)
def _roll(xp, x, *, shifts, dims):
    return xp.roll(x, shifts, axis=dims)


@_roll.gradient
def roll_gradient(xp, gy, *, shifts, dims):
    return xp.roll(gy, tuple(-s for s in shifts), axis=dims)


def flip(x: Any, dims: Any, *more: int) -> Any:
    """A copy with the order along each of `dims` reversed.

    >>> import minigrad as mg
    >>> mg.flip(mg.tensor([1, 2, 3]), (0,))
    tensor([3, 2, 1])
    """
    return _flip(x, dims=as_dims((dims, *more), x.shape))


def roll(x: Any, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Any:
    """A copy with entries moved on by `shifts` along `dims`; what leaves at the end comes in at the front.

    Without dims, the flattened tensor is rolled, and the shape restored.

    >>> import minigrad as mg
    >>> mg.roll(mg.tensor([[1, 2, 3], [4, 5, 6]]), 1, dims=1)
    tensor([[3, 1, 2],
            [6, 4, 5]])
    """
    amounts = as_ints(shifts, "shifts")
    along = () if dims is None else tuple(as_dim(d, x.shape) for d in as_ints(dims, "dims"))
    if not along and len(amounts) == 1:
        return reshape(_roll(reshape(x, -1), shifts=amounts, dims=(0,)), x.shape)
    if len(along) != len(amounts) or not amounts or not x.ndim:
        raise ArgumentError(
            f"roll of shape {list(x.shape)}: shifts {shifts} and dims {dims} must be as many, at least one"
        )
    return _roll(x, shifts=amounts, dims=along)


# ---------------------------------------------------------------- repetition


@operation(
    name="repeat",
    formula="y[i + n k] = x[i] along each dimension, k = 0 .. sizes - 1",
    gradient_formula="gx[i] = sum_k gy[i + n k]",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3), sizes=(2, 1, 3)),
        draw.call(draw.normal(3), sizes=(2,)),
        draw.call(draw.normal(2, 2), sizes=(0, 2)),
    ],
    dtypes="move",
    flops=0,
)
def _repeat(xp, x, *, sizes):
    return xp.tile(x, sizes)


@_repeat.gradient
def repeat_gradient(xp, gy, x_shape, *, sizes):
    lengths = (1,) * (len(sizes) - len(x_shape)) + x_shape
    pairs = [n for pair in zip(sizes, lengths, strict=True) for n in pair]  # (sizes_0, n_0, sizes_1, n_1, ..)
    return xp.sum(gy.reshape(tuple(pairs)), axis=tuple(range(0, len(pairs), 2))).reshape(x_shape)


@operation(
    name="repeat_interleave",
    formula="y[i repeats + k] = x[i], k = 0 .. repeats - 1",
    gradient_formula="gx[i] = sum_k gy[i repeats + k]",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3), repeats=2, dim=1),
        draw.call(draw.normal(3, 2), repeats=3, dim=0),
    ],
    dtypes="move",
    flops=0,
)
def _repeat_interleave(xp, x, *, repeats, dim):
    return xp.repeat(x, repeats, axis=dim)


@_repeat_interleave.gradient
def repeat_interleave_gradient(xp, gy, x_shape, *, repeats, dim):
    return xp.sum(gy.reshape((*x_shape[: dim + 1], repeats, *x_shape[dim + 1 :])), axis=dim + 1)


def repeat(x: Any, repeats: Any, *more: int) -> Any:
    """The whole tensor repeated along each dimension, new leading ones included (as `np.tile`; `expand` needs no copy).

    repeats: one number per dimension of the result, as x.repeat(2, 3) or x.repeat((2, 3)).

    >>> import minigrad as mg
    >>> mg.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    sizes = as_ints((repeats, *more), "repeats")
    if len(sizes) < x.ndim or any(n < 0 for n in sizes):
        raise ShapeError(
            f"repeat of shape {list(x.shape)} needs {x.ndim} or more numbers, none negative, not {list(sizes)}"
        )
    return _repeat(x, sizes=sizes)


def tile(x: Any, dims: Any, *more: int) -> Any:
    """The same as `x.repeat`, but fewer numbers than dimensions are allowed: they then belong to the last ones."""
    sizes = as_ints((dims, *more), "dims")
    return repeat(x, (1,) * (x.ndim - len(sizes)) + sizes)


def repeat_interleave(x: Any, repeats: Any, dim: int | None = None) -> Any:
    """Each entry of a dimension repeated in place: as often as `repeats` says, an int or one count per entry.

    Without dim, the flattened tensor is taken.

    >>> import minigrad as mg
    >>> mg.repeat_interleave(mg.tensor([1, 2]), 2), mg.repeat_interleave(mg.tensor([1, 2]), mg.tensor([1, 3]))
    (tensor([1, 1, 2, 2]), tensor([1, 2, 2, 2]))
    """
    if dim is None:
        x, dim = reshape(x, -1), 0
    dim = as_dim(dim, x.shape)
    if not getattr(repeats, "ndim", 0):
        times = as_int(repeats, "repeats")
        if times < 0:
            raise ArgumentError(f"repeat_interleave: repeats must not be negative, got {times}")
        return _repeat_interleave(x, repeats=times, dim=dim)
    counts = np.asarray(repeats.tolist())
    if (
        counts.dtype.kind not in "iu"
        or counts.shape not in ((1,), (x.shape[dim],))
        or counts.min(initial=0) < 0
    ):
        raise ArgumentError(
            f"repeat_interleave: repeats must be {x.shape[dim]} counts, one per entry of dimension {dim} of shape "
            f"{list(x.shape)}, not {repeats.dtype}{list(repeats.shape)} with the values {repeats.tolist()!r:.80}"
        )
    return index_select(x, dim, x.backend.from_host(np.repeat(np.arange(x.shape[dim]), counts)))
