"""Data types, and the one rule by which operands of different types meet.

The rule is PyTorch's, not NumPy's: a tensor with dimensions outranks a 0-dimensional one, which outranks a Python
number, unless the weaker operand is of a higher category (bool < integer < floating point). Thus
float32 tensor * float64 scalar tensor is float32, and int64 tensor * 0.5 is float32.
Source: https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import ml_dtypes
import numpy as np

from minigrad.errors import DtypeError

bool_ = np.dtype(np.bool_)
uint8, int8 = np.dtype(np.uint8), np.dtype(np.int8)
int16, int32, int64 = np.dtype(np.int16), np.dtype(np.int32), np.dtype(np.int64)
float16, bfloat16 = np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)
float32, float64 = np.dtype(np.float32), np.dtype(np.float64)

FLOATING = frozenset({float16, bfloat16, float32, float64})
# Half-precision numbers are for storing, not for computing, on the CPU: the engine widens them to float32,
# computes, and rounds once. (NumPy's own float16 product runs at 0.3 GFLOP/s; bfloat16 sums 4,096 ones to 256.)
HALF = frozenset({float16, bfloat16})
DEFAULT_FLOAT = float32
DEFAULT_INT = int64

BY_NAME = {str(d): d for d in (bool_, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64)}
_CATEGORY = {d: 2 if d in FLOATING else 0 if d == bool_ else 1 for d in BY_NAME.values()}


def as_dtype(dtype: object) -> np.dtype:
    """The supported dtype that `dtype` (a name, a NumPy type, a Python type) stands for."""
    if dtype is float:
        return DEFAULT_FLOAT
    try:
        found = np.dtype(dtype)  # type: ignore[call-overload]
    except TypeError:
        found = BY_NAME.get(str(dtype))
    if found is not None:
        found = BY_NAME.get(str(found.newbyteorder("=")) if found.kind in "iuf" else str(found))
    if found is None:
        raise DtypeError(f"dtype {dtype!r} is not supported; choose one of {', '.join(BY_NAME)}")
    return found


def is_floating(dtype: np.dtype) -> bool:
    """Whether `dtype` is a floating-point type; only such tensors have gradients."""
    return dtype in FLOATING


@lru_cache(maxsize=1024)
def _promote_pair(a: np.dtype, b: np.dtype) -> np.dtype:
    category_a, category_b = _CATEGORY[a], _CATEGORY[b]
    if category_a == 2 or category_b == 2:
        if category_a != category_b:  # an integer never widens a floating-point type (NumPy would)
            return a if category_a == 2 else b
        return float32 if {a, b} == HALF else np.promote_types(a, b) if a != b else a
    return np.promote_types(a, b)


def promote_types(*dtypes: np.dtype) -> np.dtype:
    """The smallest dtype that all `dtypes` promote to, regardless of dimensions.

    >>> promote_types(int64, float32)
    dtype('float32')
    """
    result = dtypes[0]
    for dtype in dtypes[1:]:
        result = _promote_pair(result, dtype)
    return result


def result_type(operands: Iterable[object]) -> np.dtype:
    """The dtype of an operation's result. Operands are Python numbers or have `dtype` and `ndim`.

    >>> result_type([np.ones(3, np.float32), np.float64(2.0).reshape(())])
    dtype('float32')
    """
    dimensioned: np.dtype | None = None
    zero_dim: np.dtype | None = None
    number: np.dtype | None = None
    for x in operands:
        if isinstance(x, (bool, int, float)):
            d = bool_ if isinstance(x, bool) else DEFAULT_INT if isinstance(x, int) else DEFAULT_FLOAT
            number = d if number is None else _promote_pair(number, d)
        elif x.ndim:  # type: ignore[attr-defined]
            dimensioned = x.dtype if dimensioned is None else _promote_pair(dimensioned, x.dtype)  # type: ignore[attr-defined]
        else:
            zero_dim = x.dtype if zero_dim is None else _promote_pair(zero_dim, x.dtype)  # type: ignore[attr-defined]
    result = None
    for weaker in (dimensioned, zero_dim, number):
        if result is None or (weaker is not None and _CATEGORY[weaker] > _CATEGORY[result]):
            result = weaker if result is None else _promote_pair(result, weaker)
    if result is None:
        raise DtypeError("result_type needs at least one operand")
    return result
