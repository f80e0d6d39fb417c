"""Reading, writing and adding along one dimension, by a tensor of indices that has as many dimensions as the data.

`gather` and `scatter_add` are each other's adjoints. Indices never have a gradient.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad import engine
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.op import operation
from minigrad.ops.dims import as_dim
from minigrad.ops.index import add_at, getitem
from minigrad.ops.keys import check_range
from minigrad.ops.shape import broadcast_shapes, expand, reshape

METHODS = ["gather", "scatter", "scatter_add", "take_along_dim"]
__all__ = [*METHODS]


# ---------------------------------------------------------------- gather and scatter


def _places(xp: Any, shape: tuple, index: Any, dim: int) -> Any:
    """For each element of `index` the place it points to, in row-major order: its own, but with `index` along `dim`."""
    strides = [math.prod(shape[d + 1 :]) for d in range(len(shape))]
    places = index.astype(np.int64) * strides[dim]
    for d, n in enumerate(index.shape):
        if d != dim:
            along = (1,) * d + (n,) + (1,) * (len(shape) - d - 1)
            places = places + (xp.arange(n) * strides[d]).reshape(along)
    return places


@operation(
    name="gather",
    formula="y[i, j, k] = x[i, index[i, j, k], k] (dim = 1)",
    gradient_formula="gx[i, index[i, j, k], k] += gy[i, j, k]",
    source="PyTorch's documentation, torch.gather",
    samples=lambda draw: [
        draw.call(draw.normal(3, 4), draw.integers(0, 4, 3, 5), dim=1),
        draw.call(draw.normal(3, 4, 2), draw.integers(0, 3, 2, 3, 1), dim=0),
    ],
    dtypes="move",
    kept_for={"x": "index"},
    flops=0,
)
def _gather(xp, x, index, *, dim):
    within = tuple(slice(None) if d == dim else slice(n) for d, n in enumerate(index.shape))
    return xp.take_along_axis(x[within], index, axis=dim)


@_gather.gradient
def gather_gradient(xp, gy, index, x_shape, *, dim):
    return xp.scatter_add(xp.zeros(x_shape, dtype=gy.dtype), index, gy, dim=dim), None


@operation(
    name="scatter_add",
    formula="y = x; y[i, index[i, j, k], k] += src[i, j, k] (dim = 1)",
    gradient_formula="gx = gy, gsrc[i, j, k] = gy[i, index[i, j, k], k]",
    source="PyTorch's documentation, torch.scatter_add",
    samples=lambda draw: [
        draw.call(draw.normal(3, 4), draw.integers(0, 4, 3, 6), draw.normal(3, 6), dim=1),
        draw.call(draw.normal(3, 4, 2), draw.integers(0, 3, 2, 3, 1), draw.normal(2, 3, 1), dim=0),
    ],
    flops=lambda inputs, outputs, params: math.prod(inputs[1]),
)
def _scatter_add(xp, x, index, src, *, dim):
    return add_at(xp, x, _places(xp, x.shape, index, dim), src)


@_scatter_add.gradient
def scatter_add_gradient(xp, gy, index, needs, *, dim):
    return gy, None, xp.gather(gy, index, dim=dim) if needs[2] else None


@operation(
    name="scatter",
    formula="y = x; y[i, index[i, j, k], k] = src[i, j, k] (dim = 1)",
    gradient_formula="gx = gy, 0 where overwritten; gsrc[i, j, k] = gy[i, index[i, j, k], k]",
    source="PyTorch's documentation, torch.scatter",
    samples=lambda draw: [
        draw.call(draw.normal(3, 4), np.array([[0, 2], [3, 1], [1, 0]]), draw.normal(3, 2), dim=1),
        draw.call(draw.normal(3, 4), draw.integers(0, 3, 2, 4), 1.5, dim=0),
    ],
    flops=0,
)
def _scatter(xp, x, index, src, *, dim):
    y = xp.array(x, order="C")
    y.reshape(-1)[_places(xp, x.shape, index, dim)] = src
    return y


@_scatter.gradient
def scatter_gradient(xp, gy, index, needs, *, dim):
    gx = xp.scatter(gy, index, 0.0, dim=dim) if needs[0] else None
    return gx, None, xp.gather(gy, index, dim=dim) if needs[2] else None


def gather(x: Any, dim: int, index: Any) -> Any:
    """Elements of x picked along a dimension: y[i, j, k] = x[i, index[i, j, k], k] for dim = 1.

    x:     any dtype, n dimensions.
    dim:   the dimension that `index` points into.
    index: int32 or int64, n dimensions, in every one but `dim` no longer than x; values 0 to x.shape[dim] - 1.

    Returns a tensor of index's shape. Its gradient adds up where an element was picked more than once.
    Raises ShapeError, DtypeError or ArgumentError for an index of the wrong shape or dtype, or out of range.

    >>> import minigrad as mg
    >>> mg.gather(mg.tensor([[1, 2], [3, 4]]), 1, mg.tensor([[0, 0], [1, 0]]))
    tensor([[1, 1],
            [4, 3]])
    """
    dim = as_dim(dim, x.shape)
    _check_index("gather", x, dim, index)
    return like_before(_gather(as_line(x), as_line(index), dim=dim), index)


def scatter_add(x: Any, dim: int, index: Any, src: Any) -> Any:
    """A copy of x with values added along a dimension: y[i, index[i, j, k], k] += src[i, j, k] for dim = 1.

    index: as for `gather`.
    src:   of x's dtype, in no dimension shorter than index; what lies beyond index is not used.

    Duplicate indices add up. Raises ShapeError, DtypeError or ArgumentError for indices or a source that do not fit.

    >>> import minigrad as mg
    >>> mg.scatter_add(mg.zeros(3), 0, mg.tensor([0, 2, 0]), mg.tensor([1.0, 2.0, 4.0]))
    tensor([5., 0., 2.])
    """
    dim = as_dim(dim, x.shape)
    _check_index("scatter_add", x, dim, index)
    src = _used_part("scatter_add", x, index, src)
    return like_before(_scatter_add(as_line(x), as_line(index), src, dim=dim), x)


def scatter(
    x: Any, dim: int, index: Any, src: Any = None, *, value: float | None = None, reduce: str | None = None
) -> Any:
    """A copy of x with values written along a dimension: y[i, index[i, j, k], k] = src[i, j, k] for dim = 1.

    index:  as for `gather`.
    src:    a tensor of x's dtype, in no dimension shorter than index; or a number (which may be passed as `value` too).
    reduce: None, or "add" for what `scatter_add` does.
    Where an element is written more than once, which value stays is left open; so is then its gradient.

    >>> import minigrad as mg
    >>> mg.scatter(mg.zeros(2, 3), 1, mg.tensor([[2], [0]]), 1.0)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    if (src is None) == (value is None):
        raise ArgumentError("scatter takes either src or value")
    if reduce not in (None, "add"):
        raise ArgumentError(f"scatter: reduce must be None or 'add', not {reduce!r}")
    src = value if src is None else src
    dim = as_dim(dim, x.shape)
    _check_index("scatter", x, dim, index)
    if hasattr(src, "shape"):
        src = _used_part("scatter", x, index, src)
    elif reduce:
        src = expand(engine.Tensor(src, dtype=x.dtype, device=x.backend), as_line(index).shape)
    op = _scatter_add if reduce else _scatter
    return like_before(op(as_line(x), as_line(index), src, dim=dim), x)


def take_along_dim(x: Any, indices: Any, dim: int | None = None) -> Any:
    """Elements of x picked along a dimension as by `gather`, after x and indices are broadcast in all others.

    Negative indices count from the end. Without `dim`, x and indices are flattened. What argsort gives sorts x.

    >>> import minigrad as mg
    >>> mg.take_along_dim(mg.tensor([[3, 1, 2]]), mg.tensor([[1, 2, 0]]), dim=1)
    tensor([[1, 2, 3]])
    """
    if dim is None:
        x, indices, dim = reshape(x, -1), reshape(indices, -1), 0
    if x.ndim != indices.ndim or not x.ndim:
        raise ShapeError(
            f"take_along_dim: x and indices must have as many dimensions, got {list(x.shape)} and {list(indices.shape)}"
        )
    dim = as_dim(dim, x.shape)
    check_integer("take_along_dim", indices)
    check_range(indices, dim, x.shape, negative=True)
    others = broadcast_shapes(*(s[:dim] + (1,) + s[dim + 1 :] for s in (x.shape, indices.shape)))
    x, indices = (expand(t, others[:dim] + (t.shape[dim],) + others[dim + 1 :]) for t in (x, indices))
    wrapped = indices.array % max(x.shape[dim], 1)
    return _gather(x, engine.Tensor._wrap(wrapped, x.backend), dim=dim)


def as_line(x: Any) -> Any:
    """PyTorch treats a tensor without dimensions as a line of one element here."""
    return x if x.ndim else reshape(x, (1,))


def like_before(y: Any, x: Any) -> Any:
    """Undo `as_line` in a result that has the shape of x."""
    return y if x.ndim else reshape(y, ())


def check_integer(name: str, index: Any) -> None:
    """Refuse indices of any dtype but int64 and int32, as PyTorch does here."""
    if not hasattr(index, "dtype") or index.dtype.name not in ("int32", "int64"):
        raise DtypeError(
            f"{name}: index must be a tensor of int64 or int32, not {getattr(index, 'dtype', type(index).__name__)}"
        )


def _check_index(name: str, x: Any, dim: int, index: Any) -> None:
    check_integer(name, index)
    x, index = as_line(x), as_line(index)
    if x.ndim != index.ndim or any(
        m > n for d, (m, n) in enumerate(zip(index.shape, x.shape, strict=True)) if d != dim
    ):
        raise ShapeError(
            f"{name}: index of shape {list(index.shape)} must have the {x.ndim} dimensions of x, "
            f"of shape {list(x.shape)}, and in all but dimension {dim} not be longer"
        )
    check_range(index, dim, x.shape, negative=False)


def _used_part(name: str, x: Any, index: Any, src: Any) -> Any:
    """The part of src that has index's shape."""
    if src.dtype != x.dtype:
        raise DtypeError(f"{name}: x is {x.dtype}, src is {src.dtype}; convert one with .to(dtype)")
    src, index = as_line(src), as_line(index)
    if src.ndim != index.ndim or any(n < m for n, m in zip(src.shape, index.shape, strict=True)):
        raise ShapeError(
            f"{name}: src of shape {list(src.shape)} must not be shorter than index, of shape {list(index.shape)}"
        )
    return src if src.shape == index.shape else getitem(src, tuple(slice(n) for n in index.shape))
