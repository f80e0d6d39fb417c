"""Convolution without columns: register tiles that walk over the image itself.

Channels are innermost, so the numbers that one row of the window sees, (kw, c), lie together, and those of the next
pixel's window begin stride C numbers on. A tile of P neighbouring pixels times V vectors of output channels is a matrix
product whose left operand is the image: nothing is copied but the borders.

    y[h, w, o] = sum over kh of (sum over (kw, c) of x[h s + kh, (w s) C + (kw, c)] W[kh, (kw, c), o])

The gradient by the input is such a convolution again, for each remainder of the position modulo the stride one; the
gradient by the weight is the same tile with the sum over pixels.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.backend.memory import empty
from minigrad.backend.native.compiling import kernel
from minigrad.backend.native.channel_statistics import scratch_width
from minigrad.backend.native.conv_finish import NOTHING, Finish, finish
from minigrad.backend.native.instructions import LANES, has_wide_registers, multiply_tile, next_block
from minigrad.backend.native.padding import copy_padded, scratch, zeros
from minigrad.backend.native.parts import add_parts
from minigrad.backend.native.team import team

# Of padded images at a time: they share the second-level cache with the weights, and weights that do not fit into it are
# fetched anew for each such share of the images
_SCRATCH_BYTES, _LARGE_SCRATCH_BYTES, _LARGE_WEIGHTS = 1 << 18, 1 << 20, 1 << 17
_SHORT_ROW = 16  # pixels, up to which rows of tiles have much left over
_PARTS = 8  # partial sums of the gradient by the weight: as many threads can share the work


def tile_for(channels: int, across: bool = False) -> tuple[int, int]:
    """(P, V) for so many output channels: 14 to 16 sums are under way, which hides the latency of an addition.

    across: for products whose rows lie together (the gradient by the weight), where counts are multiples of 8.
    """
    if not has_wide_registers():
        return (4, 1) if across else (6, 1)
    if channels % (2 * LANES) == 0:
        return 8, 2
    return (16, 1) if across else (14, 1)


@kernel
def pack_weights(counter, blocks, packed, w, width, Kh, Kw, C, O, w0, per_h, per_w, per_c, per_o):
    """packed[o // width, kh, kw, c, o % width] = w[w0 + kh per_h + kw per_w + c per_c + o per_o], 0 beyond O."""
    block = next_block(counter)
    while block < blocks:
        target = block * Kh * Kw * C * width
        for kh in range(Kh):
            for kw in range(Kw):
                for c in range(C):
                    source = w0 + kh * per_h + kw * per_w + c * per_c + block * width * per_o
                    for o in range(width):
                        packed[target + o] = w[source + o * per_o] if block * width + o < O else 0
                    target += width
        block = next_block(counter)


@lru_cache
def _convolution(P: int, V: int) -> Any:
    width = V * LANES

    @kernel
    def convolve(
        counter, blocks, y, y0, y_image, y_row, y_pixel, Ho, Wo, O,
        x, N, H, W, C, top, left, w, Kh, Kw, sh, sw, images, band,
        bias, residual, relu, sums,
    ):  # fmt: skip
        """A block is `band` rows of output of `images` images. The last four arguments: see conv_finish.py."""
        bands = (Ho + band - 1) // band
        rows, columns = (band - 1) * sh + Kh, (Wo - 1) * sw + Kw
        size = rows * columns * C
        padded = zeros(images * size + P * sw * C)  # a tile may read on behind the last pixel
        space = scratch(3 * scratch_width(O) if sums.size else 1)
        block = next_block(counter)
        while block < blocks:
            n0, h0 = block // bands * images, block % bands * band
            count, height = min(images, N - n0), min(band, Ho - h0)
            for n in range(count):
                copy_padded(
                    padded, n * size, rows, columns, x, (n0 + n) * H * W * C, H, W, C, top - h0 * sh, left,
                    bands > 1,
                )
            for o in range(0, O, width):
                for n in range(count):
                    for h in range(height):
                        for first in range(0, Wo, P):
                            wo = min(first, max(Wo - P, 0))  # the last tile overlaps the one before
                            multiply_tile(
                                P, V, 0, 0,
                                y, y0 + (n0 + n) * y_image + (h0 + h) * y_row + wo * y_pixel + o, y_pixel, Wo - wo, O - o,
                                padded, n * size + (h * sh * columns + wo * sw) * C, sw * C, 1, columns * C,
                                w, o * Kh * Kw * C, width, Kw * C * width, Kw * C, Kh,
                            )  # fmt: skip
            for n in range(count):
                finish(
                    y, y0 + (n0 + n) * y_image + h0 * y_row, height * Wo, O, (n0 + n) * bands + h0 // band, space,
                    bias, residual, relu, sums,
                )  # fmt: skip
            block = next_block(counter)

    return convolve


def _shares(N: int, Ho: int, Wo: int, C: int, O: int, kernel_size: Any, stride: Any) -> tuple[int, int]:
    """(images, band): how many images, or else how many rows of output of one, fit into the scratch memory."""
    (Kh, Kw), sh = kernel_size, stride[0]
    row_bytes = ((Wo - 1) * stride[1] + Kw) * C * 4
    image_bytes = ((Ho - 1) * sh + Kh) * row_bytes
    scratch_bytes = _LARGE_SCRATCH_BYTES if Kh * Kw * C * O > _LARGE_WEIGHTS else _SCRATCH_BYTES
    if image_bytes > scratch_bytes:
        return 1, max(1, min(Ho, (scratch_bytes // row_bytes - Kh) // sh + 1))
    return max(1, min(scratch_bytes // image_bytes, N // 16)), Ho


def _rows(counts: Any, size: Any, kernel_size: Any, stride: Any) -> tuple[int, int]:
    """Rows of output and their length: a small image under a window of one pixel is a single row."""
    Ho, Wo = counts
    single = tuple(kernel_size) == tuple(stride) == (1, 1) and (Ho, Wo) == tuple(size) and Wo <= _SHORT_ROW
    return (1, Ho * Wo) if single else (Ho, Wo)


def parts_of(N: int, counts: Any, size: Any, C: int, O: int, kernel_size: Any, stride: Any) -> np.ndarray:
    """How many pixels each part of y has of which statistics are gathered: a band of an image, or a whole one."""
    Ho, Wo = _rows(counts, size, kernel_size, stride)
    band = _shares(N, Ho, Wo, C, O, kernel_size, stride)[1]
    heights = np.full(-(-Ho // band), float(band))
    heights[-1] = Ho - band * (len(heights) - 1)
    return np.tile(heights * Wo, N)


def suits_weight_gradient(C: int, O: int, counts: Any, kernel_size: Any) -> bool:
    """Whether partial sums are small beside what goes into them; else one matrix product over all images is quicker."""
    return kernel_size[0] * kernel_size[1] * C * O <= 2 * _LARGE_WEIGHTS or counts[0] * counts[1] > 1024


def convolve(
    x: np.ndarray, w: np.ndarray, y: np.ndarray, stride: Any, top: int, left: int, *,
    y0: int = 0, y_row: int | None = None, y_pixel: int | None = None, counts: tuple[int, int] | None = None,
    kernel_size: tuple[int, int] | None = None, w0: int = 0, w_steps: tuple[int, ...] | None = None,
    finishing: Finish = NOTHING,
) -> None:  # fmt: skip
    """y = the convolution of x (N, H, W, C) with w, `top` and `left` zeros in front; written where y is placed.

    By default w is (O, C, Kh, Kw) and y (N, Ho, Wo, O). The rest is for the gradient by the input, see `input_gradient`:
    w_steps says how far apart w's numbers lie along kh, kw, c, o, and y0, y_row, y_pixel where results go.
    """
    N, H, W, C = x.shape
    Ho, Wo = counts or y.shape[1:3]
    O = y.shape[3]
    Kh, Kw = kernel_size or w.shape[2:]
    steps = w_steps or (w.shape[3], 1, w.shape[2] * w.shape[3], w[0].size)
    y_image = y[0].size
    y_row, y_pixel = y_row or y[0, 0].size, y_pixel or O
    rows = _rows((Ho, Wo), (H, W), (Kh, Kw), stride)
    if rows != (Ho, Wo) and y_row == Wo * y_pixel:
        (H, W), (Ho, Wo), y_row = rows, rows, Ho * y_row
    P, V = tile_for(O)
    width = V * LANES
    packed = empty((-(-O // width), Kh, Kw, C, width), np.float32)
    team.run(pack_weights, len(packed), packed.reshape(-1), w.reshape(-1), width, Kh, Kw, C, O, w0, *steps)
    images, band = _shares(N, Ho, Wo, C, O, (Kh, Kw), stride)
    blocks = -(-N // images) * -(-Ho // band)
    team.run(
        _convolution(P, V), blocks, y.reshape(-1), y0, y_image, y_row, y_pixel, Ho, Wo, O,
        x.reshape(-1), N, H, W, C, top, left, packed.reshape(-1), Kh, Kw, *stride, images, band, *finishing,
    )  # fmt: skip


def input_gradient(g: np.ndarray, w: np.ndarray, gx: np.ndarray, stride: Any, padding: Any) -> None:
    """gx = the gradient of a convolution by its input, from that by its output g (N, Ho, Wo, O).

    An input at position h = q s + r - p is seen by the taps r, r + s, r + 2s, ... of the windows q, q - 1, q - 2, ...: for
    each remainder r a convolution of g with these taps in reverse order, whose results lie s apart.
    """
    _, H, W, C = gx.shape
    Kh, Kw = w.shape[2:]
    (sh, sw), (ph, pw) = stride, padding
    if Kh < sh or Kw < sw:
        gx[...] = 0  # positions that no window sees
    per_o, per_c = w[0].size, Kh * Kw
    for i in range(min(sh, Kh)):
        for j in range(min(sw, Kw)):
            (h0, count_h, taps_h, top), (w0, count_w, taps_w, left) = (
                _phase(i, H, Kh, sh, ph), _phase(j, W, Kw, sw, pw)
            )  # fmt: skip
            if count_h > 0 and count_w > 0:
                last = (i + (taps_h - 1) * sh) * Kw + j + (taps_w - 1) * sw  # of the taps: they are taken backwards
                convolve(
                    g, w, gx, (1, 1), top, left, y0=(h0 * W + w0) * C, y_row=sh * W * C, y_pixel=sw * C,
                    counts=(count_h, count_w), kernel_size=(taps_h, taps_w),
                    w0=last, w_steps=(-sh * Kw, -sw, per_o, per_c),
                )  # fmt: skip


def _phase(remainder: int, size: int, taps: int, stride: int, padding: int) -> tuple[int, int, int, int]:
    """Of the positions with (h + padding) % stride == remainder: the first, how many, their taps, zeros before g."""
    first = (remainder - padding) % stride
    count = -(-(size - first) // stride)
    own_taps = -(-(taps - remainder) // stride)
    return first, count, own_taps, own_taps - 1 - (first + padding) // stride


@lru_cache
def _weight_gradient(P: int, V: int) -> Any:
    width = V * LANES

    @kernel
    def gradient(counter, blocks, parts, x, g, N, H, W, C, Ho, Wo, O, Kh, Kw, sh, sw, top, left):
        """parts[block, kh, (kw, c), o] = the sum over the block's images."""
        rows, columns = (Ho - 1) * sh + Kh, (Wo - 1) * sw + Kw
        run, stored = Kw * C, (O + width - 1) // width * width
        padded = zeros(rows * columns * C + P)
        wide = zeros(Ho * Wo * stored if stored > O else 1)  # g with whole vectors of channels
        block = next_block(counter)
        while block < blocks:
            part = block * Kh * run * stored
            parts[part : part + Kh * run * stored] = 0
            for n in range(block * N // blocks, (block + 1) * N // blocks):
                copy_padded(padded, 0, rows, columns, x, n * H * W * C, H, W, C, top, left, False)
                source, g0 = g, n * Ho * Wo * O
                if stored > O:
                    for pixel in range(Ho * Wo):
                        for o in range(O):
                            wide[pixel * stored + o] = g[g0 + pixel * O + o]
                    source, g0 = wide, 0
                for kh in range(Kh):
                    for k in range(0, run, P):
                        for o in range(0, stored, width):
                            multiply_tile(
                                P, V, 1, 1, parts, part + (kh * run + k) * stored + o, stored, run - k, width,
                                padded, kh * columns * C + k, 1, sw * C, sh * columns * C,
                                source, g0 + o, stored, Wo * stored, Wo, Ho,
                            )  # fmt: skip
            block = next_block(counter)

    return gradient


def weight_gradient(x: np.ndarray, g: np.ndarray, gw: np.ndarray, stride: Any, padding: Any) -> None:
    """gw (O, C, Kh, Kw) = the gradient of a convolution of x (N, H, W, C) by its weight, g (N, Ho, Wo, O) that by y."""
    N, H, W, C = x.shape
    Ho, Wo, O = g.shape[1:]
    Kh, Kw = gw.shape[2:]
    P, V = tile_for(O, across=True)
    stored = -(-O // (V * LANES)) * V * LANES
    count = min(_PARTS, N)
    parts = empty((count, Kh, Kw, C, stored), np.float32)
    team.run(
        _weight_gradient(P, V), count, parts.reshape(-1), x.reshape(-1), g.reshape(-1), N, H, W, C, Ho, Wo, O, Kh, Kw,
        *stride, *padding,
    )  # fmt: skip
    total = add_parts(parts.reshape(-1), count).reshape(Kh, Kw, C, stored)
    gw[...] = total.transpose(3, 2, 0, 1)[:O]
