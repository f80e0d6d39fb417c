"""Choosing between two arrays on the CPU without branching.

`np.where` takes a branch for each element, which on an unpredictable mask (the sign of an activation) costs
eight times what the memory does. Here the choice is made by bit masks: a True becomes a word of ones. The
result is the same to the bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_WORDS = {np.dtype(np.float32): np.int32, np.dtype(np.float64): np.int64}


def where(condition: Any, a: Any, b: Any) -> Any:
    """The same as `np.where`; quick where a, and b unless it is 0, are float arrays of one dtype."""
    word = _WORDS.get(getattr(a, "dtype", None))
    zero = type(b) in (int, float) and b == 0
    if (
        word is None
        or type(condition) is not np.ndarray
        or condition.dtype != np.bool_
        or not (a.ndim and condition.ndim)
    ):
        return np.where(condition, a, b)
    ones = np.negative(condition.view(np.int8))  # True: -1, all bits set, also once it is widened
    if zero:
        return np.bitwise_and(ones, a.view(word)).view(a.dtype)
    if type(b) is not np.ndarray or b.dtype != a.dtype:
        return np.where(condition, a, b)
    bits = b.view(word)
    return (bits ^ ((a.view(word) ^ bits) & ones)).view(a.dtype)
