"""Sums on the CPU that stay accurate, and quick, along every axis.

NumPy adds pairwise along the innermost axis of memory only; along any other it adds one element after the other,
so that the rounding error grows with their number: for the sums over a batch that biases and batch norm need, to 30
times what it has to be. Here no such sum is longer than `LONGEST`: axes are summed one at a time, a longer one being
folded first. The outermost axis in memory goes first, whatever its index: the additions then run along memory, which
is several times quicker too.

Source: Higham 1993, "The accuracy of floating point summation", SIAM J. Sci. Comput. 14(4), section 2 (the error
bound grows with the longest chain of additions).
"""

from __future__ import annotations

from typing import Any

import numpy as np

LONGEST = 128
_SMALL = 4096  # elements: up to here, one call of NumPy is quicker than arranging anything


def sum(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The same as `np.sum`, with an error that hardly grows with the number of terms."""
    x = np.asarray(x)
    if x.size <= _SMALL or x.dtype.kind != "f" or (dtype is not None and dtype != x.dtype):
        return np.add.reduce(x, axis=axis, dtype=dtype, keepdims=keepdims)  # type: ignore[call-overload]
    axes = range(x.ndim) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, x.ndim)
    summed = [i in axes for i in range(x.ndim)]
    order = sorted((i for i in range(x.ndim) if x.shape[i] > 1), key=lambda i: -abs(x.strides[i]))
    y = x.transpose(order + [i for i in range(x.ndim) if x.shape[i] == 1]).reshape(
        [x.shape[i] for i in order]
    )
    doomed = [summed[i] for i in order]  # which axes of y are still to be summed, outermost in memory first
    if not any(doomed):  # all of length 1
        y = y.copy()
    while any(doomed[:-1]) and not (all(doomed) and y.flags.c_contiguous):
        y, finished = _shorten(y, doomed.index(True))
        if finished:
            doomed.remove(True)
    if any(doomed):  # the innermost axis, or all of a contiguous array: NumPy adds pairwise
        y = np.add.reduce(y, axis=None if all(doomed) else -1)
    rest = [i for i in order if not summed[i]]
    y = np.transpose(y, np.argsort(rest)) if rest else y
    return y.reshape([1 if summed[i] else n for i, n in enumerate(x.shape) if keepdims or not summed[i]])


def mean(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The same as `np.mean`, with the sum above."""
    x = np.asarray(x)
    if x.size == 0 or x.dtype.kind != "f":
        return np.mean(x, axis=axis, dtype=dtype, keepdims=keepdims)
    total = sum(x, axis, dtype, keepdims)
    return total / (x.size // total.size)


# The next three are NumPy's own, called as ufuncs: a warning about an overflow is then attributed to this
# module, where it is filtered (see minigrad/engine.py), and not to the one of NumPy's that `np.prod` would
# call them from.


def prod(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The same as `np.prod`."""
    return np.multiply.reduce(x, axis=axis, dtype=dtype, keepdims=keepdims)  # type: ignore[call-overload]


def cumsum(x: Any, axis: int, dtype: Any = None) -> Any:
    """The same as `np.cumsum`."""
    return np.add.accumulate(x, axis=axis, dtype=dtype)


def cumprod(x: Any, axis: int, dtype: Any = None) -> Any:
    """The same as `np.cumprod`."""
    return np.multiply.accumulate(x, axis=axis, dtype=dtype)


def _shorten(y: np.ndarray, axis: int) -> tuple[np.ndarray, bool]:
    """Sum over `axis` if it is short (then True), else fold it to about a `LONGEST`-th of its length."""
    length = y.shape[axis]
    if length <= LONGEST:
        return np.add.reduce(y, axis=axis), True
    rows = length // LONGEST
    whole, rest = np.split(y, [rows * LONGEST], axis)
    folded = np.add.reduce(whole.reshape(*y.shape[:axis], LONGEST, rows, *y.shape[axis + 1 :]), axis=axis)
    return np.concatenate([folded, rest], axis) if rest.shape[axis] else folded, False
