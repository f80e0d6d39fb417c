"""Writing out the windows of an image (im2col), and adding them up again (col2im), by runs of neighbours.

With channels innermost, the Kw C numbers that one row of a window sees lie together (C of them where the window is
dilated), in the image and in the columns. Both kernels go through the image's memory once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend.memory import empty
from minigrad.backend.native.compiling import inlined, kernel
from minigrad.backend.native.instructions import copy, next_block
from minigrad.backend.native.layout import FLOAT, channels_first, flat_channels_last
from minigrad.backend.native.team import team

_SMALLEST = 1 << 14  # numbers: fewer are copied sooner than threads start
_BLOCK = 1 << 15  # numbers of columns in a block


@inlined
def _inside(start, length, n, step):
    """Which elements of a window lie in the image: from k >= low to k < high, of those at start + k step."""
    return max(0, -(start // step)), min(length, (n - start + step - 1) // step)


@kernel
def _write_out(counter, blocks, rows, step, cols, x, H, W, C, Ho, Wo, Kh, Kw, sh, sw, ph, pw, dh, dw):
    """The windows of `step` rows, of all images in a row; `blocks` of them."""
    run = Kw * C
    block = next_block(counter)
    while block < blocks:
        for row in range(block * step, min((block + 1) * step, rows)):
            n, top = row // Ho, row % Ho * sh - ph
            for w in range(Wo):
                left = w * sw - pw
                j0, j1 = _inside(left, Kw, W, dw)
                j1 = max(j0, j1)
                whole = j0 == 0 and j1 == Kw
                for i in range(Kh):
                    h = top + i * dh
                    target = ((row * Wo + w) * Kh + i) * run
                    source = ((n * H + h) * W + left) * C
                    if h < 0 or h >= H:
                        cols[target : target + run] = 0
                    elif dw == 1 and whole:
                        copy(cols, target, x, source, run)
                    else:
                        if not whole:
                            cols[target : target + run] = 0
                        for j in range(j0, j1):
                            copy(cols, target + j * C, x, source + j * dw * C, C)
        block = next_block(counter)


@kernel
def _add_up(counter, blocks, rows, step, x, cols, H, W, C, Ho, Wo, Kh, Kw, sh, sw, ph, pw, dh, dw):
    """`step` rows of x, each the sum of what the windows have of it, in the order of the windows' elements."""
    run = Kw * C
    block = next_block(counter)
    while block < blocks:
        for row in range(block * step, min((block + 1) * step, rows)):
            n, h = row // H, row % H
            total = x[row * W * C : (row + 1) * W * C]
            total[:] = 0
            for i in range(Kh):
                a = (h + ph - i * dh) // sh
                if a * sh != h + ph - i * dh or a < 0 or a >= Ho:
                    continue
                # Backwards: each number then meets the windows' elements forwards, as in the plain definition
                for b in range(Wo - 1, -1, -1):
                    left = b * sw - pw
                    j0, j1 = _inside(left, Kw, W, dw)
                    source = (((n * Ho + a) * Wo + b) * Kh + i) * run
                    if dw == 1:
                        count = max(0, j1 - j0) * C
                        seen = total[(left + j0) * C : (left + j0) * C + count]
                        more = cols[source + j0 * C : source + j0 * C + count]
                        for k in range(count):
                            seen[k] += more[k]
                    else:
                        for j in range(j0, j1):
                            seen = total[(left + j * dw) * C : (left + j * dw + 1) * C]
                            more = cols[source + j * C : source + (j + 1) * C]
                            for k in range(C):
                                seen[k] += more[k]
        block = next_block(counter)


def im2col_forward(xp: Any, x: Any, *, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """Kernel of `im2col`, for images with channels innermost; the same bits."""
    flat = flat_channels_last(x)
    if flat is None or x.ndim != 4 or min(kernel_size) < 1:
        return None
    (N, C, H, W), (Kh, Kw) = x.shape, kernel_size
    Ho, Wo = (
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip((H, W), kernel_size, stride, padding, dilation, strict=True)
    )
    rows, numbers = N * Ho, Wo * Kh * Kw * C  # numbers in a row of windows
    if min(Ho, Wo) < 1 or rows * numbers < _SMALLEST:
        return None
    if kernel_size == stride == (1, 1) and padding == (0, 0):
        return None  # the image itself, as a view
    cols = empty((N, Ho, Wo, Kh, Kw, C), FLOAT)
    step = max(1, _BLOCK // numbers)
    team.run(
        _write_out, -(-rows // step), rows, step, cols.reshape(-1), flat, H, W, C, Ho, Wo, Kh, Kw,
        *stride, *padding, *dilation,
    )  # fmt: skip
    return cols


def col2im_forward(xp: Any, cols: Any, *, size: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """Kernel of `col2im`, for contiguous columns; the same bits."""
    if type(cols) is not np.ndarray or cols.dtype != FLOAT or cols.ndim != 6 or cols.size < _SMALLEST:
        return None
    if not cols.flags.c_contiguous or min(size) < 1:
        return None
    (N, Ho, Wo, Kh, Kw, C), (H, W) = cols.shape, size
    # as many windows as fit, or fewer: more of them are the plain definition's to refuse
    if any(
        (m - 1) * s + (k - 1) * d + 1 > n + 2 * p
        for n, m, k, s, p, d in zip(size, (Ho, Wo), (Kh, Kw), stride, padding, dilation, strict=True)
    ):
        return None
    x = empty((N, H, W, C), FLOAT)
    step = max(1, _BLOCK // (W * C * Kh * Kw))
    team.run(
        _add_up, -(-N * H // step), N * H, step, x.reshape(-1), cols.reshape(-1), H, W, C, Ho, Wo, Kh, Kw,
        *stride, *padding, *dilation,
    )  # fmt: skip
    return channels_first(x)
