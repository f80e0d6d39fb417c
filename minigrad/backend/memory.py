"""Memory that is used again: the arrays of a training step are those of the step before.

Fresh memory comes from the system page by page, each fetched and zeroed on first touch: for a large array that takes
longer than most operations on it. So large results are cut from blocks that are kept. A block is free when nothing
refers to it but this list, which Python's own reference count tells: every view of an array, however deep, and
whatever holds one (a tensor, a graph, `x.numpy()`, a DLPack capsule) holds a reference on the array that owns the
memory. So memory is used again only when nobody can see it.
"""

from __future__ import annotations

import math
import sys
import threading
from typing import Any

import numpy as np

SMALLEST = 1 << 15  # bytes: below this, the allocator finds memory as quickly
_ALIGNMENT = 64  # bytes: a vector then never lies across two lines of the cache


def _references(blocks: list[np.ndarray], i: int) -> int:
    return sys.getrefcount(blocks[i])


_FREE = _references([np.empty(1)], 0)  # what is counted for a block that only the list refers to


class _Blocks:
    """Blocks of one size, and for each where in it memory is aligned."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self.starts: list[int] = []
        self.last = 0  # the one that was handed out last: those behind it have been free for longest

    def free(self) -> int:
        """The number of a block that nobody refers to, or -1."""
        arrays = self.arrays
        for i in (*range(self.last + 1, len(arrays)), *range(min(self.last + 1, len(arrays)))):
            if _references(arrays, i) == _FREE:
                return i
        return -1


class Memory:
    """Blocks of memory by size; `empty` hands them out, reference counts give them back."""

    def __init__(self) -> None:
        self._blocks: dict[int, _Blocks] = {}
        self._lock = threading.Lock()

    def empty(self, shape: Any, dtype: Any) -> np.ndarray:
        """An array of this shape and dtype with undefined contents, C-contiguous."""
        dtype = np.dtype(dtype)
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes < SMALLEST:
            return np.empty(shape, dtype)
        # Sizes in steps of an eighth of a power of two: a last, smaller batch can use the memory of whole ones
        step = 1 << max(nbytes.bit_length() - 4, 12)
        size = -(-nbytes // step) * step
        with self._lock:
            blocks = self._blocks.get(size)
            if blocks is None:
                blocks = self._blocks[size] = _Blocks()
            i = blocks.free()
            if i < 0:
                i = len(blocks.arrays)
                blocks.arrays.append(np.empty(size + _ALIGNMENT, np.uint8))
                blocks.starts.append(-blocks.arrays[i].ctypes.data % _ALIGNMENT)
            blocks.last, start = i, blocks.starts[i]
            return blocks.arrays[i][start : start + nbytes].view(dtype).reshape(shape)

    def release(self) -> int:
        """Give the free blocks back to the system; returns their bytes."""
        freed = 0
        with self._lock:
            for size, blocks in self._blocks.items():
                for i in reversed(range(len(blocks.arrays))):
                    if _references(blocks.arrays, i) == _FREE:
                        del blocks.arrays[i], blocks.starts[i]
                        freed += size
                blocks.last = 0
        return freed

    def statistics(self) -> dict[str, int]:
        """Bytes that are held, and those of them that are in use."""
        held = used = 0
        with self._lock:
            for size, blocks in self._blocks.items():
                arrays = blocks.arrays
                held += size * len(arrays)
                used += sum(size for i in range(len(arrays)) if _references(arrays, i) > _FREE)
        return {"held": held, "used": used}


memory = Memory()
empty = memory.empty
