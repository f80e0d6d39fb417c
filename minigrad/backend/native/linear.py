"""Fully connected layers: three matrix products of register tiles, with bias and activation while results are at hand.

    y = act(x W^T + b),    gx = g W,    gW = g^T x,    g = gy act'(y)

A tile takes one operand number by number and the other in vectors, which must lie together in memory: a panel of some
columns is copied there first. In the forward product both operands are summed along their rows, so x is transposed into
panels, being smaller than W as a rule, and y comes out transposed, tile by tile. Long sums are cut, so that a panel
stays in the cache. For the layers of small networks this is up to twice as fast as OpenBLAS; very small and very large
products are left to it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.backend.memory import empty
from minigrad.backend.native import elementwise
from minigrad.backend.native.compiling import kernel
from minigrad.backend.native.conv_direct import tile_for
from minigrad.backend.native.instructions import LANES, copy, multiply_tile, next_block
from minigrad.backend.native.layout import FLOAT
from minigrad.backend.native.padding import scratch, zeros
from minigrad.backend.native.team import team

_CHUNK = 512  # terms of a sum at a time: a panel of them takes 64 KiB
_TILES = 8  # tiles to a block of features of y
_FEW, _MANY = (
    1 << 19,
    1 << 28,
)  # multiplications: outside, BLAS is quicker, or done before our threads have begun
_NO_BIAS = np.empty(0, np.float32)


@lru_cache
def _kernels(P: int, V: int) -> Any:
    width = V * LANES

    @kernel
    def transpose(counter, blocks, xt, x, M, K):
        """xt[panel, k, lane] = x[panel width + lane, k], 0 beyond M; a block is a panel."""
        block = next_block(counter)
        while block < blocks:
            count, source, target = min(width, M - block * width), block * width * K, block * K * width
            xt[target : target + K * width] = 0
            for k0 in range(0, K, LANES):
                for lane in range(count):
                    for k in range(k0, min(k0 + LANES, K)):
                        xt[target + k * width + lane] = x[source + lane * K + k]
            block = next_block(counter)

    @kernel
    def forward(counter, blocks, y, xt, w, bias, M, K, O, relu):
        """y[m, o] = act(sum_k x[m, k] w[o, k] + bias[o]); a block is _TILES tiles of o. w has whole tiles of rows."""
        panels, rows = (M + width - 1) // width, _TILES * P
        transposed = scratch(rows * panels * width)  # [o, m]
        block = next_block(counter)
        while block < blocks:
            first = block * rows
            count = min(rows, O - first)
            transposed[:] = 0
            for k in range(0, K, _CHUNK):
                for panel in range(panels):
                    for o in range(0, count, P):
                        multiply_tile(
                            P, V, 0, 1, transposed, (o * panels + panel) * width, panels * width, P, width,
                            w, (first + o) * K + k, K, 1, 0, xt, (panel * K + k) * width, width, 0,
                            min(_CHUNK, K - k), 1,
                        )  # fmt: skip
            for m in range(M):
                for o in range(count):
                    value = transposed[o * panels * width + m]
                    if bias.size:
                        value += bias[first + o]
                    y[m * O + first + o] = np.float32(0) if relu and value < 0 else value
            block = next_block(counter)

    @kernel
    def input_gradient(counter, blocks, gx, g, w, M, K, O):
        """gx[m, k] = sum_o g[m, o] w[o, k]; a block is a panel of k. g has whole tiles of rows."""
        panel = zeros(_CHUNK * width)
        block = next_block(counter)
        while block < blocks:
            first = block * width
            count = min(width, K - first)
            for o in range(0, O, _CHUNK):
                steps = min(_CHUNK, O - o)
                for i in range(steps):
                    copy(panel, i * width, w, (o + i) * K + first, count)
                if o == 0:
                    for m in range(0, M, P):
                        multiply_tile(
                            P, V, 0, 0, gx, m * K + first, K, M - m, count, g, m * O, O, 1, 0,
                            panel, 0, width, 0, steps, 1,
                        )  # fmt: skip
                else:
                    for m in range(0, M, P):
                        multiply_tile(
                            P, V, 0, 1, gx, m * K + first, K, M - m, count, g, m * O + o, O, 1, 0,
                            panel, 0, width, 0, steps, 1,
                        )  # fmt: skip
            block = next_block(counter)

    return transpose, forward, input_gradient


@lru_cache
def _weight_gradient(P: int, V: int) -> Any:
    width = V * LANES

    @kernel
    def weight_gradient(counter, blocks, gw, g, x, M, K, O, g_row):
        """gw[o, k] = sum_m g[m, o] x[m, k]; a block is a panel of k. g has whole tiles of columns, g_row in all."""
        panel = zeros(_CHUNK * width)
        block = next_block(counter)
        while block < blocks:
            first = block * width
            count = min(width, K - first)
            for m in range(0, M, _CHUNK):
                steps = min(_CHUNK, M - m)
                for i in range(steps):
                    copy(panel, i * width, x, (m + i) * K + first, count)
                if m == 0:
                    for o in range(0, O, P):
                        multiply_tile(
                            P, V, 1, 0, gw, o * K + first, K, O - o, count, g, o, 1, g_row, 0,
                            panel, 0, width, 0, steps, 1,
                        )  # fmt: skip
                else:
                    for o in range(0, O, P):
                        multiply_tile(
                            P, V, 1, 1, gw, o * K + first, K, O - o, count, g, m * g_row + o, 1, g_row, 0,
                            panel, 0, width, 0, steps, 1,
                        )  # fmt: skip
            block = next_block(counter)

    return weight_gradient


def _whole_tiles(a: np.ndarray, axis: int, P: int) -> np.ndarray:
    """The matrix, with zeros behind it where the length of an axis is no multiple of P: tiles read that far."""
    missing = -a.shape[axis] % P
    return np.pad(a, [(0, missing if i == axis else 0) for i in range(2)]) if missing else a


def _suits(rows: int, K: int, O: int, *arrays: Any) -> bool:
    return _FEW <= rows * K * O <= _MANY and all(
        a is None or (type(a) is np.ndarray and a.dtype == FLOAT) for a in arrays
    )


def linear_act_forward(xp: Any, x: Any, w: Any, b: Any = None, *, activation: str) -> Any:
    """Kernel of `linear_act`, with relu."""
    (O, K), M = w.shape, x.size // max(w.shape[1], 1)
    if activation not in ("relu", "none") or not _suits(M, K, O, x, w, b):
        return None
    P, V = tile_for(2 * LANES)
    transpose, forward, _ = _kernels(P, V)
    panels = -(-M // (V * LANES))
    xt, y = empty((panels * K * V * LANES,), FLOAT), empty((M, O), FLOAT)
    team.run(transpose, panels, xt, np.ascontiguousarray(x).reshape(-1), M, K)
    bias = _NO_BIAS if b is None else np.ascontiguousarray(b)
    rows = _whole_tiles(np.ascontiguousarray(w), 0, P).reshape(-1)
    team.run(forward, -(-O // (_TILES * P)), y.reshape(-1), xt, rows, bias, M, K, O, activation == "relu")
    return y.reshape((*x.shape[:-1], O))


def linear_forward(xp: Any, x: Any, w: Any, b: Any) -> Any:
    """Kernel of `linear`."""
    return linear_act_forward(xp, x, w, b, activation="none")


def linear_gradient(xp: Any, gy: Any, x: Any, w: Any, x_shape: Any, w_shape: Any, needs: Any) -> Any:
    """Kernel of the gradient of `linear`."""
    O, K = w_shape
    M = gy.size // max(O, 1)
    if not _suits(M, K, O, gy, x, w):
        return None
    g = np.ascontiguousarray(gy).reshape(M, O)
    gx = gw = None
    if needs[0]:
        P, V = tile_for(2 * LANES)
        gx = empty((M, K), FLOAT)
        rows, blocks = _whole_tiles(g, 0, P).reshape(-1), -(-K // (V * LANES))
        team.run(
            _kernels(P, V)[2], blocks, gx.reshape(-1), rows, np.ascontiguousarray(w).reshape(-1), M, K, O
        )
        gx = gx.reshape(x_shape)
    if needs[1]:
        P, V = tile_for(2 * LANES, across=True)
        gw = empty((O, K), FLOAT)
        columns, blocks = _whole_tiles(g, 1, P), -(-K // (V * LANES))
        team.run(
            _weight_gradient(P, V), blocks, gw.reshape(-1), columns.reshape(-1), np.ascontiguousarray(x).reshape(-1),
            M, K, O, columns.shape[1],
        )  # fmt: skip
    return gx, gw, xp.sum(g, axis=0) if needs[2] else None


def linear_act_gradient(
    xp: Any, gy: Any, x: Any, w: Any, y: Any, x_shape: Any, w_shape: Any, needs: Any, *, activation: str
) -> Any:
    """Kernel of the gradient of `linear_act`, with relu."""
    if activation != "relu" or not _suits(y.size // max(w_shape[0], 1), w_shape[1], w_shape[0], gy, y):
        return None
    g = elementwise.relu_gradient(xp, np.ascontiguousarray(gy), y)
    g = np.where(y > 0, gy, np.float32(0)) if g is None else g
    return linear_gradient(xp, g, x, w, x_shape, w_shape, needs)
