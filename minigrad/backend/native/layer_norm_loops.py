"""The loops of `layer_norm.py`: over rows of n numbers, cut into blocks of `step` rows."""

from __future__ import annotations

import numpy as np

from minigrad.backend.native.compiling import kernel
from minigrad.backend.native.instructions import next_block
from minigrad.backend.native.rows import row_dot, row_squares, row_sum
from minigrad.backend.native.smooth import inlined


@inlined
def _statistics(x, first, n, eps):
    """Mean of a row, and 1 / sqrt(var + eps)."""
    mean = np.float32(row_sum(x, first, n) / n)
    return mean, np.float32(1 / np.sqrt(row_squares(x, first, n, mean) / n + eps))


@kernel
def forward_loop(counter, blocks, rows, step, n, x, w, b, y, eps):
    """y = w (x - mean) r + b."""
    block = next_block(counter)
    while block < blocks:
        for first in range(block * step * n, min((block + 1) * step, rows) * n, n):
            mean, r = _statistics(x, first, n, eps)
            a, c = x[first : first + n], y[first : first + n]
            for k in range(n):
                c[k] = (a[k] - mean) * r * w[k] + b[k]
        block = next_block(counter)


@kernel
def backward_loop(counter, blocks, rows, step, n, x, gy, w, gx, partials, eps):
    """gx = r (g - mean(g) - x' mean(g x')); of each block of rows the sums of gy x' and of gy."""
    g, normal = np.empty(n, np.float32), np.empty(n, np.float32)
    block = next_block(counter)
    while block < blocks:
        gw = partials[2 * block * n : (2 * block + 1) * n]
        gb = partials[(2 * block + 1) * n : (2 * block + 2) * n]
        gw[:] = 0
        gb[:] = 0
        for first in range(block * step * n, min((block + 1) * step, rows) * n, n):
            mean, r = _statistics(x, first, n, eps)
            a, arriving, c = x[first : first + n], gy[first : first + n], gx[first : first + n]
            for k in range(n):
                v = (a[k] - mean) * r
                normal[k] = v
                g[k] = arriving[k] * w[k]
                gw[k] += arriving[k] * v
                gb[k] += arriving[k]
            mean_g = np.float32(row_sum(g, 0, n) / n)
            mean_gx = np.float32(row_dot(g, 0, normal, 0, n) / n)
            for k in range(n):
                c[k] = r * ((g[k] - mean_g) - normal[k] * mean_gx)
        block = next_block(counter)
