"""What a user writes between the brackets of x[key], checked and brought into one form."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

from minigrad import engine
from minigrad.errors import ArgumentError, DtypeError, IndexRangeError, ShapeError


class SplitKey(NamedTuple):
    """A key in two parts, to be applied one after the other.

    basic:  for each dimension of x an int or a slice, all of whose numbers are given; None where one is put in.
    arrays: masks, and arrays (or tensors) of integers.
    dims:   for each of them the dimension of x[basic] at which it begins.
    """

    basic: tuple[Any, ...]
    arrays: tuple[Any, ...]
    dims: tuple[int, ...]


def split_key(key: Any, shape: tuple[int, ...]) -> SplitKey:
    """The parts of a key for a tensor of that shape."""
    items = [_as_item(item) for item in (key if isinstance(key, tuple) else (key,))]
    taken = sum(_takes(item) for item in items)
    if sum(item is Ellipsis for item in items) > 1:
        raise ArgumentError("a key may hold one ellipsis (...) only")
    if taken > len(shape):
        raise ArgumentError(
            f"too many indices: the key points into {taken} dimensions, the tensor of shape {list(shape)} "
            f"has {len(shape)}"
        )
    if not any(item is Ellipsis for item in items):
        items.append(Ellipsis)

    basic: list[Any] = []
    arrays: list[Any] = []
    dims: list[int] = []
    dim = 0  # of x, that the next item points into
    for item in items:
        width = len(shape) - taken if item is Ellipsis else _takes(item)
        lengths = shape[dim : dim + width]
        kept = sum(not isinstance(b, int) for b in basic)  # dimensions that x[basic] has so far
        if item is None:
            basic.append(None)
        elif isinstance(item, bool):  # a new dimension of length 1, and a mask over it
            basic.append(None)
            arrays.append(np.array([item]))
            dims.append(kept)
        elif isinstance(item, int):
            if not -lengths[0] <= item < lengths[0]:
                raise IndexRangeError(_out_of_range(item, dim, shape, negative=True))
            basic.append(item)
        elif isinstance(item, slice):
            basic.append(_as_slice(item, lengths[0]))
        else:
            basic += [slice(0, n, 1) for n in lengths]
            if item is not Ellipsis:
                _check_array(item, dim, shape)
                arrays.append(item)
                dims.append(kept)
        dim += width
    return SplitKey(tuple(basic), tuple(arrays), tuple(dims))


def width_of(index: Any) -> int:
    """How many dimensions an index array points into: a mask as many as it has, integers one."""
    return index.ndim if index.dtype == bool else 1


def is_whole(item: Any, n: int) -> bool:
    """Whether an element of a basic key leaves a dimension of length n as it is."""
    return isinstance(item, slice) and item == slice(0, n, 1)


def check_range(index: Any, dim: int, shape: tuple[int, ...], *, negative: bool) -> None:
    """Raise ArgumentError that names the first of the indices not to point into dimension `dim` of a shape."""
    array, n = index.array if isinstance(index, engine.Tensor) else index, shape[dim]
    low = -n if negative else 0
    if array.size and (array.min() < low or array.max() >= n):
        offending = array[(array < low) | (array >= n)].reshape(-1)[0]
        raise IndexRangeError(_out_of_range(int(offending), dim, shape, negative))


def _as_item(item: Any) -> Any:
    """One element of a key as None, Ellipsis, bool, int, slice, or an array (or tensor) of integers or bools."""
    if item is None or item is Ellipsis or isinstance(item, (bool, slice)):
        return item
    if isinstance(item, (list, range)):
        item = np.asarray(item) if len(item) else np.zeros(0, np.int64)
    if isinstance(item, (engine.Tensor, np.ndarray, np.generic)):
        if item.dtype.kind not in "biu":
            raise DtypeError(
                f"an index must be integer or bool, not {item.dtype} of shape {list(item.shape)}"
            )
        if item.ndim:
            return item
        return bool(item) if item.dtype == bool else int(item)
    try:
        return operator.index(item)
    except TypeError:
        raise DtypeError(
            f"a key is made of ints, slices, None, ..., masks and integer arrays, "
            f"not of {type(item).__name__} {item!r:.80}"
        ) from None


def _takes(item: Any) -> int:
    """How many of the tensor's dimensions an element of a key points into; an ellipsis takes what the others leave."""
    if item is None or item is Ellipsis or isinstance(item, bool):
        return 0
    return 1 if isinstance(item, (int, slice)) else width_of(item)


def _as_slice(item: slice, n: int) -> slice:
    step = 1 if item.step is None else operator.index(item.step)
    if step < 1:
        raise ArgumentError(
            f"the step of a slice must be positive, not {step}; mg.flip(x, dims) reverses a dimension"
        )
    return slice(*item.indices(n))


def _check_array(index: Any, dim: int, shape: tuple[int, ...]) -> None:
    if index.dtype != bool:
        check_range(index, dim, shape, negative=True)
    elif index.shape != shape[dim : dim + index.ndim]:
        raise ShapeError(
            f"a mask of shape {list(index.shape)}, beginning at dimension {dim}, "
            f"does not fit a tensor of shape {list(shape)}"
        )


def _out_of_range(index: int, dim: int, shape: tuple[int, ...], negative: bool) -> str:
    n = shape[dim]
    allowed = f"{-n if negative else 0} to {n - 1}" if n else "none, it is empty"
    return f"index {index} is out of range for dimension {dim} of a tensor of shape {list(shape)}; allowed: {allowed}"
