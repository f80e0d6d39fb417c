"""Images in another size, by interpolation.

Interpolation goes along one axis after the other. Along each, an element of the result is a weighted sum of a few
elements of the input, its taps: one for "nearest", two for "linear", four for "cubic". Its gradient spreads gy over
the same taps.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.engine import describe
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.op import operation
from minigrad.ops.adaptive_pool import adaptive_avg_pool1d, adaptive_avg_pool2d
from minigrad.ops.arguments import count, need_floating, need_tensor
from minigrad.ops.window import ints

__all__ = [
    "interpolate",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]
METHODS: list[str] = []

_SOURCE = "Keys 1981, Cubic Convolution Interpolation for Digital Image Processing, sections II-III"
_MODES = {  # number of spatial axes -> what users call it -> what happens along each axis
    1: {"nearest": "nearest", "nearest-exact": "nearest-exact", "linear": "linear"},
    2: {"nearest": "nearest", "nearest-exact": "nearest-exact", "bilinear": "linear", "bicubic": "cubic"},
    3: {"nearest": "nearest", "nearest-exact": "nearest-exact", "trilinear": "linear"},
}
_TAPS = {"nearest": 1, "nearest-exact": 1, "linear": 2, "cubic": 4}


def _ways(mode: str, align_corners: bool = False, steps: tuple | None = None) -> dict:
    return {"mode": mode, "align_corners": align_corners, "steps": steps}


@operation(
    name="interpolate",
    formula="along each axis y[o] = sum_k weight_k(o) x[tap_k(o)]",
    gradient_formula="along each axis gx[i] = sum of weight_k(o) gy[o] over all o, k with tap_k(o) = i",
    source=_SOURCE,
    samples=lambda draw: [
        draw.call(draw.normal(2, 2, 3, 4), size=(5, 6), **_ways("nearest")),
        draw.call(draw.normal(1, 2, 3, 4), size=(6, 3), **_ways("nearest-exact")),
        draw.call(draw.normal(2, 2, 3, 4), size=(5, 2), **_ways("linear")),
        draw.call(draw.normal(1, 2, 3), size=(5,), **_ways("linear", align_corners=True)),
        draw.call(draw.normal(1, 1, 3, 4), size=(7, 9), **_ways("linear", steps=(1 / 2.4, 1 / 2.3))),
        draw.call(draw.normal(1, 2, 4, 5), size=(6, 3), **_ways("cubic")),
    ],
    flops=lambda inputs, outputs, params: 2 * count(outputs[0]) * len(inputs[0][2:]) * _TAPS[params["mode"]],
)
def _interpolate(xp, x, *, size, mode, align_corners, steps):
    x = xp.moveaxis(x, 1, -1)  # (N, C, H, W) -> (N, H, W, C)
    for axis, m in enumerate(size, start=1):
        taps = _taps(x.shape[axis], m, mode, align_corners, steps and steps[axis - 1], x.dtype)
        if mode.startswith("nearest"):
            x = xp.take(x, xp.asarray(taps[0][0]), axis=axis)
        else:
            x = sum(
                xp.take(x, xp.asarray(places), axis=axis) * _along(xp, weights, axis, x)
                for places, weights in taps
            )
    return xp.moveaxis(x, -1, 1)


@_interpolate.gradient
def interpolate_gradient(xp, gy, x_shape, *, mode, align_corners, steps):
    return xp.interpolate_transposed(
        gy, size=x_shape[2:], mode=mode, align_corners=align_corners, steps=steps
    )


@operation(
    formula="along each axis y[i] = sum of weight_k(o) x[o] over all o, k with tap_k(o) = i",
    gradient_formula="gx = interpolate(gy)",
    source="transpose of interpolate",
    samples=lambda draw: [
        draw.call(draw.normal(2, 2, 5, 6), size=(3, 4), **_ways("nearest")),
        draw.call(draw.normal(1, 2, 5, 2), size=(3, 4), **_ways("linear")),
        draw.call(draw.normal(1, 2, 5), size=(3,), **_ways("linear", align_corners=True)),
        draw.call(draw.normal(1, 1, 6, 3), size=(4, 5), **_ways("cubic", steps=(1 / 1.5, 1 / 0.7))),
    ],
    flops=lambda inputs, outputs, params: 2 * count(inputs[0]) * len(inputs[0][2:]) * _TAPS[params["mode"]],
)
def interpolate_transposed(xp, x, *, size, mode, align_corners, steps):
    """The gradient of interpolate: each number goes to the taps it was made of; (N, C, Ho, Wo) -> (N, C, *size)."""
    x = xp.moveaxis(x, 1, -1)
    for axis, n in enumerate(size, start=1):
        y = xp.zeros((*x.shape[:axis], n, *x.shape[axis + 1 :]), dtype=x.dtype)
        for places, weights in _taps(
            n, x.shape[axis], mode, align_corners, steps and steps[axis - 1], x.dtype
        ):
            xp.add.at(y, (slice(None),) * axis + (xp.asarray(places),), x * _along(xp, weights, axis, x))
        x = y
    return xp.moveaxis(x, -1, 1)


@interpolate_transposed.gradient
def interpolate_transposed_gradient(xp, gy, x_shape, *, mode, align_corners, steps):
    return xp.interpolate(gy, size=x_shape[2:], mode=mode, align_corners=align_corners, steps=steps)


# ---------------------------------------------------------------- taps


def _along(xp: Any, weights: np.ndarray, axis: int, x: Any) -> Any:
    """One weight per element along an axis, so that it multiplies x."""
    return xp.asarray(weights.astype(x.dtype)).reshape((-1,) + (1,) * (x.ndim - axis - 1))


def _taps(
    n: int, m: int, mode: str, align_corners: bool, step: float | None, dtype: np.dtype
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For m elements out of n: pairs of (places, weights), each of length m.

    step: how far apart in the input neighbours of the result lie; None for n / m.
    """
    o = np.arange(m)
    if mode.startswith("nearest"):
        # As PyTorch: where o * step is whole, the rounding decides
        real = dtype if dtype == np.float64 else np.dtype(np.float32)
        offset, step = 0.5 if mode == "nearest-exact" else 0, n / m if step is None else step
        place = np.multiply(o + offset, step, dtype=real)
        return [(np.minimum(place.astype(np.float32).astype(np.int64), n - 1), np.ones(m))]
    if align_corners:  # the first and last elements of both lie on top of each other
        place = o * ((n - 1) / (m - 1) if m > 1 else 0.0)
    else:  # elements are squares of a grid, and both grids have the same outline
        place = (o + 0.5) * (n / m if step is None else step) - 0.5
    if mode == "linear":
        place = np.maximum(place, 0)
        first = np.minimum(place.astype(np.int64), n - 1)
        t = np.clip(place - first, 0, 1)
        return [(first, 1 - t), (np.minimum(first + 1, n - 1), t)]
    first = np.floor(place).astype(np.int64)
    t = place - first
    return [(np.clip(first + k, 0, n - 1), _cubic(np.abs(t - k))) for k in (-1, 0, 1, 2)]


def _cubic(d: np.ndarray, a: float = -0.75) -> np.ndarray:
    """Keys' kernel at distance d < 2; a is his free parameter, with the value that PyTorch and OpenCV have."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = a * (((d - 5) * d + 8) * d - 4)
    return np.where(d <= 1, near, far)


# ---------------------------------------------------------------- what users call


def interpolate(
    x: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """The image (sequence, volume) in another size.

        along each axis y[o] = sum over k of weight_k(o) x[tap_k(o)],  taps about place(o) = (o + 1/2) step - 1/2

    x:             (N, C, L), (N, C, H, W) or (N, C, D, H, W); floating point, for the nearest modes integers too
    size:          of the result: an int, or one for each spatial axis
    scale_factor:  the size of the result as a multiple of that of x, rounded down; this or size
    mode:          "nearest" takes x[floor(o step)], "nearest-exact" x[floor((o + 1/2) step)]; "linear", "bilinear",
                   "trilinear" (by the number of spatial axes) the two neighbours; "bicubic" four; "area" is adaptive
                   average pooling
    align_corners: for the linear and cubic modes: place(o) = o (n - 1) / (m - 1), so that corners map to corners
    recompute_scale_factor: step is n / m rather than 1 / scale_factor, also where m was rounded down
    antialias:     not available

    Returns (N, C, *size).
    Gradient: gy goes to the taps with their weights. Nothing is kept for backward.
    Errors: ArgumentError for a mode that x's axes do not have, for not exactly one of size and scale_factor, for
    align_corners where it means nothing; ShapeError for other shapes or an empty result; DtypeError for integers with
    the linear and cubic modes.
    Source: Keys 1981, sections II-III; places and the cubic's parameter as in PyTorch.

    >>> import minigrad as mg
    >>> x = mg.tensor([[[[1.0, 2.0]]]])
    >>> mg.nn.functional.interpolate(x, scale_factor=2)
    tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.]]]])
    >>> mg.nn.functional.interpolate(x, size=(1, 3), mode="bilinear", align_corners=True)
    tensor([[[[1. , 1.5, 2. ]]]])
    """
    need_tensor("interpolate", x)
    axes = x.ndim - 2
    if axes not in _MODES or 0 in x.shape[1:]:
        raise ShapeError(
            "interpolate: x must be (N, C, L), (N, C, H, W) or (N, C, D, H, W), all but N 1 or more; "
            f"got {list(x.shape)}"
        )
    if mode not in _MODES[axes] and (mode != "area" or axes == 3):
        raise ArgumentError(
            f"interpolate: mode {mode!r} does not exist for x {list(x.shape)}; choose from "
            f"{', '.join([*_MODES[axes], 'area'][: 5 if axes < 3 else 3])}"
        )
    if antialias:
        raise ArgumentError(
            "interpolate: antialias=True is not available; average first (avg_pool2d), or use mode='area'"
        )
    smooth = mode in ("linear", "bilinear", "trilinear", "bicubic")
    if align_corners is not None and not smooth:
        raise ArgumentError(f"interpolate: align_corners has no meaning for mode {mode!r}; leave it out")
    size, steps = _size_and_steps(x.shape[2:], size, scale_factor, bool(recompute_scale_factor))
    if mode == "area":
        return (adaptive_avg_pool1d if axes == 1 else adaptive_avg_pool2d)(x, size)
    if smooth:
        need_floating("interpolate", x)
    elif x.dtype == bool:
        raise DtypeError(f"interpolate needs numbers, not {describe(x)}; convert with x.float()")
    return _interpolate(
        x,
        size=size,
        mode=_MODES[axes][mode],
        align_corners=bool(align_corners),
        steps=None if align_corners else steps,
    )


def upsample(
    x: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """`interpolate` under its older name."""
    return interpolate(x, size, scale_factor, mode, align_corners)


def upsample_nearest(x: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """`interpolate` with mode "nearest", under its older name."""
    return interpolate(x, size, scale_factor, "nearest")


def upsample_bilinear(x: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """`interpolate` with mode "bilinear" and align_corners=True, under its older name."""
    return interpolate(x, size, scale_factor, "bilinear", align_corners=True)


def _size_and_steps(
    lengths: tuple, size: Any, scale_factor: Any, recompute: bool
) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
    """The result's spatial size, and the steps that a scale_factor prescribes (None: they follow from the sizes)."""
    n = len(lengths)
    if (size is None) == (scale_factor is None):
        raise ArgumentError(
            f"interpolate: give size or scale_factor, one of them; got size={size!r}, scale_factor={scale_factor!r}"
        )
    if scale_factor is None:
        if recompute:
            raise ArgumentError(
                "interpolate: recompute_scale_factor needs a scale_factor; with size there is nothing to recompute"
            )
        return ints("interpolate", "size", size, n, 1), None
    factors = tuple(scale_factor) if isinstance(scale_factor, (tuple, list)) else (scale_factor,) * n
    if len(factors) != n or not all(isinstance(f, (int, float)) and f > 0 for f in factors):
        raise ArgumentError(
            f"interpolate: scale_factor must be a number above 0, or {n} of them; got {scale_factor!r}"
        )
    wanted = tuple(math.floor(float(length * f)) for length, f in zip(lengths, factors, strict=True))
    if min(wanted) < 1:
        raise ShapeError(
            f"interpolate: scale_factor {scale_factor} leaves nothing of the spatial size {lengths}: {wanted}"
        )
    return wanted, None if recompute else tuple(1 / f for f in factors)
