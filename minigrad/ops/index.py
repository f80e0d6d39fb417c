"""x[key]: reading by ints, slices, None, Ellipsis, masks and arrays of integers, and the gradient of that.

A key is applied in two steps, as PyTorch does it. What is *basic* (ints, slices, None, Ellipsis) selects a view:
operation `getitem`. What is *advanced* (masks, arrays of integers) gathers elements of that view into a new array:
operation `index`, whose arrays are inputs, so a recorded call can be replayed with others.

Each has an adjoint that is an operation too: `place_view` puts a gradient back where a view was taken, `index_put` adds
it up where elements were gathered, several times perhaps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad import engine
from minigrad.errors import DtypeError, ShapeError
from minigrad.op import operation
from minigrad.ops.keys import is_whole, split_key, width_of

METHODS = ["index_put"]
__all__ = [*METHODS, "getitem"]


# ---------------------------------------------------------------- basic: a view


@operation(
    name="getitem",
    formula="y = x[key]",
    gradient_formula="gx[key] = gy, elsewhere 0",
    source="NumPy user guide, Indexing on ndarrays, Basic indexing",
    samples=lambda draw: [
        draw.call(draw.normal(3, 4), key=(1, slice(0, 4, 1))),
        draw.call(draw.normal(5, 4), key=(slice(1, 5, 2), None, slice(0, 3, 1))),
        draw.call(draw.normal(2, 3, 2), key=(slice(0, 2, 1), 2, 0)),
        draw.call(draw.normal(3, 2), key=(slice(2, 2, 1), slice(0, 2, 1))),
    ],
    dtypes="move",
    may_view=True,
    flops=0,
)
def _getitem(xp, x, *, key):
    return x[key]


@_getitem.gradient
def getitem_gradient(xp, gy, x_shape, *, key):
    return xp.place_view(gy, shape=x_shape, key=key)


@operation(
    name="place_view",
    formula="y = 0; y[key] = x",
    gradient_formula="gx = gy[key]",
    source="adjoint of basic indexing",
    samples=lambda draw: [
        draw.call(draw.normal(4), shape=(3, 4), key=(1, slice(0, 4, 1))),
        draw.call(draw.normal(2, 1, 3), shape=(5, 4), key=(slice(1, 5, 2), None, slice(0, 3, 1))),
    ],
    dtypes="move",
    flops=0,
)
def _place_view(xp, x, *, shape, key):
    """Zeros of `shape` with x written at a basic key."""
    y = xp.zeros(shape, dtype=x.dtype)
    y[key] = x
    return y


@_place_view.gradient
def place_view_gradient(xp, gy, *, key):
    return xp.getitem(gy, key=key)


# ---------------------------------------------------------------- advanced: elements gathered into a new array


@operation(
    name="index",
    formula="y[.., i, ..] = x[.., indices[i], ..]",
    gradient_formula="gx[.., indices[i], ..] += gy[.., i, ..]",
    source="NumPy user guide, Indexing on ndarrays, Advanced indexing",
    samples=lambda draw: [
        draw.call(draw.normal(4, 3), draw.integers(-4, 4, 5), dims=(0,)),  # duplicates and negative indices
        draw.call(
            draw.normal(3, 4), np.array([[True, False, True, True], [False] * 4, [True] * 4]), dims=(0,)
        ),
        draw.call(draw.normal(2, 3, 4), draw.integers(0, 3, 2, 1), draw.integers(0, 4, 3), dims=(1, 2)),
        draw.call(
            draw.normal(2, 3, 4), draw.integers(0, 2, 2), np.array([True, False, True, False]), dims=(0, 2)
        ),
    ],
    dtypes="move",
    kept_for={"x": "indices"},  # indices have no gradient, so x is never kept
    flops=0,
)
def _index(xp, x, *indices, dims):
    """x[indices]: elements of x where masks or arrays of integers point, each array beginning at one of `dims`."""
    if len(indices) == 1 and indices[0].dtype != bool:
        return xp.take(x, indices[0], axis=dims[0])  # the same, and faster
    return x[_full_key(indices, dims)]


@_index.gradient
def index_gradient(xp, gy, indices, x_shape, *, dims):
    zeros = xp.zeros(x_shape[0], dtype=gy.dtype)
    gx = xp.index_put(zeros, gy, *indices[1:], dims=dims, accumulate=True)
    return gx, *[None] * (len(indices) - 1)


def _full_key(indices: Sequence[Any], dims: Sequence[int]) -> tuple:
    """The indices, each at the dimension where it begins, with ":" for the dimensions between."""
    key: list[Any] = []
    covered = 0
    for index, dim in zip(indices, dims, strict=True):
        key += [slice(None)] * (dim - covered) + [index]
        covered = dim + width_of(index)
    return tuple(key)


def _index_put_samples(draw: Any) -> list:
    mask = np.array([[True, False, True]] * 4)
    return [
        draw.call(draw.normal(4, 3), draw.normal(2, 3), np.array([3, -3]), dims=(0,), accumulate=False),
        draw.call(draw.normal(4, 3), draw.normal(1), mask, dims=(0,), accumulate=False),
        draw.call(draw.normal(4, 3), draw.normal(5, 3), draw.integers(-4, 4, 5), dims=(0,), accumulate=True),
        draw.call(
            *(draw.normal(2, 3, 4), draw.normal(3, 1)),
            *(draw.integers(0, 2, 3), draw.integers(0, 4, 3)),
            dims=(0, 2),
            accumulate=True,
        ),
    ]


@operation(
    name="index_put",
    formula="y = x; y[indices] = values, or += values",
    gradient_formula="gx = gy, 0 where overwritten; gvalues = gy[indices]",
    source="adjoint of advanced indexing",
    samples=_index_put_samples,
    broadcast=True,
    kept_for={"x": "indices", "values": "indices"},
    flops=lambda inputs, outputs, params: math.prod(inputs[1]) if params["accumulate"] else 0,
)
def _index_put(xp, x, values, *indices, dims, accumulate):
    if accumulate:
        positions = _positions(xp, x.shape, indices, dims)
        return add_at(xp, x, positions, xp.broadcast_to(values, positions.shape))
    y = xp.array(x)
    y[_full_key(indices, dims)] = values
    return y


@_index_put.gradient
def index_put_gradient(xp, gy, indices, needs, *, dims, accumulate):
    indices = indices[2:]
    gx = gy
    if not accumulate and needs[0]:
        gx = xp.index_put(gy, xp.zeros((), dtype=gy.dtype), *indices, dims=dims, accumulate=False)
    gvalues = xp.index(gy, *indices, dims=dims) if needs[1] else None
    return gx, gvalues, *[None] * len(indices)


def add_at(xp: Any, x: Any, positions: Any, values: Any) -> Any:
    """A copy of x with `values` added at `positions`, which count x's elements in row-major order; duplicates add up.

    In one dimension NumPy's `ufunc.at` has a fast path, which is three times as fast as what it does in several.
    """
    y = xp.array(x, order="C")
    xp.add.at(y.reshape(-1), positions.reshape(-1), values.reshape(-1))
    return y


def _positions(xp: Any, shape: tuple, indices: Sequence[Any], dims: Sequence[int]) -> Any:
    """For each element of x[indices], where it stands among the elements of x in row-major order.

    The dimensions of the broadcast indices stand where the indexed dimensions stood if these lie side by side, else
    they come first; the free dimensions, those that no index points into, keep their order.
    """
    parts: list[tuple[int, Any]] = []  # a mask is as many arrays of integers as it has dimensions
    for index, dim in zip(indices, dims, strict=True):
        arrays = xp.nonzero(index) if index.dtype == bool else (index,)
        parts += [(dim + k, array) for k, array in enumerate(arrays)]
    indexed = [dim for dim, _ in parts]
    free = [dim for dim in range(len(shape)) if dim not in indexed]
    side_by_side = indexed == list(range(indexed[0], indexed[0] + len(indexed)))
    before = indexed[0] if side_by_side else 0  # free dimensions in front of those of the indices
    ndim = max(array.ndim for _, array in parts)  # of the indices, broadcast

    positions = 0
    strides = [math.prod(shape[dim + 1 :]) for dim in range(len(shape))]
    for dim, array in parts:
        array = array.astype(np.int64)
        steps = xp.where(array < 0, array + shape[dim], array) * strides[dim]
        positions = positions + steps.reshape(array.shape + (1,) * (len(free) - before))
    for k, dim in enumerate(free):
        behind = len(free) - 1 - k + (ndim if k < before else 0)
        steps = xp.arange(shape[dim]) * strides[dim]
        positions = positions + steps.reshape(steps.shape + (1,) * behind)
    return positions


# ---------------------------------------------------------------- what users call


def getitem(x: Any, key: Any) -> Any:
    """x[key], with NumPy's keys: ints, slices, None, Ellipsis, masks, arrays of integers, and tuples of these.

    Ints, slices, None and Ellipsis alone give a view. Masks and arrays (lists and tensors count as such) copy; the
    gradients of an element gathered twice add up. As in PyTorch, and other than in NumPy, an int beside arrays selects
    first, and steps must be positive.

    Raises ArgumentError for an index out of range, a step below 1 or too many indices; ShapeError for a mask of another
    shape or arrays that do not broadcast; DtypeError for what is no index.

    Source: NumPy user guide, "Indexing on ndarrays".

    >>> import minigrad as mg
    >>> x = mg.tensor([[1, 2, 3], [4, 5, 6]])
    >>> x[0, 1:], x[:, [2, 0]], x[x > 3]
    (tensor([2, 3]), tensor([[3, 1],
            [6, 4]]), tensor([4, 5, 6]))
    """
    basic, indices, dims = split_key(key, x.shape)
    if not indices or len(basic) != len(x.shape) or not all(map(is_whole, basic, x.shape)):
        x = _getitem(x, key=basic)
    return _index(x, *indices, dims=dims) if indices else x


def index_put(x: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    """A copy of x with y[indices] = values, or += values (duplicates add up) if `accumulate`; values are broadcast.

    indices: a tuple of integer arrays or masks, for the first dimensions of x; None stands for a whole dimension.
    values:  a tensor of x's dtype, or a number.
    Where an element is overwritten more than once, which value stays is left open; so is then its gradient.

    >>> import minigrad as mg
    >>> mg.index_put(mg.zeros(3), (mg.tensor([0, 2, 0]),), mg.tensor([1.0, 2.0, 4.0]), accumulate=True)
    tensor([5., 0., 2.])
    """
    if not isinstance(indices, (tuple, list)) or not any(hasattr(i, "dtype") for i in indices):
        raise DtypeError(
            "index_put takes a tuple of integer arrays or masks, at least one, with None for whole dimensions"
        )
    lines = [
        i.reshape((1,)) if hasattr(i, "dtype") and not i.ndim else slice(None) if i is None else i
        for i in indices
    ]
    basic, arrays, dims = split_key(tuple(lines), x.shape)
    if not all(map(is_whole, basic, x.shape)):
        raise DtypeError(
            f"index_put takes arrays, masks and None, not {indices!r:.80}; for other keys write x[key] = values"
        )
    if not isinstance(values, engine.Tensor):
        values = engine.Tensor(np.asarray(values, x.dtype), device=x.backend)
    if values.dtype != x.dtype:
        raise DtypeError(f"index_put: x is {x.dtype}, values are {values.dtype}; convert one with .to(dtype)")
    return _index_put(x, values, *arrays, dims=dims, accumulate=bool(accumulate))


def assign(x: Any, key: Any, value: Any) -> None:
    """Write into the memory of x what x[key] would read; value is a number or a raw array, and is broadcast.

    For `Tensor.__setitem__`, which tells autograd. Where a key names an element twice, the last value stays.
    """
    basic, indices, dims = split_key(key, x.shape)
    target = x.array[(*basic, ...)]  # a view, even if it holds a single element
    arrays = [i.array if isinstance(i, engine.Tensor) else x.backend.from_host(i) for i in indices]
    try:
        target[_full_key(arrays, dims) or ...] = value
    except (ValueError, IndexError) as error:
        raise ShapeError(
            f"cannot write {engine.describe(value)} to x[key] for x of shape {list(x.shape)}: {error}"
        ) from error
