"""The same numbers with their dimensions in another order. All results are views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import operation
from minigrad.ops.dims import as_dim, as_dims

METHODS = ["moveaxis", "movedim", "permute", "swapaxes", "swapdims", "t", "transpose"]
__all__ = [*METHODS]


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


def permute(x: Any, dims: Any = (), *more: int) -> Any:
    """The dimensions in another order; a view.

    dims: all dimensions of x, as x.permute(2, 0, 1) or x.permute((2, 0, 1)).

    >>> import minigrad as mg
    >>> mg.permute(mg.zeros(2, 3, 4), (2, 0, 1)).shape
    (4, 2, 3)
    """
    order = as_dims((dims, *more), x.shape)
    if len(order) != x.ndim:
        raise ShapeError(f"permute needs all {x.ndim} dimensions of shape {list(x.shape)}, got {list(order)}")
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
        raise ShapeError(
            f"t takes at most 2 dimensions, not shape {list(x.shape)}; use transpose(dim0, dim1) or x.mT"
        )
    return _permute(x, dims=tuple(reversed(range(x.ndim))))


def movedim(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """Dimensions `source` moved to positions `destination`; the others keep their order. A view.

    >>> import minigrad as mg
    >>> mg.movedim(mg.zeros(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    sources, targets = (
        as_dims(source, x.shape, name="source"),
        as_dims(destination, x.shape, name="destination"),
    )
    if len(sources) != len(targets):
        raise ArgumentError(f"movedim: source {source} and destination {destination} differ in number")
    placed = dict(zip(targets, sources, strict=True))
    others = iter([d for d in range(x.ndim) if d not in sources])
    return _permute(x, dims=tuple(placed[d] if d in placed else next(others) for d in range(x.ndim)))


def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """The same as `movedim`."""
    return movedim(x, source, destination)
