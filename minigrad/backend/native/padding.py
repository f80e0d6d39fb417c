"""Images with borders of zeros, one at a time, in memory that stays in the cache."""

from __future__ import annotations

import numpy as np

from minigrad.backend.native.compiling import inlined
from minigrad.backend.native.instructions import copy

_VECTOR_BYTES = 64


@inlined
def scratch(count):
    """`count` numbers of undefined value, the first at the beginning of a line of the cache."""
    memory = np.empty(count + _VECTOR_BYTES // 4, np.float32)
    first = (-memory.ctypes.data % _VECTOR_BYTES) // 4
    return memory[first : first + count]


@inlined
def zeros(count):
    """`count` zeros, aligned likewise."""
    memory = scratch(count)
    memory[:] = 0
    return memory


@inlined
def copy_padded(padded, start, rows, columns, x, x0, H, W, C, top, left, fresh):
    """padded[start + (i columns + j) C + c] = x[x0 + ((i - top) W + j - left) C + c], and 0 outside the image.

    top, left: zeros in front; negative ones cut the image off.
    fresh: whether the zeros are to be written. If not, they are there: from an image that lay in the same place.
    """
    first, last = min(max(left, 0), columns), max(min(left + W, columns), 0)  # columns that lie in the image
    last = max(first, last)
    if fresh:
        padded[start : start + rows * columns * C] = 0
    for i in range(max(top, 0), min(top + H, rows)):
        row = start + (i * columns + first) * C
        copy(padded, row, x, x0 + ((i - top) * W + first - left) * C, (last - first) * C)
