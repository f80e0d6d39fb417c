"""Sums of y gy over positions, for each example and unit: one pass over two float32 arrays.

    p[n, c] = sum over positions of y[n, c, ...] gy[n, c, ...]

Units may be innermost in memory (an NCHW view of NHWC memory, the output of a fully connected layer on sequences) or
lie before the positions (NCHW memory). Products of eight positions are added in float32, these sums in float64. An
example, or a few of them, is one block, so the bits do not depend on the number of threads. Differences from the plain
twin, which adds in float64: 1e-6 of the sum of magnitudes at most.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.backend.memory import empty
from minigrad.backend.native.channel_statistics import wide
from minigrad.backend.native.compiling import inlined, kernel
from minigrad.backend.native.instructions import next_block
from minigrad.backend.native.layout import FLOAT
from minigrad.backend.native.rows import row_dot
from minigrad.backend.native.team import team

_BLOCK = 1 << 16  # numbers in a block, at least


@inlined
def _add_products(y, g, first, rows, width, tail, total):
    """total[j] = sum over rows of y g at first + row width + j, for j < width; one row more for j < tail."""
    total[:width] = 0
    row = 0
    while row + 8 <= rows:
        o = first + row * width
        a, b, c, d = y[o:], y[o + width :], y[o + 2 * width :], y[o + 3 * width :]
        e, f, h, i = y[o + 4 * width :], y[o + 5 * width :], y[o + 6 * width :], y[o + 7 * width :]
        k, l, m, n = g[o:], g[o + width :], g[o + 2 * width :], g[o + 3 * width :]
        p, q, r, s = g[o + 4 * width :], g[o + 5 * width :], g[o + 6 * width :], g[o + 7 * width :]
        for j in range(width):
            total[j] += ((a[j] * k[j] + b[j] * l[j]) + (c[j] * m[j] + d[j] * n[j])) + (
                (e[j] * p[j] + f[j] * q[j]) + (h[j] * r[j] + i[j] * s[j])
            )
        row += 8
    while row <= rows:
        many = width if row < rows else tail
        o = first + row * width
        a, k = y[o : o + many], g[o : o + many]
        for j in range(many):
            total[j] += a[j] * k[j]
        row += 1


@kernel
def _units_last(counter, blocks, step, examples, positions, units, y, g, products):
    """Memory (N, positions, units). Several positions are treated as one where there are few units."""
    together = wide(units)
    width, rows, tail = units * together, positions // together, positions % together * units
    total = np.empty(width)
    block = next_block(counter)
    while block < blocks:
        for example in range(block * step, min((block + 1) * step, examples)):
            _add_products(y, g, example * positions * units, rows, width, tail, total)
            found = products[example * units : (example + 1) * units]
            found[:] = 0
            for k in range(together):
                part = total[k * units : (k + 1) * units]
                for c in range(units):
                    found[c] += part[c]
        block = next_block(counter)


@kernel
def _units_first(counter, blocks, step, examples, positions, units, y, g, products):
    """Memory (N, units, positions)."""
    block = next_block(counter)
    while block < blocks:
        for row in range(block * step * units, min((block + 1) * step, examples) * units):
            sums = 0.0
            for first in range(row * positions, (row + 1) * positions, 512):
                sums += row_dot(y, first, g, first, min(512, (row + 1) * positions - first))
            products[row] = sums
        block = next_block(counter)


def unit_products(y: Any, gy: Any, unit_dim: int) -> np.ndarray | None:
    """Kernel of `Backend.unit_products`; None for other types, layouts and sizes than it takes."""
    if type(y) is not np.ndarray or type(gy) is not np.ndarray or y.dtype != FLOAT or gy.dtype != FLOAT:
        return None
    if y.ndim < 3 or not y.size:
        return None
    for where, loop in ((-1, _units_last), (1, _units_first)):
        seen = np.moveaxis(y, unit_dim, where)
        if not seen.flags.c_contiguous:
            continue
        gradient = np.moveaxis(gy, unit_dim, where)
        if not gradient.flags.c_contiguous:
            gradient = empty(seen.shape, FLOAT)
            gradient[...] = np.moveaxis(gy, unit_dim, where)
        examples, units = len(y), y.shape[unit_dim]
        positions = math.prod(seen.shape[1:]) // units
        step = max(1, _BLOCK // (positions * units))
        products = np.empty((examples, units))
        team.run(
            loop, -(-examples // step), step, examples, positions, units,
            seen.reshape(-1), gradient.reshape(-1), products.reshape(-1),
        )  # fmt: skip
        return products
    return None
