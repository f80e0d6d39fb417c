"""x[key]: reading by ints, slices, None, Ellipsis, masks and arrays of integers, and the gradient of that.

A key is split in two, as PyTorch does it. What is *basic* (ints, slices, None, Ellipsis) selects a view: operation `getitem`. What is
*advanced* (masks, arrays of integers) gathers elements of that view into a new array: operation `index`. The arrays are inputs of the
operation and only the dimensions they point into are a parameter, so a recorded call can be replayed with other indices.

Each has an adjoint that is an operation too: `place` puts a gradient back where a view was taken, `index_put` adds it up where elements
were gathered, several times perhaps.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad import engine
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.op import operation

__all__ = ["getitem", "index_put"]
METHODS = ["index_put"]

_NUMPY = "NumPy user guide, Indexing on ndarrays"


# ---------------------------------------------------------------- basic: a view


@operation(
    name="getitem",
    formula="y = x[key]",
    gradient_formula="gx[key] = gy, elsewhere 0",
    source=_NUMPY + ", basic indexing",
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
    return xp.place(gy, shape=x_shape, key=key)


@operation(
    name="place",
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
def _place(xp, x, *, shape, key):
    y = xp.zeros(shape, dtype=x.dtype)
    y[key] = x
    return y


@_place.gradient
def place_gradient(xp, gy, *, key):
    return xp.getitem(gy, key=key)


# ---------------------------------------------------------------- advanced: elements gathered into a new array


def _index_samples(draw: Any) -> list:
    """One array, a mask, two arrays that broadcast (side by side, and apart), duplicates and negative indices among them."""
    return [
        draw.call(draw.normal(4, 3), draw.integers(-4, 4, 5), dims=(0,)),
        draw.call(draw.normal(3, 4), np.array([[True, False, True, True], [False] * 4, [True] * 4]), dims=(0,)),
        draw.call(draw.normal(2, 3, 4), draw.integers(0, 3, 2, 1), draw.integers(0, 4, 3), dims=(1, 2)),
        draw.call(draw.normal(2, 3, 4), draw.integers(0, 2, 2), np.array([True, False, True, False]), dims=(0, 2)),
    ]


@operation(
    name="index",
    formula="y[.., i, ..] = x[.., indices[i], ..]",
    gradient_formula="gx[.., indices[i], ..] += gy[.., i, ..]",
    source=_NUMPY + ", advanced indexing",
    samples=_index_samples,
    dtypes="move",
    kept_for={"x": "indices"},  # indices have no gradient, so x is never kept
    flops=0,
)
def _index(xp, x, *indices, dims):
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
        covered = dim + _width(index)
    return tuple(key)


def _width(index: Any) -> int:
    """How many dimensions an index array covers: a mask as many as it has, integers one."""
    return index.ndim if index.dtype == bool else 1


@operation(
    name="index_put",
    formula="y = x; y[indices] = values, or += values",
    gradient_formula="gx = gy, 0 where overwritten; gvalues = gy[indices]",
    source="adjoint of advanced indexing",
    samples=lambda draw: [
        draw.call(draw.normal(4, 3), draw.normal(2, 3), np.array([3, -3]), dims=(0,), accumulate=False),
        draw.call(draw.normal(4, 3), draw.normal(1), np.array([[True, False, True]] * 4), dims=(0,), accumulate=False),
        draw.call(draw.normal(4, 3), draw.normal(5, 3), draw.integers(-4, 4, 5), dims=(0,), accumulate=True),
        draw.call(draw.normal(2, 3, 4), draw.normal(3, 1), draw.integers(0, 2, 3), draw.integers(0, 4, 3), dims=(0, 2), accumulate=True),
    ],
    broadcast=True,
    kept_for={"x": "indices", "values": "indices"},
    flops=lambda inputs, outputs, params: int(np.prod(inputs[1])) if params["accumulate"] else 0,
)
def _index_put(xp, x, values, *indices, dims, accumulate):
    if accumulate:
        positions = _positions(xp, x.shape, indices, dims)
        return add_at(xp, x, positions, xp.broadcast_to(values, positions.shape))
    y = xp.array(x)
    y[_full_key(indices, dims)] = values
    return y


@_index_put.gradient
def index_put_gradient(xp, gy, indices, x_shape, needs, *, dims, accumulate):
    indices = indices[2:]
    gx = gy
    if not accumulate and needs[0]:
        gx = xp.index_put(gy, xp.zeros((), dtype=gy.dtype), *indices, dims=dims, accumulate=False)
    gvalues = xp.index(gy, *indices, dims=dims) if needs[1] else None
    return gx, gvalues, *[None] * len(indices)


def add_at(xp: Any, x: Any, positions: Any, values: Any) -> Any:
    """A copy of x with `values` added at `positions`, which count x's elements in row-major order; duplicates add up.

    In one dimension `ufunc.at` is as fast as a plain loop in C; in several it is ten times slower.
    """
    y = xp.array(x, order="C")
    xp.add.at(y.reshape(-1), positions.reshape(-1), values.reshape(-1))
    return y


def _positions(xp: Any, shape: tuple, indices: Sequence[Any], dims: Sequence[int]) -> Any:
    """For each element of x[indices], where it stands among the elements of x in row-major order.

    The dimensions of the broadcast indices take the place of the indexed ones where these lie side by side, else they come first.
    """
    pointers: list[tuple[int, Any]] = []  # a mask is as many index arrays as it has dimensions
    for index, dim in zip(indices, dims, strict=True):
        parts = xp.nonzero(index) if index.dtype == bool else (index,)
        pointers += [(dim + k, part) for k, part in enumerate(parts)]
    pointed = [dim for dim, _ in pointers]
    free = [dim for dim in range(len(shape)) if dim not in pointed]
    side_by_side = pointed == list(range(pointed[0], pointed[0] + len(pointed)))
    before = pointed[0] if side_by_side else 0  # free dimensions that come before the indices'
    ndim = max(part.ndim for _, part in pointers) + len(free)
    strides = [int(np.prod(shape[dim + 1 :])) for dim in range(len(shape))]

    def steps(index: Any, dim: int, behind: int) -> Any:
        """Index times stride, with `behind` dimensions of length 1 after its own."""
        return (index * strides[dim]).reshape(index.shape + (1,) * behind)

    positions = 0
    for dim, part in pointers:
        part = xp.where(part < 0, part + shape[dim], part).astype(np.int64)
        positions = positions + steps(part, dim, len(free) - before)
    for k, dim in enumerate(free):
        behind = ndim - 1 - k if k < before else len(free) - 1 - k
        positions = positions + steps(xp.arange(shape[dim]), dim, behind)
    return positions


# ---------------------------------------------------------------- what users write


def getitem(x: Any, key: Any) -> Any:
    """x[key], with NumPy's keys: ints, slices, None, Ellipsis, masks, arrays (or lists, or tensors) of integers, and tuples of these.

    Ints, slices, None and Ellipsis alone give a view; masks and arrays copy. Duplicate indices are allowed: their gradients add up.
    As in PyTorch, and other than in NumPy, an int beside arrays selects first, and steps must be positive (`mg.flip` reverses).

    Raises ArgumentError for an index out of range, a step below 1 or too many indices; ShapeError for a mask of another shape;
    DtypeError for a key that is no index.

    >>> import minigrad as mg
    >>> x = mg.tensor([[1, 2, 3], [4, 5, 6]])
    >>> x[0, 1:], x[:, [2, 0]], x[x > 3]
    (tensor([2, 3]), tensor([[3, 1], [6, 4]]), tensor([4, 5, 6]))
    """
    basic, indices, dims = _split_key(key, x.shape)
    if not indices or any(not _is_whole(item, n) for item, n in zip(basic, x.shape)) or len(basic) != len(x.shape):
        x = _getitem(x, key=basic)
    return _index(x, *indices, dims=dims) if indices else x


def index_put(x: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    """A copy of x with y[indices] = values, or += values (duplicates add up) if `accumulate`; values are broadcast.

    indices: a tuple of integer arrays or masks, for the first dimensions of x; None stands for a whole dimension.
    Where an element is overwritten more than once, which value stays is left open; so is then its gradient.
    """
    basic, arrays, dims = _split_key(tuple(slice(None) if i is None else i for i in indices), x.shape)
    if not arrays or any(not isinstance(item, slice) for item in basic):
        raise DtypeError("index_put takes a tuple of integer arrays or masks (at least one), and None; for ints and slices write x[key] = values")
    if not isinstance(values, engine.Tensor):
        values = engine.Tensor._wrap(x.backend.from_host(np.asarray(values, x.dtype)), x.backend)
    return _index_put(x, values, *arrays, dims=dims, accumulate=bool(accumulate))


def raw_index(key: Any) -> Any:
    """A user's key for a plain array: tensors in it become arrays."""
    if isinstance(key, tuple):
        return tuple(map(raw_index, key))
    return key.array if isinstance(key, engine.Tensor) else key


def _is_whole(item: Any, n: int) -> bool:
    return isinstance(item, slice) and item == slice(0, n, 1)


def _split_key(key: Any, shape: tuple) -> tuple[tuple, list, tuple]:
    """A key as (basic part, index arrays, the dimension of the basic part's result at which each array begins)."""
    items = [_as_item(item) for item in (key if isinstance(key, tuple) else (key,))]
    taken = sum(_takes(item) for item in items)
    if sum(item is Ellipsis for item in items) > 1:
        raise ArgumentError("a key may hold one ellipsis (...) only")
    if taken > len(shape):
        raise ArgumentError(f"too many indices: the key points into {taken} dimensions, the tensor of shape {list(shape)} has {len(shape)}")
    if Ellipsis not in [item for item in items if not hasattr(item, "dtype")]:
        items.append(Ellipsis)

    basic: list[Any] = []
    arrays: list[Any] = []
    dims: list[int] = []
    dim = at = 0  # dimension of x, dimension of the basic part's result
    for item in items:
        if item is None:
            basic.append(None)
            at += 1
        elif item is Ellipsis:
            rest = shape[dim : dim + len(shape) - taken]
            basic += [slice(0, n, 1) for n in rest]
            dim, at = dim + len(rest), at + len(rest)
        elif isinstance(item, bool):  # a dimension of length 1, and a mask over it
            basic.append(None)
            arrays.append(np.array([item]))
            dims.append(at)
            at += 1
        elif isinstance(item, int):
            if not -shape[dim] <= item < shape[dim]:
                raise ArgumentError(_out_of_range(item, shape[dim], dim, shape, True))
            basic.append(item)
            dim += 1
        elif isinstance(item, slice):
            basic.append(_as_slice(item, shape[dim]))
            dim, at = dim + 1, at + 1
        else:
            width = _takes(item)
            if item.dtype != bool:
                check_range(item, shape[dim], dim=dim, shape=shape, negative=True)
            elif item.shape != shape[dim : dim + width]:
                raise ShapeError(
                    f"a mask of shape {list(item.shape)} cannot index dimensions {dim} to {dim + width - 1} of a tensor of shape {list(shape)}"
                )
            basic += [slice(0, n, 1) for n in shape[dim : dim + width]]
            arrays.append(item)
            dims.append(at)
            dim, at = dim + width, at + width
    return tuple(basic), arrays, tuple(dims)


def _as_item(item: Any) -> Any:
    """One element of a key as None, Ellipsis, bool, int, slice, or an integer or bool array (or tensor) with dimensions."""
    if item is None or item is Ellipsis or isinstance(item, (bool, slice)):
        return item
    if isinstance(item, (list, range)):
        item = np.asarray(item if len(item) else np.zeros(0, np.int64))
    if isinstance(item, (engine.Tensor, np.ndarray, np.generic)):
        if item.dtype.kind not in "biu":
            raise DtypeError(f"an index must be integer or bool, not {item.dtype} of shape {list(item.shape)}")
        if item.ndim:
            return item
        return bool(item) if item.dtype == bool else int(item)
    try:
        return operator.index(item)
    except TypeError:
        raise DtypeError(
            f"a key is made of ints, slices, None, ..., masks and integer arrays, not of {type(item).__name__} {item!r:.80}"
        ) from None


def _takes(item: Any) -> int:
    """How many of the tensor's dimensions an element of a key uses up."""
    if item is None or item is Ellipsis or isinstance(item, bool):
        return 0
    return 1 if isinstance(item, (int, slice)) else _width(item)


def _as_slice(item: slice, n: int) -> slice:
    step = 1 if item.step is None else operator.index(item.step)
    if step < 1:
        raise ArgumentError(f"the step of a slice must be positive, not {step}; mg.flip(x, dims) reverses a dimension")
    return slice(*item.indices(n))


def check_range(index: Any, n: int, *, dim: int, shape: tuple, negative: bool) -> None:
    """Raise ArgumentError naming the first index that does not point into a dimension of length n."""
    array = index.array if isinstance(index, engine.Tensor) else index
    low = -n if negative else 0
    if array.size and (array.min() < low or array.max() >= n):
        offending = array.reshape(-1)[((array < low) | (array >= n)).reshape(-1)][0]
        raise ArgumentError(_out_of_range(int(offending), n, dim, shape, negative))


def _out_of_range(index: int, n: int, dim: int, shape: tuple, negative: bool) -> str:
    allowed = f"{-n if negative else 0} to {n - 1}" if n else "none, it is empty"
    return f"index {index} is out of range for dimension {dim} of a tensor of shape {list(shape)}; allowed: {allowed}"
