"""Layer normalisation of float32 arrays in C order: forward one pass over memory, backward one.

    y = w (x - mean) r + b,    gx = r (g - mean(g) - x' mean(g x')),    x' = (x - mean) r,    g = w gy

Backward computes the statistics of a row again, while it is in the cache. Sums over rows, for gw and gb, are
taken in blocks of rows, and those added in float64. Differences from the plain definition: rounding, 1e-6 of the
largest value.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.backend.memory import empty
from minigrad.backend.native.layer_norm_loops import backward_loop, forward_loop
from minigrad.backend.native.layout import FLOAT
from minigrad.backend.native.team import team

_BLOCK, _FEWEST = 1 << 14, 16  # numbers in a block; rows in a block


def _rows(x: Any, normalized_shape: Any, *vectors: Any) -> tuple[int, int] | None:
    """How many rows of how many numbers x is; None where the kernel does not fit."""
    if type(x) is not np.ndarray or x.dtype != FLOAT or not x.size or not x.flags.c_contiguous:
        return None
    if any(v is not None and v.dtype != FLOAT for v in vectors):
        return None
    n = math.prod(normalized_shape)
    return x.size // n, n


def _flat(vector: Any, n: int, value: float) -> np.ndarray:
    return np.full(n, value, FLOAT) if vector is None else np.ascontiguousarray(vector).reshape(-1)


def layer_norm_forward(xp: Any, x: Any, w: Any, b: Any, *, normalized_shape: Any, eps: float) -> Any:
    """Kernel of `layer_norm`."""
    shape = _rows(x, normalized_shape, w, b)
    if shape is None:
        return None
    rows, n = shape
    y, step = empty(x.shape, FLOAT), max(1, _BLOCK // n)
    team.run(
        forward_loop, -(-rows // step), rows, step, n,
        x.reshape(-1), _flat(w, n, 1), _flat(b, n, 0), y.reshape(-1), float(eps),
    )  # fmt: skip
    return y


def layer_norm_gradient(
    xp: Any, gy: Any, x: Any, w: Any, needs: Any, *, normalized_shape: Any, eps: float
) -> Any:
    """Kernel of the gradient of `layer_norm`."""
    shape = _rows(x, normalized_shape, w)
    if shape is None or type(gy) is not np.ndarray or gy.dtype != FLOAT:
        return None
    rows, n = shape
    step = max(_FEWEST, _BLOCK // n)
    blocks = -(-rows // step)
    gx, partials = empty(x.shape, FLOAT), np.empty((blocks, 2, n), np.float32)
    team.run(
        backward_loop, blocks, rows, step, n,
        x.reshape(-1), np.ascontiguousarray(gy).reshape(-1), _flat(w, n, 1),
        gx.reshape(-1), partials.reshape(-1), float(eps),
    )  # fmt: skip
    gw = gb = None
    if needs[1] or needs[2]:
        gw, gb = np.add.reduce(partials, axis=0, dtype=np.float64).reshape(2, *normalized_shape)
    return gx if needs[0] else None, gw if needs[1] else None, gb if needs[2] else None
