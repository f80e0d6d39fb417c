"""Elementwise updates in stretches that stay in the processor's cache, and the steps that several optimisers share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

# A dozen NumPy calls over a large array fetch it from memory a dozen times. Done stretch by stretch, with some
# six arrays of this size at hand, they find it in the second-level cache, and the temporaries never leave it.
BLOCK_BYTES = 1 << 16


def in_blocks(xp: Any, temporaries: int, gradient: Any, *written: Any) -> Iterator[tuple[Any, ...]]:
    """Corresponding stretches of arrays of equal shape, to update one after the other.

    xp:          the array namespace.
    temporaries: how many arrays to add to each tuple, of the dtype of the first of `written`, contents undefined.
    gradient:    only to be read: it may be a copy that is yielded.
    written:     one array or more, that are to be changed.

    Yields (gradient, *written, *temporaries): flat views at most BLOCK_BYTES long, until all has been covered; or once
    the arrays as they are, where flat views are not to be had or the device is not the processor.

    >>> g, w = np.ones(3), np.arange(3.0)
    >>> for g_block, w_block, t in in_blocks(np, 1, g, w):
    ...     t[...] = 10 * g_block
    ...     w_block -= t
    >>> w
    array([-10.,  -9.,  -8.])
    """
    first = written[0]
    if not all(isinstance(a, np.ndarray) and a.flags.c_contiguous for a in written):
        yield (gradient, *written, *(xp.empty_like(first) for _ in range(temporaries)))
        return
    flat = [a.reshape(-1) for a in (gradient, *written)]
    length = min(first.size, BLOCK_BYTES // first.itemsize)
    spare = [np.empty(length, first.dtype) for _ in range(temporaries)]
    if length == first.size:
        yield (*flat, *spare)
        return
    for start in range(0, first.size, length):
        blocks = [a[start : start + length] for a in flat]
        yield (*blocks, *(t[: blocks[0].size] for t in spare))


def descent(xp: Any, w: Any, g: Any, weight_decay: float, maximize: bool, out: Any) -> Any:
    """The gradient of what is to be minimised: g + weight_decay w, where `maximize` turns the sign of g.

    Written to `out`, unless it is g itself, which is never changed.
    """
    if weight_decay:
        xp.multiply(w, weight_decay, out=out)
        return xp.subtract(out, g, out=out) if maximize else xp.add(out, g, out=out)
    return xp.negative(g, out=out) if maximize else g


def average(xp: Any, mean: Any, values: Any, beta: float, t: Any) -> None:
    """In place mean = beta mean + (1 - beta) values, as a step of 1 - beta towards `values`; overwrites t."""
    xp.subtract(values, mean, out=t)
    t *= 1 - beta
    mean += t


def average_square(xp: Any, mean: Any, values: Any, beta: float, t: Any) -> None:
    """In place mean = beta mean + (1 - beta) values^2; overwrites t."""
    xp.multiply(values, values, out=t)
    t *= 1 - beta
    mean *= beta
    mean += t
