"""What Python's and NumPy's values become when a tensor is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import dtypes, engine
from minigrad.errors import ArgumentError, DtypeError, ShapeError


def from_python(data: Any, dtype: Any = None) -> np.ndarray:
    """NumPy's arrays keep their dtype; Python floats become float32 (unless `dtype` asks for more), ints int64."""
    if isinstance(data, (np.ndarray, np.generic)):
        return np.asarray(data)
    if isinstance(data, (list, tuple)) and any(isinstance(d, engine.Tensor) for d in data):
        data = [d.numpy() if isinstance(d, engine.Tensor) else d for d in data]
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ShapeError(f"nested lists must be rectangular: {error}") from error
    if array.dtype == object and isinstance(data, int):
        raise ArgumentError(f"{data} lies outside the range of int64")
    if array.dtype == object or (array.dtype.kind not in "biuf" and array.dtype != dtypes.bfloat16):
        raise DtypeError(f"a tensor is made of numbers, not of {type(data).__name__} {data!r:.80}")
    if array.dtype == np.float64 and dtype is None and not _holds_numpy(data):
        array = array.astype(dtypes.DEFAULT_FLOAT)
    if dtype is not None and array.dtype.kind in "iu" and array.size and not _holds_numpy(data):
        _check_range(array, dtypes.as_dtype(dtype))
    return array


def _check_range(array: np.ndarray, dtype: np.dtype) -> None:
    """Refuse Python's integers that an integer dtype would wrap around."""
    if dtype.kind in "iu":
        info, low, high = np.iinfo(dtype), array.min(), array.max()
        if low < info.min or high > info.max:
            raise ArgumentError(f"{dtype} holds {info.min} to {info.max}; given were {low} to {high}")


def _holds_numpy(data: Any) -> bool:
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return isinstance(data, (np.ndarray, np.generic)) or hasattr(data, "__array__")
