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

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad.backend.native.batch_norm_passes import apply_pass, gradient_pass, sums_pass
from minigrad.backend.native.channel_statistics import rows_in_block, statistics
from minigrad.backend.native.compiling import kernel
from minigrad.backend.native.layout import empty_like, flat_channels_last, flat_like
from minigrad.backend.native.team import alone, team

ACTIVATIONS = {"none": False, "relu": True}
_NOTHING = np.empty(0, np.float32)
_WORTH_SHARING = 1 << 16  # numbers: a pass over fewer is done before another thread has started


def scale_and_shift(mean: np.ndarray, var: np.ndarray, w: Any, b: Any, eps: float) -> np.ndarray:
    """centre, scale and shift, float32 (3, C), flat, with which (x - centre) scale + shift normalises x.

    mean, var: float64 (C,); w, b: (C,), or None for 1 and 0.
    """
    vectors = np.empty(3 * mean.size, np.float32)
    _scale_and_shift(mean, var, _vector(w), _vector(b), float(eps), vectors)
    return vectors


@kernel
def _scale_and_shift(mean, var, w, b, eps, vectors):
    channels = mean.size
    for c in range(channels):
        scale = 1 / math.sqrt(var[c] + eps)
        if w.size:
            scale *= w[c]
        centre = np.float32(mean[c])
        shift = (centre - mean[c]) * scale  # what rounding the mean has left
        if b.size:
            shift += b[c]
        vectors[c], vectors[channels + c], vectors[2 * channels + c] = centre, scale, shift


def apply(
    x: np.ndarray, y: np.ndarray, vectors: np.ndarray, residual: np.ndarray | None = None, relu: bool = False
) -> None:
    """Write y = act((x - centre) scale + shift + residual); x, y and residual flat, vectors of `scale_and_shift`."""
    channels = vectors.size // 3
    step = rows_in_block(channels) * channels
    _launch(x.size)(
        apply_pass, -(-x.size // step), x, y, _or_nothing(residual), vectors, channels, step, relu
    )


def _launch(size: int) -> Callable[..., None]:
    """How to run a pass over so many numbers."""
    return team.run if size > _WORTH_SHARING else alone


def _vector(v: Any) -> np.ndarray:
    """A weight or bias as kernels take it; beside half-precision data, which comes in float32, it may be half too."""
    return _NOTHING if v is None else np.ascontiguousarray(v, np.float32)


def _or_nothing(array: np.ndarray | None) -> np.ndarray:
    return _NOTHING if array is None else array


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
    apply(flat, written, scale_and_shift(mean, var, w, b, eps), added, ACTIVATIONS[activation])
    column = (1, channels) + (1,) * (x.ndim - 2)
    return y, mean.reshape(column), var.reshape(column)


def batch_norm_inference_forward(xp: Any, x: Any, mean: Any, var: Any, w: Any, b: Any, *, eps: float) -> Any:
    """Kernel of `batch_norm_inference`."""
    flat = flat_channels_last(x)
    if flat is None:
        return None
    y, written = empty_like(x)
    apply(flat, written, scale_and_shift(mean.astype(np.float64), var.astype(np.float64), w, b, eps))
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
    vectors:  float32 (4, C), flat: centre, of_g, of_x, constant.
    gw, gb:   float64 (C,).
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
    channels = x.shape[1]
    step = rows_in_block(channels) * channels
    blocks = -(-flat.size // step)
    partials = np.empty(2 * blocks * channels)
    centre = mean.reshape(-1)
    _launch(flat.size)(
        sums_pass, blocks, flat, arriving, _or_nothing(masked), _or_nothing(g), centre.astype(np.float32),
        channels, step, partials,
    )  # fmt: skip
    if g is not None:
        arriving, masked = g, None
    vectors = np.empty(4 * channels, np.float32)
    gw, gb = np.empty(channels), np.empty(channels)
    _gradient_vectors(
        partials, flat.size // channels, centre, var.reshape(-1), _vector(w), gmean.reshape(-1), gvar.reshape(-1),
        float(eps), vectors, gw, gb,
    )  # fmt: skip
    return Sums(arriving, masked, vectors, gw, gb, residual if needs_residual else None)


@kernel
def _gradient_vectors(partials, m, mean, var, w, gmean, gvar, eps, vectors, gw, gb):
    """What `Sums` holds, of what `sums_pass` has left for each block: partials (blocks, 2, C), flat; m: rows of x."""
    channels = mean.size
    sum_g, sum_gx = np.zeros(channels), np.zeros(channels)
    for first in range(0, partials.size, 2 * channels):
        more_g = partials[first : first + channels]
        more_gx = partials[first + channels : first + 2 * channels]
        for c in range(channels):
            sum_g[c] += more_g[c]
            sum_gx[c] += more_gx[c]
    for c in range(channels):
        r = 1 / math.sqrt(var[c] + eps)
        wr = r * w[c] if w.size else r
        centre = np.float32(mean[c])
        product = sum_gx[c] + (centre - mean[c]) * sum_g[c]  # the sum was taken about the rounded mean
        of_x = 2 / m * (gvar[c] - 0.5 * wr * r * r * product)
        constant = (gmean[c] - wr * sum_g[c]) / m + of_x * (centre - mean[c])
        vectors[c], vectors[channels + c] = centre, wr
        vectors[2 * channels + c], vectors[3 * channels + c] = of_x, constant
        gw[c], gb[c] = product * r, sum_g[c]


def second_pass(x: np.ndarray, sums: Sums) -> np.ndarray:
    """gx, which lies in memory as x does."""
    flat = flat_channels_last(x)
    assert flat is not None  # the first pass has looked
    gx, written = empty_like(x)
    channels = x.shape[1]
    step = rows_in_block(channels) * channels
    _launch(flat.size)(
        gradient_pass,
        -(-flat.size // step),
        flat,
        sums.gy,
        _or_nothing(sums.y),
        written,
        sums.vectors,
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
