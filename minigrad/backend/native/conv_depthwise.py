"""Depthwise convolution: each channel by itself, LANES of them at a time.

    y[n, h, w, c] = sum over i, j of w[c, i, j] x[n, h s + i d - p, w s + j d - p, c]

There is little arithmetic for each number that is read, so images are read where they lie, without a copy that has
borders: a window at a border takes only the elements that lie in the image. Tiles of _PIXELS neighbouring results stay
in registers while the elements of the window are gone through, each with its weights loaded once.

The gradient by the input is such a convolution again, for each remainder of the position modulo the stride one, with
part of the window. These *phases* are gone through side by side, row by row. Where the number of channels is no
multiple of LANES, the last vector overlaps the one before; images of fewer than LANES are widened first.
"""

from __future__ import annotations

from math import gcd
from typing import Any

import numpy as np
from numba.extending import intrinsic

from minigrad.backend.memory import empty
from minigrad.backend.native.channel_statistics import scratch_width
from minigrad.backend.native.compiling import inlined, kernel
from minigrad.backend.native.conv_finish import NOTHING, Finish, finish
from minigrad.backend.native.instructions import LANES, next_block
from minigrad.backend.native.instructions import multiply_add as fused_multiply_add
from minigrad.backend.native.padding import scratch
from minigrad.backend.native.parts import add_parts
from minigrad.backend.native.team import team
from minigrad.backend.native.vectors import FLOATS, add, load, spread, store

_PIXELS = 4  # neighbours that share each load of weights; written out in `_tiles` and `_tile_gradients`
_BLOCK = 1 << 16  # numbers of the larger image in a block
_PARTS = 8  # partial sums of the gradient by the weight: as many threads can share the work


def suits(C: int, O: int, groups: int) -> bool:
    """Whether each channel has one result of its own."""
    return groups == C == O


def _rows_in_block(Ho: int, Wo: int, C: int, stride: Any) -> int:
    return max(1, min(Ho, _BLOCK // (Wo * max(C, LANES) * stride[0] * stride[1])))


def parts_of(N: int, counts: Any, C: int, stride: Any) -> np.ndarray:
    """How many pixels each part of y has of which statistics are gathered: some rows of an image."""
    Ho, Wo = counts
    band = _rows_in_block(Ho, Wo, C, stride)
    return np.tile([float(min(band, Ho - h) * Wo) for h in range(0, Ho, band)], N)


def _widened(a: np.ndarray) -> np.ndarray:
    """A (..., C) with LANES channels, the new ones 0: fewer than LANES would not fill a vector."""
    wide = np.zeros((*a.shape[:-1], LANES), np.float32)
    wide[..., : a.shape[-1]] = a
    return wide


@intrinsic
def _multiply_add(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, of vectors, rounded once."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return fused_multiply_add(builder, *args)

    return FLOATS(a, b, c), codegen


@inlined
def _inside(start, length, n, step):
    """Which elements of a window lie in the image: from k >= low to k < high, of those at start + k step."""
    return max(0, -(start // step)), min(length, (n - start + step - 1) // step)


@inlined
def _whole(count, length, n, stride, padding, dilation):
    """Which of `count` windows lie in the image as a whole: from low to below high."""
    low = min(count, max(0, (padding + stride - 1) // stride))
    high = (n - 1 - (length - 1) * dilation + padding) // stride + 1
    return low, max(low, min(count, high))


@inlined
def _tiles(y, y0, y_pixel, count, x, x0, x_pixel, per_i, per_j, w, w0, w_i, w_j, taps_i, taps_j, C):
    """`count` results in a row, _PIXELS at least, y_pixel apart; their windows of taps_i x taps_j are x_pixel apart."""
    for start in range(0, count, _PIXELS):
        q = min(start, count - _PIXELS)  # the last tile overlaps the one before
        source, target = x0 + q * x_pixel, y0 + q * y_pixel
        for first in range(0, C, LANES):
            c = min(first, C - LANES)
            s0 = spread(np.float32(0))
            s1, s2, s3 = s0, s0, s0
            for i in range(taps_i):
                for j in range(taps_j):
                    weights = load(w, w0 + i * w_i + j * w_j + c, LANES)
                    at = source + i * per_i + j * per_j + c
                    s0 = _multiply_add(load(x, at, LANES), weights, s0)
                    s1 = _multiply_add(load(x, at + x_pixel, LANES), weights, s1)
                    s2 = _multiply_add(load(x, at + 2 * x_pixel, LANES), weights, s2)
                    s3 = _multiply_add(load(x, at + 3 * x_pixel, LANES), weights, s3)
            store(y, target + c, LANES, s0)
            store(y, target + y_pixel + c, LANES, s1)
            store(y, target + 2 * y_pixel + c, LANES, s2)
            store(y, target + 3 * y_pixel + c, LANES, s3)


@inlined
def _single(y, y0, x, x0, per_i, per_j, w, w0, w_i, w_j, taps_i, taps_j, C):
    """As `_tiles`, one result."""
    for first in range(0, C, LANES):
        c = min(first, C - LANES)
        total = spread(np.float32(0))
        for i in range(taps_i):
            for j in range(taps_j):
                weights = load(w, w0 + i * w_i + j * w_j + c, LANES)
                total = _multiply_add(load(x, x0 + i * per_i + j * per_j + c, LANES), weights, total)
        store(y, y0 + c, LANES, total)


@kernel
def _convolution(
    counter, blocks, y, x, w, H, W, C, Ho, Wo, phases, steps_h, steps_w, w_i, w_j, sh, sw, dh, dw, band,
    bias, residual, relu, sums,
):  # fmt: skip
    """A block is `band` rows of results. The last four arguments: see conv_finish.py.

    phases: for each remainder of h modulo steps_h, then for each of w modulo steps_w, how many elements the window has,
    how far before the quotient's place it begins, and where its first weight is.
    """
    bands = (Ho + band - 1) // band
    space = scratch(3 * scratch_width(C) if sums.size else 1)
    block = next_block(counter)
    while block < blocks:
        n, h0 = block // bands, block % bands * band
        rows = min(band, Ho - h0)
        for h in range(h0, h0 + rows):
            phase = 3 * (h % steps_h)
            top = h // steps_h * sh - phases[phase + 1]
            i0, i1 = _inside(top, phases[phase], H, dh)
            w_h = phases[phase + 2] + i0 * w_i
            line = (n * H + top + i0 * dh) * W
            for remainder in range(steps_w):
                phase = 3 * (steps_h + remainder)
                length, padding, w_w = phases[phase], phases[phase + 1], phases[phase + 2]
                count = (Wo - remainder + steps_w - 1) // steps_w
                low, high = _whole(count, length, W, sw, padding, dw)
                if high - low < _PIXELS:
                    high = low
                target, y_pixel = ((n * Ho + h) * Wo + remainder) * C, steps_w * C
                for k in range(count - (high - low)):
                    q = k if k < low else k + (high - low)
                    left = q * sw - padding
                    j0, j1 = _inside(left, length, W, dw)
                    _single(
                        y, target + q * y_pixel, x, (line + left + j0 * dw) * C, dh * W * C, dw * C,
                        w, w_h + w_w + j0 * w_j, w_i, w_j, i1 - i0, j1 - j0, C,
                    )  # fmt: skip
                if high > low:
                    _tiles(
                        y, target + low * y_pixel, y_pixel, high - low,
                        x, (line + low * sw - padding) * C, sw * C, dh * W * C, dw * C,
                        w, w_h + w_w, w_i, w_j, i1 - i0, length, C,
                    )  # fmt: skip
        finish(y, (n * Ho + h0) * Wo * C, rows * Wo, C, block, space, bias, residual, relu, sums)
        block = next_block(counter)


def _by_element(w: np.ndarray) -> np.ndarray:
    """Flat (Kh, Kw, C) of w (C, 1, Kh, Kw)."""
    return np.ascontiguousarray(w.transpose(2, 3, 1, 0)).reshape(-1)


def convolve(
    x: np.ndarray, w: np.ndarray, y: np.ndarray, stride: Any, padding: Any, dilation: Any, finishing: Finish = NOTHING
) -> None:  # fmt: skip
    """y (N, Ho, Wo, C) = the convolution of x (N, H, W, C) with w (C, 1, Kh, Kw), channel by channel.

    All float32 and C-contiguous. Statistics: see `parts_of`.
    """
    N, H, W, C = x.shape
    if C < LANES:
        _convolve_widened(x, w, y, (stride, padding, dilation), finishing)
        return
    Ho, Wo = y.shape[1:3]
    Kh, Kw = w.shape[2:]
    band = _rows_in_block(Ho, Wo, C, stride)
    phases = np.array([(Kh, padding[0], 0), (Kw, padding[1], 0)], np.int64)
    team.run(
        _convolution, N * -(-Ho // band), y.reshape(-1), x.reshape(-1), _by_element(w), H, W, C, Ho, Wo,
        phases.reshape(-1), 1, 1, Kw * C, C, *stride, *dilation, band, *finishing,
    )  # fmt: skip


def _convolve_widened(x: np.ndarray, w: np.ndarray, y: np.ndarray, windows: Any, finishing: Finish) -> None:
    """`convolve` for fewer than LANES channels."""
    C = x.shape[3]
    bias, residual, relu, sums = finishing
    wide, wide_sums = empty((*y.shape[:3], LANES), np.float32), np.empty(sums.size // C * LANES)
    wide_finishing = Finish(
        _widened(bias) if bias.size else bias,
        _widened(residual.reshape(y.shape)).reshape(-1) if residual.size else residual,
        relu,
        wide_sums,
    )
    stride, padding, dilation = windows
    convolve(_widened(x), _widened(w.T).T, wide, stride, padding, dilation, wide_finishing)
    y[...] = wide[..., :C]
    sums.reshape(-1, C)[...] = wide_sums.reshape(-1, LANES)[:, :C]


def input_gradient(
    g: np.ndarray, w: np.ndarray, gx: np.ndarray, stride: Any, padding: Any, dilation: Any
) -> None:
    """gx (N, H, W, C) = the gradient by the input, from that by the output g (N, Ho, Wo, C).

    An input at h = q s + r sees element i of the window at (h + p - i d) / s, where that is a whole number: every
    s / gcd(s, d)-th element, in windows d / gcd(s, d) apart. They are taken backwards, so that windows go forwards.
    """
    N, Ho, Wo, C = g.shape
    H, W = gx.shape[1:3]
    if C < LANES:
        wide = empty((N, H, W, LANES), np.float32)
        input_gradient(_widened(g), _widened(w.T).T, wide, stride, padding, dilation)
        gx[...] = wide[..., :C]
        return
    Kh, Kw = w.shape[2:]
    (step_h, apart_h, phases_h), (step_w, apart_w, phases_w) = (
        _phases(k, s, p, d, c) for k, s, p, d, c in zip((Kh, Kw), stride, padding, dilation, (Kw * C, C))
    )  # fmt: skip
    band = _rows_in_block(H, W, C, (1, 1))
    phases = np.array(phases_h + phases_w, np.int64)
    team.run(
        _convolution, N * -(-H // band), gx.reshape(-1), g.reshape(-1), _by_element(w), Ho, Wo, C, H, W,
        phases.reshape(-1), *stride, -step_h * Kw * C, -step_w * C, 1, 1, apart_h, apart_w, band, *NOTHING,
    )  # fmt: skip


def _phases(length: int, stride: int, padding: int, dilation: int, numbers: int) -> tuple[int, int, list]:
    """Along one axis: how far apart the elements of a phase are, and their windows, and `_convolution`'s phases.

    numbers: of weights from one element of the window to the next.
    """
    common = gcd(stride, dilation)
    phases = []
    for remainder in range(stride):
        elements = [i for i in range(length) if (remainder + padding - i * dilation) % stride == 0]
        last = elements[-1] if elements else 0
        phases.append((len(elements), (last * dilation - remainder - padding) // stride, last * numbers))
    return stride // common, dilation // common, phases


# ---------------------------------------------------------------- the gradient by the weight


@inlined
def _tile_gradients(sums, per_i, per_j, count, x, x0, x_pixel, x_i, x_j, g, g0, taps_i, taps_j, s0, C):
    """sums[element, c] += sum over `count` neighbours, a multiple of _PIXELS, of g x."""
    for q in range(0, count, _PIXELS):
        source, gradients = x0 + q * x_pixel, g0 + q * C
        for first in range(0, C, LANES):
            c = min(first, C - LANES)
            g_0, g_1 = load(g, gradients + c, LANES), load(g, gradients + C + c, LANES)
            g_2, g_3 = load(g, gradients + 2 * C + c, LANES), load(g, gradients + 3 * C + c, LANES)
            for i in range(taps_i):
                for j in range(taps_j):
                    place, at = s0 + i * per_i + j * per_j + first, source + i * x_i + j * x_j + c
                    total = _multiply_add(load(x, at, LANES), g_0, load(sums, place, LANES))
                    total = _multiply_add(load(x, at + x_pixel, LANES), g_1, total)
                    total = _multiply_add(load(x, at + 2 * x_pixel, LANES), g_2, total)
                    total = _multiply_add(load(x, at + 3 * x_pixel, LANES), g_3, total)
                    store(sums, place, LANES, total)


@inlined
def _single_gradient(sums, per_i, per_j, x, x0, x_i, x_j, g, g0, taps_i, taps_j, s0, C):
    """As `_tile_gradients`, of one result."""
    for first in range(0, C, LANES):
        c = min(first, C - LANES)
        gradient = load(g, g0 + c, LANES)
        for i in range(taps_i):
            for j in range(taps_j):
                place = s0 + i * per_i + j * per_j + first
                element = load(x, x0 + i * x_i + j * x_j + c, LANES)
                store(sums, place, LANES, _multiply_add(element, gradient, load(sums, place, LANES)))


@kernel
def _weight_gradient(
    counter, blocks, parts, x, g, N, H, W, C, Ho, Wo, Kh, Kw, sh, sw, ph, pw, dh, dw, band, stored
):  # fmt: skip
    """parts[block, i, j, c] = the sum over the block's share of all bands of rows, each summed up by itself first."""
    bands = (Ho + band - 1) // band
    size = Kh * Kw * stored
    sums = scratch(size)
    block = next_block(counter)
    while block < blocks:
        part = parts[block * size : (block + 1) * size]
        part[:] = 0
        for unit in range(block * N * bands // blocks, (block + 1) * N * bands // blocks):
            n, h0 = unit // bands, unit % bands * band
            sums[:] = 0
            for h in range(h0, min(h0 + band, Ho)):
                top = h * sh - ph
                i0, i1 = _inside(top, Kh, H, dh)
                line, source = (n * H + top + i0 * dh) * W, (n * Ho + h) * Wo * C
                low, high = _whole(Wo, Kw, W, sw, pw, dw)
                high -= (high - low) % _PIXELS
                for k in range(Wo - (high - low)):
                    q = k if k < low else k + (high - low)
                    left = q * sw - pw
                    j0, j1 = _inside(left, Kw, W, dw)
                    _single_gradient(
                        sums, Kw * stored, stored, x, (line + left + j0 * dw) * C, dh * W * C, dw * C,
                        g, source + q * C, i1 - i0, j1 - j0, (i0 * Kw + j0) * stored, C,
                    )  # fmt: skip
                if high > low:
                    _tile_gradients(
                        sums, Kw * stored, stored, high - low,
                        x, (line + low * sw - pw) * C, sw * C, dh * W * C, dw * C,
                        g, source + low * C, i1 - i0, Kw, i0 * Kw * stored, C,
                    )  # fmt: skip
            for k in range(0, size, LANES):
                store(part, k, LANES, add(load(part, k, LANES), load(sums, k, LANES)))
        block = next_block(counter)


def weight_gradient(
    x: np.ndarray, g: np.ndarray, gw: np.ndarray, stride: Any, padding: Any, dilation: Any
) -> None:
    """gw (C, 1, Kh, Kw) = the gradient by the weight, of x (N, H, W, C) and of g (N, Ho, Wo, C), that by y."""
    N, H, W, C = x.shape
    Ho, Wo = g.shape[1:3]
    if C < LANES:
        wide = np.empty((LANES, *gw.shape[1:]), np.float32)
        weight_gradient(_widened(x), _widened(g), wide, stride, padding, dilation)
        gw[...] = wide[:C]
        return
    Kh, Kw = gw.shape[2:]
    stored = -(-C // LANES) * LANES
    band = _rows_in_block(Ho, Wo, C, stride)
    count = min(_PARTS, N * -(-Ho // band))
    parts = empty((count, Kh, Kw, stored), np.float32)
    team.run(
        _weight_gradient, count, parts.reshape(-1), x.reshape(-1), g.reshape(-1), N, H, W, C, Ho, Wo, Kh, Kw,
        *stride, *padding, *dilation, band, stored,
    )  # fmt: skip
    total = add_parts(parts.reshape(-1), count).reshape(Kh, Kw, stored).transpose(2, 0, 1)
    whole = C - C % LANES
    gw[:whole, 0] = total[:whole]
    gw[whole:, 0] = total[stored - (C - whole) :]  # the last vector ends with the last channel
