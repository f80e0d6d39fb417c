"""Random brightness, contrast, saturation and hue."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from minigrad.data.transforms.base import Batch, check_floats, check_images, is_number, is_range
from minigrad.errors import ArgumentError, ShapeError

Factors = npt.NDArray[np.float32]  # (N, 1, 1, 1), one for each image

# How bright red, green and blue look: luma of ITU-R Recommendation BT.601, section 2.5.1.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class ColorJitter:
    """Change brightness, contrast, saturation and hue of each image by random amounts, in a random order.

    With a factor f for each image, and values cut to [0, 1] after each step:

        brightness  y = f x
        contrast    y = f x + (1 - f) m,  m the mean of the image's grey values
        saturation  y = f x + (1 - f) g,  g the pixel's grey value 0.299 R + 0.587 G + 0.114 B
        hue         the angle of colour (in HSV) moves by f turns

    Parameters
    ----------
    brightness, contrast, saturation : from 0; f is uniform in [max(0, 1 - value), 1 + value], or in a pair
        (low, high).
    hue : in [0, 0.5]; f is uniform in [-hue, hue], or in a pair (low, high) within [-0.5, 0.5].

    Takes floats in [0, 1], so it belongs between `ToFloat` and `Normalize`; returns float32. The order of the steps
    is drawn once for a batch, the factors for each image. Saturation and hue need three channels.

    Raises ArgumentError for settings outside their range, DtypeError for integers, ShapeError for images without
    colours where a colour is to change.

    >>> ColorJitter(brightness=(0.5, 0.5))(np.full((1, 1, 1, 2), 0.8, np.float32), np.random.default_rng(0))
    array([[[[0.4, 0.4]]]], dtype=float32)
    """

    brightness: float | tuple[float, float] = 0
    contrast: float | tuple[float, float] = 0
    saturation: float | tuple[float, float] = 0
    hue: float | tuple[float, float] = 0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation", "hue"):
            self._range(name)

    def _range(self, name: str) -> tuple[float, float]:
        """Lowest and highest factor of a step."""
        value = getattr(self, name)
        lowest, neutral, highest = (-0.5, 0.0, 0.5) if name == "hue" else (0.0, 1.0, math.inf)
        limits = value
        if is_number(value) and value >= 0:
            limits = (neutral - value if name == "hue" else max(0.0, neutral - value), neutral + value)
        if not is_range(limits) or limits[0] < lowest or limits[1] > highest:
            allowed = (
                "in [0, 0.5], or a pair within [-0.5, 0.5]" if name == "hue" else "from 0, or a pair from 0"
            )
            raise ArgumentError(f"{name} must be a number {allowed}, got {value!r}")
        return limits

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        n, c, _, _ = check_images(batch, "ColorJitter")
        check_floats(batch, "ColorJitter")
        steps = [
            (adjust, self._range(name))
            for name, adjust in _STEPS.items()
            if self._range(name) != ((0, 0) if name == "hue" else (1, 1))
        ]
        if c != 3 and any(adjust in (adjust_saturation, adjust_hue) for adjust, _ in steps):
            raise ShapeError(f"ColorJitter changes saturation and hue of 3 channels only, got {c}")
        out = batch.astype(np.float32)
        for number in rng.permutation(len(steps)):
            adjust, limits = steps[number]
            out = adjust(out, rng.uniform(limits[0], limits[1], (n, 1, 1, 1)).astype(np.float32))
        return out


def adjust_brightness(batch: Batch, factors: Factors) -> Batch:
    """y = f x, cut to [0, 1]; batch (N, C, H, W) float32, factors (N, 1, 1, 1)."""
    return _cut(batch * factors)


def adjust_contrast(batch: Batch, factors: Factors) -> Batch:
    """y = f x + (1 - f) m with m the mean grey value of the image, cut to [0, 1]."""
    mean = _grey(batch).mean(axis=(2, 3), keepdims=True)
    return _cut(batch * factors + (1 - factors) * mean)


def adjust_saturation(batch: Batch, factors: Factors) -> Batch:
    """y = f x + (1 - f) g with g the grey value of each pixel, cut to [0, 1]."""
    return _cut(batch * factors + (1 - factors) * _grey(batch))


def adjust_hue(batch: Batch, factors: Factors) -> Batch:
    """Move each pixel's hue by f turns, its saturation and value staying as they are.

    With v the largest and m the smallest of a pixel's channels, d = v - m, and the hue h in sixths of a turn:
    y_c = v - d clip(min(k, 4 - k), 0, 1), k = (n_c + h + 6 f) mod 6, n = (5, 3, 1) for red, green, blue.

    Source: A. R. Smith, "Color gamut transform pairs", SIGGRAPH 1978, hexcone model.
    """
    red, green, blue = batch[:, 0], batch[:, 1], batch[:, 2]  # (N, H, W)
    value = np.maximum(np.maximum(red, green), blue)
    spread = value - np.minimum(np.minimum(red, green), blue)
    scale = 1 / np.where(spread > 0, spread, np.float32(1))
    # Where two channels share the largest value, the formulas of both give the same hue.
    hue = (red - green) * scale + 4
    np.copyto(hue, (blue - red) * scale + 2, where=value == green)
    np.copyto(hue, (green - blue) * scale, where=value == red)
    hue += 6 * factors[:, 0]
    out = np.empty_like(batch)
    for channel, offset in enumerate((5, 3, 1)):
        k = hue + np.float32(offset)
        k -= 6 * np.floor(k * np.float32(1 / 6))  # the remainder, in half of np.mod's time
        out[:, channel] = value - spread * np.clip(np.minimum(k, 4 - k), 0, 1)
    return out


_STEPS = {
    "brightness": adjust_brightness,
    "contrast": adjust_contrast,
    "saturation": adjust_saturation,
    "hue": adjust_hue,
}


def _grey(batch: Batch) -> Batch:
    """(N, 1, H, W): the luma of three channels; other numbers of channels count alike."""
    if batch.shape[1] != 3:
        return batch.mean(axis=1, keepdims=True)
    r, g, b = batch[:, :1], batch[:, 1:2], batch[:, 2:]
    return LUMA[0] * r + LUMA[1] * g + LUMA[2] * b


def _cut(batch: Batch) -> Batch:
    return np.clip(batch, 0, 1, out=batch)
