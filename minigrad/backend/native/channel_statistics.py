"""Mean and variance of each channel, channels innermost: one pass over memory, accurate whatever the mean.

The rows are cut into blocks that fit into the processor's second-level cache. Of each block, first the means are
taken, then the sums of squared deviations from *them*: the second look finds the block in the cache, and costs
arithmetic only. Blocks are combined in float64, in their order. So neither a large mean nor many rows cost
digits, and the result does not depend on which thread did what.

    var = sum over blocks of [ M_b + n_b (mean_b - mean)^2 ] / sum of n_b,   M_b = sum over block b of (x - mean_b)^2

A kernel that has just written some rows calls `gather` on them itself, while they are in its cache.

Source: Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance", equation 2.1.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.backend.native.compiling import inlined, kernel
from minigrad.backend.native.instructions import next_block
from minigrad.backend.native.team import team

_BLOCK = 1 << 15  # numbers in a block: 128 KiB
_FEWEST = 32  # rows in a block, so that sums over blocks stay small beside the blocks
_WIDE = 512  # numbers that the inner loops run over, at least: several rows at once if there are few channels


@lru_cache
def rows_in_block(channels: int) -> int:
    """How many rows to a block, by the number of channels: a whole number of wide rows (see `wide`)."""
    together = wide.py_func(channels)  # as Python: nothing to compile
    return max(_BLOCK // (channels * together), 1) * together if channels * _FEWEST < _BLOCK else _FEWEST


@inlined
def wide(channels):
    """How many rows of so few channels to treat as one, so that loops over it are long enough to be quick."""
    return max(1, (_WIDE + channels - 1) // channels)


@inlined
def sum_rows(x, x0, rows, pitch, width, tail, total):
    """total[j] = sum over rows of x[x0 + row pitch + j] for j < width; one row more for j < tail.

    Eight rows are added to each other before they are added to the total, which saves writing it, and rounding.
    """
    total[:width] = 0
    row = 0
    while row + 8 <= rows:
        o = x0 + row * pitch
        a, b = x[o : o + width], x[o + pitch : o + pitch + width]
        c, d = x[o + 2 * pitch : o + 2 * pitch + width], x[o + 3 * pitch : o + 3 * pitch + width]
        e, f = x[o + 4 * pitch : o + 4 * pitch + width], x[o + 5 * pitch : o + 5 * pitch + width]
        g, h = x[o + 6 * pitch : o + 6 * pitch + width], x[o + 7 * pitch : o + 7 * pitch + width]
        for j in range(width):
            total[j] += ((a[j] + b[j]) + (c[j] + d[j])) + ((e[j] + f[j]) + (g[j] + h[j]))
        row += 8
    while row <= rows:
        n = width if row < rows else tail
        o = x0 + row * pitch
        a = x[o : o + n]
        for j in range(n):
            total[j] += a[j]
        row += 1


@inlined
def sum_deviations(x, x0, rows, pitch, width, tail, centre, total, squares):
    """total[j] = sum of x - centre[j], squares[j] = sum of (x - centre[j])^2, over rows as in `sum_rows`."""
    total[:width] = 0
    squares[:width] = 0
    row = 0
    while row + 4 <= rows:
        o = x0 + row * pitch
        a, b = x[o : o + width], x[o + pitch : o + pitch + width]
        c, d = x[o + 2 * pitch : o + 2 * pitch + width], x[o + 3 * pitch : o + 3 * pitch + width]
        for j in range(width):
            p, q, r, s = a[j] - centre[j], b[j] - centre[j], c[j] - centre[j], d[j] - centre[j]
            total[j] += (p + q) + (r + s)
            squares[j] += (p * p + q * q) + (r * r + s * s)
        row += 4
    while row <= rows:
        n = width if row < rows else tail
        o = x0 + row * pitch
        a = x[o : o + n]
        for j in range(n):
            p = a[j] - centre[j]
            total[j] += p
            squares[j] += p * p
        row += 1


@inlined
def gather(x, x0, rows, pitch, channels, partials, mean0, squares0, scratch):
    """Of one block of rows, the mean of each channel and the sum of squared deviations from it.

        partials[mean0 + c]    = mean over row < rows of x[x0 + row pitch + c],      c < channels
        partials[squares0 + c] = sum of (x[x0 + row pitch + c] - that mean)^2

    x: flat float32; partials: flat float64; rows >= 1; pitch >= channels counts the numbers from one row to the next.
    scratch: flat float32, at least 3 `scratch_width(channels)` long, to be overwritten.
    """
    together = wide(channels) if pitch == channels else 1
    width, tall, tail = channels * together, rows // together, rows % together * channels
    stride = pitch * together
    centre, total, squares = scratch[:width], scratch[width : 2 * width], scratch[2 * width : 3 * width]
    sum_rows(x, x0, tall, stride, width, tail, total)
    for c in range(channels):
        whole = 0.0
        for i in range(together):
            whole += total[i * channels + c]
        mean = np.float32(whole / rows)
        for i in range(together):
            centre[i * channels + c] = mean
    sum_deviations(x, x0, tall, stride, width, tail, centre, total, squares)
    for c in range(channels):
        rest, square = 0.0, 0.0
        for i in range(together):
            rest += total[i * channels + c]
            square += squares[i * channels + c]
        partials[mean0 + c] = centre[c] + rest / rows  # the mean was rounded; and so its deviations are not 0
        partials[squares0 + c] = square - rest * rest / rows


@inlined
def scratch_width(channels):
    """A third of the scratch that `gather` wants."""
    return channels * wide(channels)


@kernel
def _combine(partials, counts, channels, mean, var):
    """Equation 2.1 for all blocks: partials (blocks, 2, channels), the rest flat."""
    mean[:] = 0
    var[:] = 0
    n = 0.0
    for block in range(counts.size):
        n += counts[block]
    for block in range(counts.size):
        share = counts[block] / n
        means = partials[2 * block * channels : (2 * block + 1) * channels]
        for c in range(channels):
            mean[c] += share * means[c]
    for block in range(counts.size):
        share = counts[block] / n
        means = partials[2 * block * channels : (2 * block + 1) * channels]
        squares = partials[(2 * block + 1) * channels : (2 * block + 2) * channels]
        for c in range(channels):
            d = means[c] - mean[c]
            var[c] += squares[c] / n + share * (d * d)


def combine(partials: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance of each channel, float64 (C,), of what `gather` left for each block.

    partials: float64 (blocks, 2, C), means and sums of squared deviations; counts: float64 (blocks,), rows of each.
    """
    channels = partials.shape[2]
    mean, var = np.empty(channels), np.empty(channels)
    _combine(partials.reshape(-1), counts, channels, mean, var)
    return mean, var


@kernel
def _statistics(counter, blocks, x, rows, channels, step, partials):
    scratch = np.empty(3 * scratch_width(channels), np.float32)
    block = next_block(counter)
    while block < blocks:
        first = block * step
        many = min(step, rows - first)
        place = 2 * block * channels
        gather(x, first * channels, many, channels, channels, partials, place, place + channels, scratch)
        block = next_block(counter)


def block_counts(rows: int, step: int) -> np.ndarray:
    """How many rows each block has, if all have `step` but the last; float64."""
    counts = np.full(-(-rows // step), float(step))
    counts[-1] -= counts.size * step - rows
    return counts


def statistics(x: np.ndarray, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance, float64 (C,), of the columns of a matrix with at least one row.

    x: float32, the rows one after the other, each of `channels` numbers.
    """
    rows, step = x.size // channels, rows_in_block(channels)
    counts = block_counts(rows, step)
    partials: Any = np.empty((counts.size, 2, channels))
    team.run(_statistics, counts.size, x, rows, channels, step, partials.reshape(-1))
    return combine(partials, counts)
