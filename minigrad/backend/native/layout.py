"""How arrays lie in memory: kernels take flat ones, in which channels are innermost."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend.memory import empty

FLOAT = np.dtype(np.float32)


_LAST = {n: (0, *range(2, n), 1) for n in range(2, 8)}
_FIRST = {n: (0, n - 1, *range(1, n - 1)) for n in range(2, 8)}


def channels_last(x: np.ndarray) -> np.ndarray:
    """The view (N, ..., C) of (N, C, ...)."""
    return x.transpose(_LAST[x.ndim])


def channels_first(x: np.ndarray) -> np.ndarray:
    """The view (N, C, ...) of (N, ..., C)."""
    return x.transpose(_FIRST[x.ndim])


def flat_channels_last(x: Any) -> np.ndarray | None:
    """The numbers of (N, C, ...) in the order in which they lie, one dimension; None unless channels are innermost.

    None as well for anything but float32, and for arrays without elements.
    """
    if type(x) is not np.ndarray or x.dtype != FLOAT or x.ndim not in _LAST or not x.size:
        return None
    seen = channels_last(x)
    return seen.reshape(-1) if seen.flags.c_contiguous else None


def flat_like(x: np.ndarray) -> np.ndarray:
    """The numbers of an array (N, C, ...) with channels innermost: a flat view, or a copy where it lies otherwise."""
    seen = channels_last(x)
    if seen.flags.c_contiguous:
        return seen.reshape(-1)
    copy = empty(seen.shape, x.dtype)
    copy[...] = seen
    return copy.reshape(-1)


def empty_like(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Memory for a result that lies like x, channels innermost: as (N, C, ...), and flat."""
    flat = empty((x.size,), x.dtype)
    return channels_first(flat.reshape(channels_last(x).shape)), flat
