"""Memory that is used again: the arrays of a training step are those of the step before.

Fresh memory comes from the system page by page, each fetched and zeroed on first touch: for a large array that takes
longer than most operations on it. So large results are cut from blocks that are kept. A block is free when nothing
refers to it but this list, which Python's own reference count tells: every view of an array, however deep, and
whatever holds one (a tensor, a graph, `x.numpy()`, a DLPack capsule) holds a reference on the array that owns the
memory. So memory is used again only when nobody can see it.
"""

from __future__ import annotations

import math
import os
import threading
from functools import lru_cache
from sys import getrefcount
from typing import Any

import numpy as np

SMALLEST = 1 << 15  # bytes: below this, the allocator finds memory as quickly
_ALIGNMENT = 64  # bytes: a vector then never lies across two lines of the cache


def _references(blocks: list[np.ndarray], i: int) -> int:
    return getrefcount(blocks[i])


_FREE = _references([np.empty(1)], 0)  # what is counted for a block that only the list refers to


class _Blocks:
    """Blocks of one size, and for each where in it memory is aligned."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self.starts: list[int] = []
        self.last = 0  # the one that was handed out last: those behind it have been free for longest

    def free(self) -> int:
        """The number of a block that nobody refers to, or -1."""
        arrays, i = self.arrays, self.last
        for _ in range(len(arrays)):
            i = i + 1 if i + 1 < len(arrays) else 0
            if getrefcount(arrays[i]) == _FREE:  # as in `_references`: a call would take as long as the rest
                return i
        return -1


@lru_cache(maxsize=4096)
def _size(shape: tuple[int, ...], dtype: Any) -> tuple[int, np.dtype]:
    """Bytes of the block for an array, 0 if it is too small for one; and its dtype."""
    dtype = np.dtype(dtype)
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < SMALLEST:
        return 0, dtype
    # In steps of an eighth of a power of two: a last, smaller batch can use the memory of whole ones
    step = 1 << max(nbytes.bit_length() - 4, 12)
    return -(-nbytes // step) * step, dtype


class Memory:
    """Blocks of memory by size; `empty` hands them out, reference counts give them back."""

    def __init__(self) -> None:
        self._blocks: dict[int, _Blocks] = {}
        self._lock = threading.Lock()

    def empty(self, shape: Any, dtype: Any) -> np.ndarray:
        """An array of this shape and dtype with undefined contents, C-contiguous."""
        size, dtype = _size(tuple(shape), dtype)
        if not size:
            return np.empty(shape, dtype)
        with self._lock:
            blocks = self._blocks.get(size)
            if blocks is None:
                blocks = self._blocks[size] = _Blocks()
            i = blocks.free()
            if i < 0:
                i = len(blocks.arrays)
                blocks.arrays.append(np.empty(size + _ALIGNMENT, np.uint8))
                blocks.starts.append(-blocks.arrays[i].ctypes.data % _ALIGNMENT)
            blocks.last = i
            return np.ndarray(shape, dtype, blocks.arrays[i], blocks.starts[i])

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


def _after_fork() -> None:
    """A child's only thread holds no lock, whatever the parent's other threads were doing."""
    memory._lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
