"""The loops of pooling; see `pooling.py`. A block is some rows of results, of all images in a row."""

from __future__ import annotations

import numpy as np

from minigrad.backend.native.compiling import inlined, kernel
from minigrad.backend.native.instructions import LANES, next_block
from minigrad.backend.native.vectors import (
    add,
    divide,
    either,
    equal,
    greater,
    is_nan,
    load,
    select,
    spread,
    store,
)


@inlined
def _inside(start, length, n, step):
    """Which elements of a window lie in the image: from k >= low to k < high, of those at start + k step."""
    low = max(0, -(start // step))
    high = min(length, (n - start + step - 1) // step)
    return low, high


@inlined
def _seeing(place, padding, dilation, length, stride, counts):
    """Which windows may see an element of the image: from low to below high."""
    place += padding
    low = max(0, (place - dilation * (length - 1) + stride - 1) // stride)
    return low, min(counts, place // stride + 1)


@inlined
def _element(distance, dilation):
    """Which element of a window lies so far from its corner; -1 if none does."""
    if dilation == 1:
        return distance
    return distance // dilation if distance % dilation == 0 else -1


@kernel
def max_loop(counter, blocks, rows, step, x, y, winner, geometry):
    """The maximum of each window, and which element that is; NaN is the largest, the last of several."""
    H, W, C, Ho, Wo, Kh, Kw, sh, sw, ph, pw, dh, dw = geometry
    block = next_block(counter)
    while block < blocks:
        for row in range(block * step, min((block + 1) * step, rows)):
            n, h = row // Ho, row % Ho
            top = h * sh - ph
            i0, i1 = _inside(top, Kh, H, dh)
            for w in range(Wo):
                left = w * sw - pw
                j0, j1 = _inside(left, Kw, W, dw)
                corner, target = ((n * H + top) * W + left) * C, (row * Wo + w) * C
                for c in range(0, C, LANES):
                    best = spread(np.float32(-np.inf))
                    number = spread(np.uint8(i0 * Kw + j0))
                    for i in range(i0, i1):
                        for j in range(j0, j1):
                            e = load(x, corner + (i * dh * W + j * dw) * C + c, C - c)
                            better = either(greater(e, best), is_nan(e))
                            best = select(better, e, best)  # nothing is greater than NaN: it stays
                            number = select(better, spread(np.uint8(i * Kw + j)), number)
                    store(y, target + c, C - c, best)
                    store(winner, target + c, C - c, number)
        block = next_block(counter)


@kernel
def scatter_loop(counter, blocks, rows, step, x, winner, y, geometry):
    """Each element of the image: the sum of x over the windows whose winner it is, in their order."""
    H, W, C, Ho, Wo, Kh, Kw, sh, sw, ph, pw, dh, dw = geometry
    block = next_block(counter)
    while block < blocks:
        for row in range(block * step, min((block + 1) * step, rows)):
            n, h = row // H, row % H
            a0, a1 = _seeing(h, ph, dh, Kh, sh, Ho)
            for w in range(W):
                b0, b1 = _seeing(w, pw, dw, Kw, sw, Wo)
                target = (row * W + w) * C
                for c in range(0, C, LANES):
                    store(y, target + c, C - c, spread(np.float32(0)))
                for a in range(a0, a1):
                    i = _element(h + ph - a * sh, dh)
                    if i < 0:
                        continue
                    for b in range(b0, b1):
                        j = _element(w + pw - b * sw, dw)
                        if j < 0:
                            continue
                        source, number = ((n * Ho + a) * Wo + b) * C, np.uint8(i * Kw + j)
                        for c in range(0, C, LANES):
                            won = equal(load(winner, source + c, C - c), spread(number))
                            gained = select(won, load(x, source + c, C - c), spread(np.float32(0)))
                            store(y, target + c, C - c, add(load(y, target + c, C - c), gained))
        block = next_block(counter)


@kernel
def avg_loop(counter, blocks, rows, step, x, y, divisors, geometry):
    """The sum of each window / divisor; divisors: rows of a window that count, for each h, then columns for each w."""
    H, W, C, Ho, Wo, Kh, Kw, sh, sw, ph, pw, _, _ = geometry
    block = next_block(counter)
    while block < blocks:
        for row in range(block * step, min((block + 1) * step, rows)):
            n, h = row // Ho, row % Ho
            top = h * sh - ph
            i0, i1 = _inside(top, Kh, H, 1)
            for w in range(Wo):
                left = w * sw - pw
                j0, j1 = _inside(left, Kw, W, 1)
                corner, target = ((n * H + top) * W + left) * C, (row * Wo + w) * C
                divisor = np.float32(divisors[h] * divisors[Ho + w])
                for c in range(0, C, LANES):
                    total = spread(np.float32(0))
                    for i in range(i0, i1):
                        for j in range(j0, j1):
                            total = add(total, load(x, corner + (i * W + j) * C + c, C - c))
                    store(y, target + c, C - c, divide(total, spread(divisor)))
        block = next_block(counter)


@kernel
def avg_transposed_loop(counter, blocks, rows, step, x, y, divisors, geometry):
    """Each element of the image: the sum of x / divisor over the windows that see it."""
    H, W, C, Ho, Wo, Kh, Kw, sh, sw, ph, pw, _, _ = geometry
    block = next_block(counter)
    while block < blocks:
        for row in range(block * step, min((block + 1) * step, rows)):
            n, h = row // H, row % H
            a0, a1 = _seeing(h, ph, 1, Kh, sh, Ho)
            for w in range(W):
                b0, b1 = _seeing(w, pw, 1, Kw, sw, Wo)
                target = (row * W + w) * C
                for c in range(0, C, LANES):
                    total = spread(np.float32(0))
                    for a in range(a0, a1):
                        for b in range(b0, b1):
                            divisor = spread(np.float32(divisors[a] * divisors[Ho + b]))
                            total = add(
                                total, divide(load(x, ((n * Ho + a) * Wo + b) * C + c, C - c), divisor)
                            )
                    store(y, target + c, C - c, total)
        block = next_block(counter)
