"""The passes over memory that batch normalisation consists of; see `batch_norm.py`.

All arrays are flat float32, channels innermost. A block is a whole number of rows, and is gone through in stretches of
several rows, so that the inner loops are long if channels are few: the vectors of the channels are repeated.
"""

from __future__ import annotations

import numpy as np

from minigrad.backend.native.channel_statistics import scratch_width, wide
from minigrad.backend.native.compiling import inlined, kernel
from minigrad.backend.native.instructions import next_block


@inlined
def _repeated(vectors, count, channels, width):
    """`count` vectors of channels, each repeated over a wide row."""
    result = np.empty(count * width, np.float32)
    for k in range(count):
        for j in range(width):
            result[k * width + j] = vectors[k * channels + j % channels]
    return result


@inlined
def _masked(gy, y, g):
    """g = gy where y > 0, else 0."""
    for j in range(g.size):
        g[j] = gy[j] if y[j] > 0 else np.float32(0)


@kernel
def apply_pass(counter, blocks, x, y, residual, vectors, channels, step, relu):
    """y = act((x - centre) scale + shift + residual); vectors: centre, scale, shift. No residual: of size 0."""
    width = scratch_width(channels)
    repeated = _repeated(vectors, 3, channels, width)
    centre, scale, shift = repeated[:width], repeated[width : 2 * width], repeated[2 * width :]
    low = np.float32(0 if relu else -np.inf)
    block = next_block(counter)
    while block < blocks:
        first, last = block * step, min((block + 1) * step, x.size)
        for o in range(first, last, width):
            n = min(width, last - o)
            a, z = x[o : o + n], y[o : o + n]
            if residual.size:
                r = residual[o : o + n]
                for j in range(n):
                    v = (a[j] - centre[j]) * scale[j] + shift[j] + r[j]
                    z[j] = low if v < low else v  # NaN stays
            else:
                for j in range(n):
                    v = (a[j] - centre[j]) * scale[j] + shift[j]
                    z[j] = low if v < low else v
        block = next_block(counter)


@kernel
def sums_pass(counter, blocks, x, gy, y, g, centre, channels, step, partials):
    """Of each block: sum(g), sum(g (x - centre)) of each channel, g = gy [y > 0]; no y: g = gy; no g: not written."""
    width = scratch_width(channels)
    together = wide(channels)
    repeated = _repeated(centre, 1, channels, width)
    totals, products = np.empty(width, np.float32), np.empty(width, np.float32)
    scratch = np.empty(4 * width, np.float32)
    block = next_block(counter)
    while block < blocks:
        first, last = block * step, min((block + 1) * step, x.size)
        totals[:] = 0
        products[:] = 0
        for o in range(first, last, 4 * width):
            n = min(4 * width, last - o)
            a, b = x[o : o + n], gy[o : o + n]
            if y.size:
                b = g[o : o + n] if g.size else scratch[:n]
                _masked(gy[o : o + n], y[o : o + n], b)
            _add_products(a, b, repeated, totals, products)
        for c in range(channels):
            s, p = 0.0, 0.0
            for i in range(together):
                s += totals[i * channels + c]
                p += products[i * channels + c]
            partials[2 * block * channels + c] = s
            partials[(2 * block + 1) * channels + c] = p
        block = next_block(counter)


@inlined
def _add_products(x, g, centre, totals, products):
    """totals += g, products += g (x - centre), over at most four wide rows, the last perhaps shorter."""
    width = totals.size
    if x.size == 4 * width:
        x0, x1, x2, x3 = x[:width], x[width : 2 * width], x[2 * width : 3 * width], x[3 * width :]
        g0, g1, g2, g3 = g[:width], g[width : 2 * width], g[2 * width : 3 * width], g[3 * width :]
        for j in range(width):
            m = centre[j]
            totals[j] += (g0[j] + g1[j]) + (g2[j] + g3[j])
            products[j] += (g0[j] * (x0[j] - m) + g1[j] * (x1[j] - m)) + (
                g2[j] * (x2[j] - m) + g3[j] * (x3[j] - m)
            )
        return
    for o in range(0, x.size, width):
        a, b = x[o : o + width], g[o : o + width]
        for j in range(a.size):
            totals[j] += b[j]
            products[j] += b[j] * (a[j] - centre[j])


@kernel
def gradient_pass(counter, blocks, x, gy, y, gx, vectors, channels, step):
    """gx = of_g g + of_x (x - centre) + constant, g as in `sums_pass`; vectors: centre, of_g, of_x, constant."""
    width = scratch_width(channels)
    repeated = _repeated(vectors, 4, channels, width)
    centre, of_g = repeated[:width], repeated[width : 2 * width]
    of_x, constant = repeated[2 * width : 3 * width], repeated[3 * width :]
    scratch = np.empty(width, np.float32)
    block = next_block(counter)
    while block < blocks:
        first, last = block * step, min((block + 1) * step, x.size)
        for o in range(first, last, width):
            n = min(width, last - o)
            a, g, z = x[o : o + n], gy[o : o + n], gx[o : o + n]
            if y.size:
                g = scratch[:n]
                _masked(gy[o : o + n], y[o : o + n], g)
            for j in range(n):
                z[j] = of_g[j] * g[j] + (of_x[j] * (a[j] - centre[j]) + constant[j])
        block = next_block(counter)
