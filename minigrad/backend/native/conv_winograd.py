"""Winograd's convolution F(4x4, 3x3), for windows of 3 x 3 with stride 1: a quarter of the multiplications.

Images are cut into tiles of 4 x 4 outputs, each of which sees 6 x 6 inputs. Tiles and filters are taken to their values
at 36 points (`winograd_transforms.py`); there, convolution is a product of matrices for each point,

    M[point] (tiles, O) = V[point] (tiles, C)  U[point] (C, O)

and its results are taken back to outputs. A group of tiles goes through all three stages while it is in the cache.
The gradient by the weight is the transpose of all that: S[point] (C, O) = V^T Z, summed over all tiles, where Z are
the tiles of gy at the points; then back to 3 x 3.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.backend.memory import empty
from minigrad.backend.native.channel_statistics import scratch_width
from minigrad.backend.native.compiling import inlined, kernel
from minigrad.backend.native.conv_direct import tile_for
from minigrad.backend.native.conv_finish import NOTHING, Finish, finish
from minigrad.backend.native.instructions import LANES, multiply_tile, next_block
from minigrad.backend.native.padding import copy_padded, scratch, zeros
from minigrad.backend.native.parts import add_parts, first_of_part
from minigrad.backend.native.team import alone, team
from minigrad.backend.native.winograd_transforms import (
    FILTER,
    FILTER_GRADIENT,
    INPUT,
    OUTPUT,
    OUTPUT_GRADIENT,
    SIZE,
    TILE,
    transform,
)

POINTS, TAPS = SIZE * SIZE, 9
_GROUP_BYTES = 1 << 19  # of tiles at their points, inputs and outputs: a quarter of a second-level cache
_WORTH_SHARING = 1 << 10  # filters: fewer are done before another thread has started
_PARTS = 16  # of the gradient by the weight, each a partial sum; half as many if they are large


def suits(C: int, O: int, Ho: int, Wo: int) -> bool:
    """Whether channels fill whole vectors, and outputs most of their tiles."""
    tiles = -(-Ho // TILE) * -(-Wo // TILE)
    return C % LANES == 0 and O % LANES == 0 and Ho * Wo * 2 > tiles * TILE * TILE


@kernel
def _filters(counter, blocks, u, w, rows, columns, width, per_row, per_column, turned):
    """u[point, c // width, r, c % width] = the filter w[r per_row + c per_column + tap] at the points.

    A block is LANES of r by as many c.
    turned: take the taps backwards.
    """
    together = scratch(TAPS * LANES)
    bands = (rows + LANES - 1) // LANES
    block = next_block(counter)
    while block < blocks:
        first, column = block % bands * LANES, block // bands * LANES
        for r in range(first, min(first + LANES, rows)):
            for lane in range(LANES):
                source = r * per_row + (column + lane) * per_column
                for tap in range(TAPS):
                    together[(TAPS - 1 - tap if turned else tap) * LANES + lane] = w[source + tap]
            transform(
                FILTER, u, column // width * rows * width + r * width + column % width,
                SIZE * rows * columns, rows * columns, SIZE, SIZE,
                together, 0, 3 * LANES, LANES,
            )  # fmt: skip
        block = next_block(counter)


def filters_at_points(w: np.ndarray, C: int, O: int, by_input: bool) -> np.ndarray:
    """u, flat (point, O / width, C, width): the filters w (O, C, 3, 3); with by_input those of w (C, O, 3, 3), turned.

    Panels of `width` columns, those of a tile, lie together: walking down one is walking along memory.
    """
    u = empty((POINTS * C * O,), np.float32)
    steps = (O * 9, 9) if by_input else (9, C * 9)
    run = team.run if C * O > _WORTH_SHARING else alone
    width = tile_for(O)[1] * LANES
    run(_filters, O // LANES * -(-C // LANES), u, w.reshape(-1), C, O, width, *steps, by_input)
    return u


@inlined
def to_points(v, x, place, size, C, tiles_high, tiles_wide, first, tiles, row):
    """v[t, point, c] = the input tile number first + t at the points; x: padded images, each `size` long."""
    for t in range(tiles):
        n, q = (first + t) // (tiles_high * tiles_wide), (first + t) % (tiles_high * tiles_wide)
        corner = place + n * size + (q // tiles_wide * TILE * row + q % tiles_wide * TILE) * C
        for c in range(0, C, LANES):
            transform(INPUT, v, t * POINTS * C + c, SIZE * C, C, SIZE, SIZE, x, corner + c, row * C, C)


@lru_cache
def _convolution(P: int, V: int) -> Any:
    width = V * LANES

    @kernel
    def convolve(
        counter, blocks, y, x, N, H, W, C, Ho, Wo, O, top, left, u, images, group, bias, residual, relu, sums
    ):
        """A block is `images` images, gone through in groups of tiles."""
        high, wide = (Ho + TILE - 1) // TILE, (Wo + TILE - 1) // TILE
        rows, row = high * TILE + 2, wide * TILE + 2
        size = rows * row * C
        padded = zeros(images * size)
        v = zeros((group + P) * POINTS * C)  # the last product of a group reads on
        # A product may take its operand's place if it is written when all has been read: less memory in the cache
        m = v if C == O == width else scratch(group * POINTS * O)
        space = scratch(3 * scratch_width(O) if sums.size else 1)
        block = next_block(counter)
        while block < blocks:
            n0 = block * images
            here = min(images, N - n0)
            for n in range(here):
                copy_padded(padded, n * size, rows, row, x, (n0 + n) * H * W * C, H, W, C, top, left, False)
            for first in range(0, here * high * wide, group):
                tiles = min(group, here * high * wide - first)
                to_points(v, padded, 0, size, C, high, wide, first, tiles, row)
                for point in range(POINTS):
                    for o in range(0, O, width):
                        for t in range(0, tiles, P):
                            multiply_tile(
                                P, V, 0, 0, m, (t * POINTS + point) * O + o, POINTS * O, tiles - t, width,
                                v, (t * POINTS + point) * C, POINTS * C, 1, 0,
                                u, (point * O + o) * C, width, 0, C, 1,
                            )  # fmt: skip
                for t in range(tiles):
                    n, q = (first + t) // (high * wide), (first + t) % (high * wide)
                    h, w = q // wide * TILE, q % wide * TILE
                    for o in range(0, O, LANES):
                        transform(
                            OUTPUT, y, (((n0 + n) * Ho + h) * Wo + w) * O + o, Wo * O, O, Ho - h, Wo - w,
                            m, t * POINTS * O + o, SIZE * O, O,
                        )  # fmt: skip
            for n in range(n0, n0 + here):
                finish(y, n * Ho * Wo * O, Ho * Wo, O, n, space, bias, residual, relu, sums)
            block = next_block(counter)

    return convolve


def groups(N: int, tiles: int, numbers: int, P: int) -> tuple[int, int]:
    """(images, group): images to a block, and tiles to a group, a multiple of P that fits into the cache."""
    group = max(P, min(_GROUP_BYTES // (POINTS * 4 * numbers), 4 * P) // P * P)
    images = max(1, min(-(-group // tiles), N // 16))
    return images, min(group, -(-images * tiles // P) * P)


def convolve(
    x: np.ndarray, w: np.ndarray, y: np.ndarray, top: int, left: int, by_input: bool = False,
    finishing: Finish = NOTHING,
) -> None:  # fmt: skip
    """y (N, Ho, Wo, O) = the convolution of x (N, H, W, C) with w, `top` and `left` zeros in front.

    w: (O, C, 3, 3); with by_input it is (C, O, 3, 3) and its taps are turned: y is then the gradient of a convolution
    by its input.
    """
    N, H, W, C = x.shape
    _, Ho, Wo, O = y.shape
    u = filters_at_points(w, C, O, by_input)
    P, V = tile_for(O)
    images, group = groups(N, -(-Ho // TILE) * -(-Wo // TILE), C + O, P)
    team.run(
        _convolution(P, V), -(-N // images), y.reshape(-1), x.reshape(-1), N, H, W, C, Ho, Wo, O, top, left,
        u, images, group, *finishing,
    )  # fmt: skip


@lru_cache
def _weight_gradient(P: int, V: int) -> Any:
    width = V * LANES

    @kernel
    def gradient(counter, blocks, sums, x, g, N, H, W, C, Ho, Wo, O, top, left, images, group):
        """sums[block, point, c, o] = sum over the tiles of the block's images."""
        high, wide = (Ho + TILE - 1) // TILE, (Wo + TILE - 1) // TILE
        rows, row = high * TILE + 2, wide * TILE + 2
        size, g_size = rows * row * C, high * TILE * wide * TILE * O
        padded, g_padded = zeros(images * size), zeros(images * g_size)
        v, z = scratch(group * POINTS * C + P), scratch(group * POINTS * O)
        block = next_block(counter)
        while block < blocks:
            part = block * POINTS * C * O
            sums[part : part + POINTS * C * O] = 0
            begin, end = first_of_part(block, blocks, N), first_of_part(block + 1, blocks, N)
            for n0 in range(begin, end, images):
                here = min(images, end - n0)
                for n in range(here):
                    copy_padded(
                        padded, n * size, rows, row, x, (n0 + n) * H * W * C, H, W, C, top, left, False
                    )
                    copy_padded(
                        g_padded,
                        n * g_size,
                        high * TILE,
                        wide * TILE,
                        g,
                        (n0 + n) * Ho * Wo * O,
                        Ho,
                        Wo,
                        O,
                        0,
                        0,
                        False,
                    )
                for first in range(0, here * high * wide, group):
                    tiles = min(group, here * high * wide - first)
                    to_points(v, padded, 0, size, C, high, wide, first, tiles, row)
                    for t in range(tiles):
                        n, q = (first + t) // (high * wide), (first + t) % (high * wide)
                        corner = n * g_size + (q // wide * TILE * wide * TILE + q % wide * TILE) * O
                        for o in range(0, O, LANES):
                            transform(
                                OUTPUT_GRADIENT, z, t * POINTS * O + o, SIZE * O, O, SIZE, SIZE,
                                g_padded, corner + o, wide * TILE * O, O,
                            )  # fmt: skip
                    for point in range(POINTS):
                        for c in range(0, C, P):
                            for o in range(0, O, width):
                                multiply_tile(
                                    P, V, 1, 1, sums, part + (point * C + c) * O + o, O, C - c, width,
                                    v, point * C + c, 1, POINTS * C, 0, z, point * O + o, POINTS * O, 0, tiles, 1,
                                )  # fmt: skip
            block = next_block(counter)

    return gradient


@kernel
def _filter_gradient(counter, blocks, gw, sums, C, O):
    """gw[o, c, tap] = what the sums at the points say of the filters; a block is LANES of o by LANES of c."""
    taps = scratch(LANES * TAPS * LANES)
    bands = (C + LANES - 1) // LANES
    block = next_block(counter)
    while block < blocks:
        first, o = block % bands * LANES, block // bands * LANES
        many = min(LANES, C - first)
        for c in range(many):
            transform(
                FILTER_GRADIENT, taps, c * TAPS * LANES, 3 * LANES, LANES, 3, 3,
                sums, (first + c) * O + o, SIZE * C * O, C * O,
            )  # fmt: skip
        for lane in range(LANES):
            target = ((o + lane) * C + first) * TAPS
            for i in range(many * TAPS):
                gw[target + i] = taps[i * LANES + lane]
        block = next_block(counter)


def parts_for(N: int, C: int, O: int) -> int:
    """Into how many parts the sum over images is cut: how many threads can share the work."""
    return min(N, _PARTS if C * O <= 2048 else _PARTS // 2)


def gradient_of_filters(gw: np.ndarray, sums: np.ndarray, parts: int, C: int, O: int) -> None:
    """gw (O, C, 3, 3) from sums, flat (parts, point, C, O), those of gradients at the points; overwrites sums."""
    if parts > 1:
        add_parts(sums, parts)
    run = team.run if C * O > _WORTH_SHARING else alone
    run(_filter_gradient, O // LANES * -(-C // LANES), gw.reshape(-1), sums, C, O)


def weight_gradient(x: np.ndarray, g: np.ndarray, gw: np.ndarray, top: int, left: int) -> None:
    """gw (O, C, 3, 3) = the gradient of a convolution of x (N, H, W, C) by its weight; g (N, Ho, Wo, O)."""
    N, H, W, C = x.shape
    _, Ho, Wo, O = g.shape
    P, V = tile_for(O, across=True)
    images, group = groups(N, -(-Ho // TILE) * -(-Wo // TILE), C + O, 16)
    parts = parts_for(N, C, O)
    sums = empty((parts * POINTS * C * O,), np.float32)
    team.run(
        _weight_gradient(P, V), parts, sums, x.reshape(-1), g.reshape(-1), N, H, W, C, Ho, Wo, O, top, left,
        images, group,
    )  # fmt: skip
    gradient_of_filters(gw, sums, parts, C, O)
