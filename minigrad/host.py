"""What Python's and NumPy's values become when a tensor is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import dtypes, engine
from minigrad.errors import DtypeError, ShapeError


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
    if array.dtype == object or array.dtype.kind not in "biuf":
        raise DtypeError(f"a tensor is made of numbers, not of {type(data).__name__} {data!r:.80}")
    if array.dtype == np.float64 and dtype is None and not _holds_numpy(data):
        array = array.astype(dtypes.DEFAULT_FLOAT)
    return array


def _holds_numpy(data: Any) -> bool:
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return isinstance(data, (np.ndarray, np.generic)) or hasattr(data, "__array__")
