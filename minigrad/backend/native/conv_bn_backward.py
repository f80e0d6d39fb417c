"""Backward through batch norm into Winograd's convolution, without writing the gradient that passes between them.

The gradient by the convolution's output is a combination, number by number, of arrays that are at hand:

    gz = of_g g + of_x (z - centre) + constant,    g = gy [y > 0]        (see `batch_norm.py`)

Written out, it would be read twice more: for the gradient by the input, and for that by the weight. Here it is made one
image at a time, in the cache, and both gradients are taken from there; see `conv_winograd.py` for how.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.backend.memory import empty
from minigrad.backend.native.compiling import inlined, kernel
from minigrad.backend.native.conv_direct import tile_for
from minigrad.backend.native.conv_winograd import (
    POINTS,
    filters_at_points,
    gradient_of_filters,
    groups,
    parts_for,
    to_points,
)
from minigrad.backend.native.instructions import LANES, multiply_tile, next_block
from minigrad.backend.native.padding import copy_padded, scratch, zeros
from minigrad.backend.native.parts import first_of_part
from minigrad.backend.native.team import team
from minigrad.backend.native.winograd_transforms import OUTPUT, OUTPUT_GRADIENT, SIZE, TILE, transform

_NOTHING = np.empty(0, np.float32)


@inlined
def _gradient_image(padded, start, columns, z, gy, y, first, Ho, Wo, O, wide, vectors):
    """padded[start + ...] = gz of one image within a border of one pixel; vectors: four rows, each `wide` long."""
    centre, of_g = vectors[:wide], vectors[wide : 2 * wide]
    of_x, constant = vectors[2 * wide : 3 * wide], vectors[3 * wide :]
    for h in range(Ho):
        target, source = start + ((h + 1) * columns + 1) * O, first + h * wide
        result, a, g = padded[target : target + wide], z[source : source + wide], gy[source : source + wide]
        if y.size:
            mask = y[source : source + wide]
            for k in range(wide):
                masked = g[k] if mask[k] > 0 else np.float32(0)
                result[k] = of_g[k] * masked + (of_x[k] * (a[k] - centre[k]) + constant[k])
        else:
            for k in range(wide):
                result[k] = of_g[k] * g[k] + (of_x[k] * (a[k] - centre[k]) + constant[k])


@lru_cache
def _backward(P: int, V: int, across_P: int) -> Any:
    width = V * LANES

    @kernel
    def backward(counter, blocks, gx, sums, x, z, gy, y, vectors, u, N, C, H, W, O, images, group):
        """A block is a share of the images; sums[block, point, c, o] is its part of the gradient at the points."""
        high, wide = (H + TILE - 1) // TILE, (W + TILE - 1) // TILE
        rows, row = high * TILE + 2, wide * TILE + 2
        size, g_size = rows * row * C, rows * row * O
        padded, g_padded = zeros(images * size), zeros(images * g_size)  # their borders stay so
        v, m = scratch((group + P) * POINTS * max(C, O)), scratch(group * POINTS * max(C, O))
        v[:] = 0
        products = v if C == O == width else m  # as in conv_winograd.py
        of_rows = np.empty(4 * W * O, np.float32)
        for k in range(4):
            for i in range(W * O):
                of_rows[k * W * O + i] = vectors[k * O + i % O]
        block = next_block(counter)
        while block < blocks:
            part = block * POINTS * C * O
            sums[part : part + POINTS * C * O] = 0
            begin, end = first_of_part(block, blocks, N), first_of_part(block + 1, blocks, N)
            for n0 in range(begin, end, images):
                here = min(images, end - n0)
                for n in range(here):
                    copy_padded(padded, n * size, rows, row, x, (n0 + n) * H * W * C, H, W, C, 1, 1, False)
                    _gradient_image(
                        g_padded, n * g_size, row, z, gy, y, (n0 + n) * H * W * O, H, W, O, W * O, of_rows
                    )
                for first in range(0, here * high * wide, group):
                    tiles = min(group, here * high * wide - first)
                    # The gradient by the weight: m is that by the outputs, at the points
                    to_points(v, padded, 0, size, C, high, wide, first, tiles, row)
                    for t in range(tiles):
                        n, q = (first + t) // (high * wide), (first + t) % (high * wide)
                        corner = n * g_size + ((q // wide * TILE + 1) * row + q % wide * TILE + 1) * O
                        for o in range(0, O, LANES):
                            transform(
                                OUTPUT_GRADIENT, m, t * POINTS * O + o, SIZE * O, O, SIZE, SIZE,
                                g_padded, corner + o, row * O, O,
                            )  # fmt: skip
                    for point in range(POINTS):
                        for c in range(0, C, across_P):
                            for o in range(0, O, width):
                                multiply_tile(
                                    across_P, V, 1, 1, sums, part + (point * C + c) * O + o, O, C - c, width,
                                    v, point * C + c, 1, POINTS * C, 0, m, point * O + o, POINTS * O, 0, tiles, 1,
                                )  # fmt: skip
                    # The gradient by the input: a convolution of gz
                    to_points(v, g_padded, 0, g_size, O, high, wide, first, tiles, row)
                    for point in range(POINTS):
                        for c in range(0, C, width):
                            for t in range(0, tiles, P):
                                multiply_tile(
                                    P, V, 0, 0, products, (t * POINTS + point) * C + c, POINTS * C, tiles - t, width,
                                    v, (t * POINTS + point) * O, POINTS * O, 1, 0,
                                    u, (point * C + c) * O, width, 0, O, 1,
                                )  # fmt: skip
                    for t in range(tiles):
                        n, q = (first + t) // (high * wide), (first + t) % (high * wide)
                        h, w = q // wide * TILE, q % wide * TILE
                        for c in range(0, C, LANES):
                            transform(
                                OUTPUT, gx, (((n0 + n) * H + h) * W + w) * C + c, W * C, C, H - h, W - w,
                                products, t * POINTS * C + c, SIZE * C, C,
                            )  # fmt: skip
            block = next_block(counter)

    return backward


def suits(C: int, O: int, padding: Any) -> bool:
    """Whether `backward` takes it, where `conv_winograd` is the way anyway: borders of one pixel, tiles of one kind."""
    return tuple(padding) == (1, 1) and tile_for(C)[1] == tile_for(O)[1]


def backward(
    x: np.ndarray, w: np.ndarray, z: np.ndarray, gy: np.ndarray, y: np.ndarray | None, vectors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """gx (N, H, W, C) and gw (O, C, 3, 3).

    x (N, H, W, C), w (O, C, 3, 3), z and gy (N, H, W, O), y likewise, or None where nothing was cut off;
    vectors: float32 (4, O): centre, of_g, of_x, constant.
    """
    N, H, W, C = x.shape
    O = z.shape[3]
    gx, gw = empty(x.shape, np.float32), np.empty((O, C, 3, 3), np.float32)
    u = filters_at_points(w, O, C, True)
    P, V = tile_for(C)
    across_P = tile_for(C, across=True)[0]
    images, group = groups(N, -(-H // TILE) * -(-W // TILE), C + O, P)
    parts = parts_for(N, C, O)
    images = min(images, -(-N // parts))
    sums = empty((parts * POINTS * C * O,), np.float32)
    team.run(
        _backward(P, V, across_P), parts, gx.reshape(-1), sums, x.reshape(-1), z.reshape(-1), gy.reshape(-1),
        _NOTHING if y is None else y.reshape(-1), vectors.reshape(-1), u, N, C, H, W, O, images, group,
    )  # fmt: skip
    gradient_of_filters(gw, sums, parts, C, O)
    return gx, gw
