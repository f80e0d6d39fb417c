"""What a convolution does to its results while they are still in the cache: bias, residual, relu, statistics."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.backend.native.channel_statistics import gather
from minigrad.backend.native.compiling import inlined

_NONE32, _NONE64 = np.empty(0, np.float32), np.empty(0, np.float64)


class Finish(NamedTuple):
    """y = act(y + bias + residual), and the statistics of y; see `finish`. Empty arrays mean: nothing of the kind."""

    bias: Any = _NONE32  # (O,)
    residual: Any = _NONE32  # flat, placed as y
    relu: bool = False
    sums: Any = (
        _NONE64  # flat (parts, 2, O): mean and squared deviations of each part of y, as `gather` has them
    )


NOTHING = Finish()


@inlined
def finish(y, y0, pixels, O, part, space, bias, residual, relu, sums):
    """To y[y0 + i O + o], i < pixels, add bias and residual, cut it off at 0, gather statistics as number `part`."""
    if bias.size:
        for i in range(pixels):
            row = y0 + i * O
            for o in range(O):
                y[row + o] += bias[o]
    if residual.size:
        for i in range(y0, y0 + pixels * O):
            y[i] += residual[i]
    if relu:
        for i in range(y0, y0 + pixels * O):
            value = y[i]
            y[i] = np.float32(0) if value < 0 else value  # NaN stays
    if sums.size:
        gather(y, y0, pixels, O, O, sums, 2 * part * O, (2 * part + 1) * O, space)
