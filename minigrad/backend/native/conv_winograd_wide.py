"""Winograd's convolution for many channels: one stage after the other, for all images.

With many channels the filters at the 36 points no longer fit into the cache, and walking through them for every few
tiles (as `conv_winograd.py` does) would wait for memory. So here all tiles are taken to the points first, then each
point's product is computed at once, its filters read once, then all tiles are taken back. Between the stages the
numbers lie point by point: (point, tiles, channels).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.backend.memory import empty
from minigrad.backend.native.channel_statistics import scratch_width
from minigrad.backend.native.compiling import kernel
from minigrad.backend.native.conv_direct import tile_for
from minigrad.backend.native.conv_finish import NOTHING, Finish, finish
from minigrad.backend.native.conv_winograd import POINTS, filters_at_points, gradient_of_filters
from minigrad.backend.native.instructions import LANES, copy, multiply_tile, next_block
from minigrad.backend.native.padding import copy_padded, scratch, zeros
from minigrad.backend.native.team import team
from minigrad.backend.native.winograd_transforms import INPUT, OUTPUT, OUTPUT_GRADIENT, SIZE, TILE, transform

_STEPS = 256  # tiles to a product at a time, where the sum runs over tiles: three stripes of them fit into the cache


@kernel
def _inputs_to_points(counter, blocks, v, x, H, W, C, high, wide, top, left):
    """v[point, t, c] = input tile t at the points; a block is an image."""
    rows, row, count = high * TILE + 2, wide * TILE + 2, high * wide
    padded = zeros(rows * row * C)
    block = next_block(counter)
    while block < blocks:
        copy_padded(padded, 0, rows, row, x, block * H * W * C, H, W, C, top, left, False)
        for t in range(count):
            corner = (t // wide * TILE * row + t % wide * TILE) * C
            for c in range(0, C, LANES):
                transform(
                    INPUT, v, (block * count + t) * C + c, SIZE * blocks * count * C, blocks * count * C, SIZE, SIZE,
                    padded, corner + c, row * C, C,
                )  # fmt: skip
        block = next_block(counter)


@kernel
def _gradients_to_points(counter, blocks, z, g, Ho, Wo, O, high, wide):
    """z[point, t, o] = tile t of the output's gradient at the points; a block is an image."""
    rows, row, count = high * TILE, wide * TILE, high * wide
    padded = zeros(rows * row * O)
    block = next_block(counter)
    while block < blocks:
        copy_padded(padded, 0, rows, row, g, block * Ho * Wo * O, Ho, Wo, O, 0, 0, False)
        for t in range(count):
            corner = (t // wide * TILE * row + t % wide * TILE) * O
            for o in range(0, O, LANES):
                transform(
                    OUTPUT_GRADIENT, z, (block * count + t) * O + o,
                    SIZE * blocks * count * O, blocks * count * O, SIZE, SIZE, padded, corner + o, row * O, O,
                )  # fmt: skip
        block = next_block(counter)


@lru_cache
def _products(P: int, V: int) -> Any:
    width = V * LANES

    @kernel
    def multiply(counter, blocks, m, v, u, tiles, C, O):
        """m[point, t, o] = sum_c v[point, t, c] u[point, c, o]; a block is a point."""
        point = next_block(counter)
        while point < blocks:
            for o in range(0, O, width):
                for t in range(0, tiles, P):
                    first = min(
                        t, max(tiles - P, 0)
                    )  # the last one overlaps: nothing behind the tiles is read
                    multiply_tile(
                        P, V, 0, 0, m, (point * tiles + first) * O + o, O, tiles - first, width,
                        v, (point * tiles + first) * C, C, 1, 0, u, (point * O + o) * C, width, 0, C, 1,
                    )  # fmt: skip
            point = next_block(counter)

    return multiply


@lru_cache
def _products_over_tiles(P: int, V: int) -> Any:
    width = V * LANES

    @kernel
    def multiply(counter, blocks, s, v, z, tiles, C, O):
        """s[point, c, o] = sum_t v[point, t, c] z[point, t, o]; a block is a point."""
        panel = scratch(_STEPS * width)
        point = next_block(counter)
        while point < blocks:
            s[point * C * O : (point + 1) * C * O] = 0
            for t in range(0, tiles, _STEPS):
                steps = min(_STEPS, tiles - t)
                for o in range(0, O, width):
                    for i in range(steps):  # a panel of columns that lie together
                        copy(panel, i * width, z, (point * tiles + t + i) * O + o, width)
                    for c in range(0, C, P):
                        multiply_tile(
                            P, V, 1, 1, s, (point * C + c) * O + o, O, C - c, width,
                            v, (point * tiles + t) * C + c, 1, C, 0, panel, 0, width, 0, steps, 1,
                        )  # fmt: skip
            point = next_block(counter)

    return multiply


@kernel
def _from_points(counter, blocks, y, m, Ho, Wo, O, high, wide, bias, residual, relu, sums):
    """y = the outputs of all tiles of m[point, t, o]; a block is an image."""
    count = high * wide
    space = scratch(3 * scratch_width(O) if sums.size else 1)
    block = next_block(counter)
    while block < blocks:
        for t in range(count):
            h, w = t // wide * TILE, t % wide * TILE
            for o in range(0, O, LANES):
                transform(
                    OUTPUT, y, ((block * Ho + h) * Wo + w) * O + o, Wo * O, O, Ho - h, Wo - w,
                    m, (block * count + t) * O + o, SIZE * blocks * count * O, blocks * count * O,
                )  # fmt: skip
        finish(y, block * Ho * Wo * O, Ho * Wo, O, block, space, bias, residual, relu, sums)
        block = next_block(counter)


def convolve(
    x: np.ndarray, w: np.ndarray, y: np.ndarray, top: int, left: int, by_input: bool = False,
    finishing: Finish = NOTHING,
) -> None:  # fmt: skip
    """As `conv_winograd.convolve`."""
    N, H, W, C = x.shape
    _, Ho, Wo, O = y.shape
    high, wide = -(-Ho // TILE), -(-Wo // TILE)
    tiles = N * high * wide
    u = filters_at_points(w, C, O, by_input)
    P, V = tile_for(O)
    v = empty((POINTS * tiles * C + P * C,), np.float32)
    m = empty((POINTS * tiles * O,), np.float32)
    team.run(_inputs_to_points, N, v, x.reshape(-1), H, W, C, high, wide, top, left)
    team.run(_products(P, V), POINTS, m, v, u, tiles, C, O)
    team.run(_from_points, N, y.reshape(-1), m, Ho, Wo, O, high, wide, *finishing)


def weight_gradient(x: np.ndarray, g: np.ndarray, gw: np.ndarray, top: int, left: int) -> None:
    """As `conv_winograd.weight_gradient`."""
    N, H, W, C = x.shape
    _, Ho, Wo, O = g.shape
    high, wide = -(-Ho // TILE), -(-Wo // TILE)
    tiles = N * high * wide
    P, V = tile_for(O, across=True)
    v = empty((POINTS * tiles * C + P,), np.float32)
    z = empty((POINTS * tiles * O,), np.float32)
    s = empty((POINTS * C * O,), np.float32)
    team.run(_inputs_to_points, N, v, x.reshape(-1), H, W, C, high, wide, top, left)
    team.run(_gradients_to_points, N, z, g.reshape(-1), Ho, Wo, O, high, wide)
    team.run(_products_over_tiles(P, V), POINTS, s, v, z, tiles, C, O)
    gradient_of_filters(gw, s, 1, C, O)
