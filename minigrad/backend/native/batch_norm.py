"""Batch normalisation with a sum and an activation after it: two passes forward, two backward, as few as there can be.

    y = act((x - mean) r w + b + residual),    r = 1 / sqrt(var + eps),    act is nothing or relu

Forward: a pass for the statistics (`channel_statistics.py`), a pass for y. Backward, with g = gy [y > 0] under relu:
a pass for sum(g) and sum(g (x - mean)), which writes g if it is the residual's gradient, and a pass for

    gx = w r (g - mean(g) - x' mean(g x')),    x' = (x - mean) r,    plus what gradients of mean and var themselves add

These are kernels for arrays whose channels are innermost in memory, (N, C) or views of NHWC; others are declined. They
differ from the plain definition by rounding, about 1e-6 of the largest value, and less so where |mean| is much larger
than the standard deviation: x - mean is taken first, and what `mean` lost in being rounded is put into the shift.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.backend.native.batch_norm_passes import apply_pass, gradient_pass, sums_pass
from minigrad.backend.native.channel_statistics import rows_in_block, statistics
from minigrad.backend.native.layout import (
    empty_like,
    flat_channels_last,
    flat_like,
)
from minigrad.backend.native.team import team

ACTIVATIONS = {"none": False, "relu": True}
_NOTHING = np.empty(0, np.float32)


def scale_and_shift(
    mean: np.ndarray, var: np.ndarray, w: Any, b: Any, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """centre, scale, shift, float32 (C,), with which (x - centre) scale + shift normalises x.

    mean, var: float64 (C,); w, b: (C,), or None for 1 and 0.
    """
    scale = (var + eps) ** -0.5
    if w is not None:
        scale = scale * w
    centre = mean.astype(np.float32)
    shift = (centre - mean) * scale  # what rounding the mean has left
    if b is not None:
        shift = shift + b
    return centre, scale.astype(np.float32), shift.astype(np.float32)


def apply(
    x: np.ndarray, y: np.ndarray, centre: np.ndarray, scale: np.ndarray, shift: np.ndarray,
    residual: np.ndarray | None = None, relu: bool = False,
) -> None:  # fmt: skip
    """Write y = act((x - centre) scale + shift + residual); x, y and residual flat, the rest float32 (C,)."""
    channels = centre.size
    step = rows_in_block(channels) * channels
    added = _NOTHING if residual is None else residual
    vectors = np.concatenate((centre, scale, shift))
    team.run(apply_pass, -(-x.size // step), x, y, added, vectors, channels, step, relu)


def gradient_sums(
    x: np.ndarray, gy: np.ndarray, y: np.ndarray | None, mean: np.ndarray, g: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """sum(g) and sum(g (x - mean)) of each channel, float64 (C,), where g = gy [y > 0], or gy if y is None.

    g: memory for it, if it is wanted; flat as x, gy and y are. mean: float64 (C,).
    """
    channels = mean.size
    step = rows_in_block(channels) * channels
    blocks = -(-x.size // step)
    partials: Any = np.empty((blocks, 2, channels))
    centre = mean.astype(np.float32)
    team.run(
        sums_pass, blocks, x, gy, _NOTHING if y is None else y, _NOTHING if g is None else g,
        centre, channels, step, partials.reshape(-1),
    )  # fmt: skip
    sum_g, sum_gx = np.add.reduce(partials, axis=0)
    return sum_g, sum_gx + (centre - mean) * sum_g


# ---------------------------------------------------------------- the operations


def batch_norm_forward(xp: Any, x: Any, w: Any, b: Any, *, eps: float) -> Any:
    """Kernel of `batch_norm`."""
    return batch_norm_act_forward(xp, x, w, b, None, eps=eps, activation="none")


def batch_norm_act_forward(
    xp: Any, x: Any, w: Any = None, b: Any = None, residual: Any = None, *, eps: float, activation: str
) -> Any:
    """Kernel of `batch_norm_act`."""
    flat = flat_channels_last(x)
    if flat is None or activation not in ACTIVATIONS or not _fits(x, residual):
        return None
    channels = x.shape[1]
    mean, var = statistics(flat, channels)
    y, written = empty_like(x)
    added = None if residual is None else flat_like(residual)
    apply(flat, written, *scale_and_shift(mean, var, w, b, eps), added, ACTIVATIONS[activation])
    column = (1, channels) + (1,) * (x.ndim - 2)
    return y, mean.reshape(column), var.reshape(column)


def batch_norm_inference_forward(xp: Any, x: Any, mean: Any, var: Any, w: Any, b: Any, *, eps: float) -> Any:
    """Kernel of `batch_norm_inference`."""
    flat = flat_channels_last(x)
    if flat is None:
        return None
    y, written = empty_like(x)
    apply(flat, written, *scale_and_shift(mean.astype(np.float64), var.astype(np.float64), w, b, eps))
    return y


def batch_norm_gradient(
    xp: Any, gys: Any, x: Any, w: Any, mean: Any, var: Any, needs: Any, *, eps: float
) -> Any:
    """Kernel of the gradient of `batch_norm`."""
    result = batch_norm_act_gradient(
        xp, gys, x, w, gys[0], mean, var, (*needs, False), eps=eps, activation="none"
    )
    return result and result[:3]


class Sums(NamedTuple):
    """What the first of the two passes backward has found; the second is gx = of_g g + of_x (x - centre) + constant.

    gy, y:    flat; g = gy [y > 0], or gy where y is None.
    vectors:  float32 (4, C): centre, of_g, of_x, constant.
    gw, gb:   (C,).
    residual: the residual's gradient, if asked for.
    """

    gy: np.ndarray
    y: np.ndarray | None
    vectors: np.ndarray
    gw: np.ndarray
    gb: np.ndarray
    residual: np.ndarray | None


def first_pass(
    gys: Any, x: Any, w: Any, y: Any, mean: Any, var: Any, needs_residual: bool, eps: float, activation: str
) -> Sums | None:
    """The sums over the batch that a gradient of batch norm needs; None for arrays it does not take."""
    gy, gmean, gvar = gys
    flat = flat_channels_last(x)
    if flat is None or activation not in ACTIVATIONS or not _fits(x, gy) or not _fits(x, y):
        return None
    arriving = flat_like(gy)
    residual, masked = (None, flat_like(y)) if ACTIVATIONS[activation] else (gy, None)
    g = None
    if masked is not None and needs_residual:
        residual, g = empty_like(x)
    centre, r = mean.reshape(-1), (var.reshape(-1) + eps) ** -0.5
    sum_g, sum_gx = gradient_sums(flat, arriving, masked, centre, g)
    if g is not None:
        arriving, masked = g, None
    m = x.size // x.shape[1]
    wr = r if w is None else r * w
    of_x = 2 / m * (gvar.reshape(-1) - 0.5 * wr * r * r * sum_gx)
    nearest = centre.astype(np.float32)
    constant = (gmean.reshape(-1) - wr * sum_g) / m + of_x * (nearest - centre)
    vectors = np.array((nearest, wr, of_x, constant), np.float32)
    return Sums(arriving, masked, vectors, sum_gx * r, sum_g, residual if needs_residual else None)


def second_pass(x: np.ndarray, sums: Sums) -> np.ndarray:
    """gx, which lies in memory as x does."""
    flat = flat_channels_last(x)
    assert flat is not None  # the first pass has looked
    gx, written = empty_like(x)
    channels = x.shape[1]
    step = rows_in_block(channels) * channels
    y = _NOTHING if sums.y is None else sums.y
    team.run(
        gradient_pass,
        -(-flat.size // step),
        flat,
        sums.gy,
        y,
        written,
        sums.vectors.reshape(-1),
        channels,
        step,
    )
    return gx


def batch_norm_act_gradient(
    xp: Any, gys: Any, x: Any, w: Any, y: Any, mean: Any, var: Any, needs: Any, *, eps: float, activation: str
) -> Any:
    """Kernel of the gradient of `batch_norm_act`."""
    sums = first_pass(gys, x, w, y, mean, var, needs[3], eps, activation)
    if sums is None:
        return None
    gx = second_pass(x, sums) if needs[0] else None
    return gx, sums.gw if needs[1] else None, sums.gb if needs[2] else None, sums.residual


def _fits(x: np.ndarray, other: Any) -> bool:
    return other is None or (type(other) is np.ndarray and other.shape == x.shape and other.dtype == x.dtype)
