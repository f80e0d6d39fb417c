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
from typing import Any, NamedTuple

import numpy as np

from minigrad.backend.memory import empty
from minigrad.backend.native.channel_statistics import scratch_width
from minigrad.backend.native.compiling import kernel
from minigrad.backend.native.conv_finish import NOTHING, Finish, finish
from minigrad.backend.native.instructions import LANES, has_wide_registers, multiply_tile, next_block
from minigrad.backend.native.padding import copy_padded, scratch, zeros
from minigrad.backend.native.parts import add_parts, first_of_part
from minigrad.backend.native.team import alone, team

# Of padded images at a time: they share the second-level cache with the weights, and weights that do not fit into it
# are fetched anew for each such share of the images
_SCRATCH_BYTES, _LARGE_SCRATCH_BYTES, _LARGE_WEIGHTS = 1 << 18, 1 << 20, 1 << 17
_BLOCK = 1 << 16  # numbers to be set to 0 at a time
_SHORT_ROW = 16  # pixels, up to which rows of tiles have much left over
_WORTH_SHARING = 1 << 16  # numbers to be packed: for fewer, other threads would come too late
_PARTS = 8  # partial sums of the gradient by the weight: as many threads can share the work


def tile_for(channels: int, across: bool = False, row: int = 8) -> tuple[int, int]:
    """(P, V) for so many output channels: 14 to 16 sums are under way, which hides the latency of an addition.

    across: for products whose rows lie together (the gradient by the weight), where counts are multiples of 8.
    row: how many neighbouring results there are; a tile is not much longer.
    """
    if not has_wide_registers():
        return (4, 1) if across or row <= 4 else (6, 1)
    if channels % (4 * LANES) == 0 and row <= 4:
        return 4, 4
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


class Piece(NamedTuple):
    """Some rows of output: where they go, and what they see; all ints. See `_pieces` and `input_gradient`."""

    y0: int  # where the first of them begins within an image of y,
    y_row: int  # how far apart rows lie there,
    y_pixel: int  # and pixels
    rows: int
    columns: int
    top: int  # zeros in front of the first row's window,
    left: int  # and of the first column's
    Kh: int
    Kw: int
    w0: int  # where the packed weights begin


@lru_cache
def _convolution(P: int, V: int) -> Any:
    width = V * LANES

    @kernel
    def convolve(
        counter,
        blocks,
        y,
        y_image,
        O,
        x,
        N,
        H,
        W,
        C,
        w,
        sh,
        sw,
        pieces,
        images,
        space,
        bias,
        residual,
        relu,
        sums,
    ):
        """A block is one of the pieces, rows of a matrix, of `images` images. The last four: see conv_finish.py."""
        padded = zeros(images * space + P * sw * C)  # a tile may read on behind the last pixel
        for_finish = scratch(3 * scratch_width(O) if sums.size else 1)
        several = len(pieces) > 1
        block = next_block(counter)
        while block < blocks:
            piece, n0 = block % len(pieces), block // len(pieces) * images
            y0, y_row, y_pixel, rows, columns, top, left, Kh, Kw, w0 = pieces[piece]
            count = min(images, N - n0)
            high, wide = (rows - 1) * sh + Kh, (columns - 1) * sw + Kw
            for n in range(count):
                copy_padded(
                    padded, n * space, high, wide, x, (n0 + n) * H * W * C, H, W, C, top, left, several
                )
            for o in range(0, O, width):
                for n in range(count):
                    for h in range(rows):
                        for first in range(0, columns, P):
                            column = min(first, max(columns - P, 0))  # the last tile overlaps the one before
                            multiply_tile(
                                P, V, 0, 0, y, y0 + (n0 + n) * y_image + h * y_row + column * y_pixel + o,
                                y_pixel, columns - column, O - o,
                                padded, n * space + (h * sh * wide + column * sw) * C, sw * C, 1, wide * C,
                                w, w0 + o * Kh * Kw * C, width, Kw * C * width, Kw * C, Kh,
                            )  # fmt: skip
            for n in range(n0, n0 + count):
                finish(
                    y, y0 + n * y_image, rows * columns, O, n * len(pieces) + piece, for_finish,
                    bias, residual, relu, sums,
                )  # fmt: skip
            block = next_block(counter)

    return convolve


def _scratch_bytes(C: int, O: int, kernel_size: Any) -> int:
    return (
        _LARGE_SCRATCH_BYTES if kernel_size[0] * kernel_size[1] * C * O > _LARGE_WEIGHTS else _SCRATCH_BYTES
    )


def _bands(piece: Piece, C: int, stride: Any, limit: int) -> list[Piece]:
    """The piece, cut into bands of rows whose padded images have at most `limit` bytes each."""
    row_bytes = ((piece.columns - 1) * stride[1] + piece.Kw) * C * 4
    band = max(1, min(piece.rows, (limit // row_bytes - piece.Kh) // stride[0] + 1))
    return [
        piece._replace(
            y0=piece.y0 + h * piece.y_row, rows=min(band, piece.rows - h), top=piece.top - h * stride[0]
        )
        for h in range(0, piece.rows, band)
    ]


def _rows(counts: Any, size: Any, kernel_size: Any, stride: Any) -> tuple[int, int]:
    """Rows of output and their length: a small image under a window of one pixel is a single row."""
    Ho, Wo = counts
    single = tuple(kernel_size) == tuple(stride) == (1, 1) and (Ho, Wo) == tuple(size) and Wo <= _SHORT_ROW
    return (1, Ho * Wo) if single else (Ho, Wo)


def _pieces(
    counts: Any, size: Any, C: int, O: int, kernel_size: Any, stride: Any, top: int, left: int
) -> list[Piece]:
    """The pieces of a convolution whose results lie one behind the other, as (Ho, Wo, O)."""
    Ho, Wo = _rows(counts, size, kernel_size, stride)
    whole = Piece(0, Wo * O, O, Ho, Wo, top, left, kernel_size[0], kernel_size[1], 0)
    return _bands(whole, C, stride, _scratch_bytes(C, O, kernel_size))


def parts_of(N: int, counts: Any, size: Any, C: int, O: int, kernel_size: Any, stride: Any) -> np.ndarray:
    """How many pixels each part of y has of which statistics are gathered: a band of an image, or a whole one."""
    pieces = _pieces(counts, size, C, O, kernel_size, stride, 0, 0)
    return np.tile([float(piece.rows * piece.columns) for piece in pieces], N)


def suits_weight_gradient(C: int, O: int, counts: Any, kernel_size: Any) -> bool:
    """Whether partial sums are small beside what goes into them; else one matrix product over all images is quicker."""
    return kernel_size[0] * kernel_size[1] * C * O <= 2 * _LARGE_WEIGHTS or counts[0] * counts[1] > 1024


def convolve(
    x: np.ndarray, w: np.ndarray, y: np.ndarray, stride: Any, top: int, left: int, finishing: Finish = NOTHING
) -> None:
    """y (N, Ho, Wo, O) = the convolution of x (N, H, W, C) with w (O, C, Kh, Kw), `top` and `left` zeros in front."""
    size, C, O, kernel_size = x.shape[1:3], x.shape[3], y.shape[3], w.shape[2:]
    pieces = _pieces(y.shape[1:3], size, C, O, kernel_size, stride, top, left)
    if _rows(y.shape[1:3], size, kernel_size, stride) != y.shape[1:3]:
        x = x.reshape(len(x), 1, -1, C)
    tile = tile_for(O, row=pieces[0].columns)
    packed = _packed(w, C, O, tile, [(kernel_size, 0)], (w.shape[3], 1, w[0, 0].size, w[0].size))
    _run(x, packed, y, tile, stride, pieces, finishing)


def _packed(
    w: np.ndarray, C: int, O: int, tile: tuple[int, int], filters: Any, steps: tuple[int, ...]
) -> np.ndarray:
    """The weights of some filters, one behind the other, as tiles take them: see `pack_weights`.

    filters: of each its size, and where in w its first tap stands; steps: how far apart w's numbers lie along kh, kw, C
    (summed over) and O (of the results).
    """
    width = tile[1] * LANES
    blocks = -(-O // width)
    sizes = [blocks * width * C * Kh * Kw for (Kh, Kw), _ in filters]
    packed, start = empty((sum(sizes),), np.float32), 0
    for ((Kh, Kw), first), count in zip(filters, sizes):
        run = team.run if count > _WORTH_SHARING else alone
        run(pack_weights, blocks, packed[start:], w.reshape(-1), width, Kh, Kw, C, O, first, *steps)
        start += count
    return packed


def _run(
    x: np.ndarray, packed: np.ndarray, y: np.ndarray, tile: tuple[int, int], stride: Any, pieces: list[Piece],
    finishing: Finish,
) -> None:  # fmt: skip
    N, H, W, C = x.shape
    O = y.shape[3]
    space = max(((p.rows - 1) * stride[0] + p.Kh) * ((p.columns - 1) * stride[1] + p.Kw) * C for p in pieces)
    limit = _scratch_bytes(C, O, (pieces[0].Kh, pieces[0].Kw))
    images = max(1, min(limit // (4 * space), N // 16))
    blocks = -(-N // images) * len(pieces)
    team.run(
        _convolution(*tile), blocks, y.reshape(-1), y[0].size, O, x.reshape(-1), N, H, W, C, packed, *stride,
        np.array(pieces), images, space, *finishing,
    )  # fmt: skip


@kernel
def _clear(counter, blocks, y):
    block = next_block(counter)
    while block < blocks:
        y[block * _BLOCK : (block + 1) * _BLOCK] = 0
        block = next_block(counter)


def input_gradient(g: np.ndarray, w: np.ndarray, gx: np.ndarray, stride: Any, padding: Any) -> None:
    """gx = the gradient of a convolution by its input, from that by its output g (N, Ho, Wo, O).

    An input at position h = q s + r - p is seen by the taps r, r + s, r + 2s, ... of the windows q, q - 1, q - 2, ...:
    for each remainder r a convolution of g with these taps in reverse order, whose results lie s apart.
    """
    _, H, W, C = gx.shape
    O, (Kh, Kw), (sh, sw), (ph, pw) = len(w), w.shape[2:], stride, padding
    if Kh < sh or Kw < sw:
        team.run(_clear, -(-gx.size // _BLOCK), gx.reshape(-1))  # positions that no window sees
    tile = tile_for(C, row=-(-W // sw))
    width = tile[1] * LANES
    filters: list[Any] = []
    pieces: list[Piece] = []
    w0 = 0
    for i in range(min(sh, Kh)):
        for j in range(min(sw, Kw)):
            (h0, rows, taps_h, top), (first, columns, taps_w, left) = (
                _phase(i, H, Kh, sh, ph),
                _phase(j, W, Kw, sw, pw),
            )
            if rows > 0 and columns > 0:
                last = (
                    (i + (taps_h - 1) * sh) * Kw + j + (taps_w - 1) * sw
                )  # of the taps: they are taken backwards
                filters.append(((taps_h, taps_w), last))
                piece = Piece(
                    (h0 * W + first) * C, sh * W * C, sw * C, rows, columns, top, left, taps_h, taps_w, w0
                )
                pieces += _bands(piece, O, (1, 1), _scratch_bytes(O, C, (taps_h, taps_w)))
                w0 += -(-C // width) * width * O * taps_h * taps_w
    if pieces:
        packed = _packed(w, O, C, tile, filters, (-sh * Kw, -sw, w[0].size, Kh * Kw))
        _run(g, packed, gx, tile, (1, 1), pieces, NOTHING)


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
            for n in range(first_of_part(block, blocks, N), first_of_part(block + 1, blocks, N)):
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
