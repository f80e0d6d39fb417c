"""Rectangles that are taken out of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from minigrad.data.transforms.base import Batch, check_images, check_probability, is_range, is_whole
from minigrad.errors import ArgumentError, ShapeError

TRIES = 10  # rectangles drawn for an image until one fits


@dataclass(frozen=True)
class Cutout:
    """Take a square out of each image, its centre uniform over the pixels; what lies beyond the edge is cut off.

    Parameters
    ----------
    size : side of the square in pixels, from 1; with centre c it covers the pixels c - size // 2 and following.
    fill : the value put in its place, in the units of the batch. After `Normalize`, 0 is the mean.

    Works on any dtype. Source: T. DeVries, G. W. Taylor, "Improved regularization of convolutional neural networks
    with cutout", 2017, section 3.2.

    >>> Cutout(2)(np.ones((1, 1, 3, 3), np.uint8), np.random.default_rng(0))
    array([[[[1, 1, 1],
             [0, 0, 1],
             [0, 0, 1]]]], dtype=uint8)
    """

    size: int
    fill: float = 0

    def __post_init__(self) -> None:
        if not is_whole(self.size, 1):
            raise ArgumentError(f"size must be a whole number from 1, got {self.size!r}")

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        n, _, h, w = check_images(batch, "Cutout")
        top = rng.integers(0, h, size=n) - self.size // 2
        left = rng.integers(0, w, size=n) - self.size // 2
        inside = rectangles(h, w, top, left, top + self.size, left + self.size)
        return filled(batch, inside, self.fill)


@dataclass(frozen=True)
class RandomErasing:
    """With probability p take a rectangle of random area, proportions and place out of each image.

    The area is uniform in `scale`, a share of the image's; the ratio of height to width is log-uniform in `ratio`.
    Rectangles that do not fit are drawn again, 10 times at most; an image for which none fits stays whole.

    Parameters
    ----------
    p : probability, in [0, 1].
    scale : (low, high), 0 <= low <= high <= 1.
    ratio : (low, high), 0 < low <= high.
    value : put in its place, in the units of the batch; a number, or one per channel.

    Works on any dtype. Raises ArgumentError for settings outside their range. Source: Z. Zhong et al., "Random
    erasing data augmentation", AAAI 2020, algorithm 1.

    >>> erase = RandomErasing(p=1, scale=(0.2, 0.2), ratio=(1, 1))
    >>> erase(np.ones((1, 1, 3, 4), np.uint8), np.random.default_rng(0))
    array([[[[0, 0, 1, 1],
             [0, 0, 1, 1],
             [1, 1, 1, 1]]]], dtype=uint8)
    """

    p: float = 0.5
    scale: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)
    value: float | Sequence[float] = 0

    def __post_init__(self) -> None:
        check_probability(self.p)
        if not is_range(self.scale) or self.scale[0] < 0 or self.scale[1] > 1:
            raise ArgumentError(f"scale must be (low, high) with 0 <= low <= high <= 1, got {self.scale!r}")
        if not is_range(self.ratio) or self.ratio[0] <= 0:
            raise ArgumentError(f"ratio must be (low, high) with 0 < low <= high, got {self.ratio!r}")

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        n, c, h, w = check_images(batch, "RandomErasing")
        if np.size(self.value) not in (1, c):
            raise ShapeError(
                f"RandomErasing has {np.size(self.value)} values for {c} channels of {batch.shape}"
            )
        chosen = rng.random(n) < self.p
        area = rng.uniform(*self.scale, size=(n, TRIES)) * h * w
        ratio = np.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1]), (n, TRIES)))
        heights = np.rint(np.sqrt(area * ratio)).astype(int)
        widths = np.rint(np.sqrt(area / ratio)).astype(int)
        fits = (heights < h) & (widths < w)
        first = np.arange(n), fits.argmax(axis=1)
        height, width = (np.where(chosen & fits.any(axis=1), sizes[first], 0) for sizes in (heights, widths))
        top = rng.integers(0, h - height + 1)
        left = rng.integers(0, w - width + 1)
        return filled(batch, rectangles(h, w, top, left, top + height, left + width), self.value)


def rectangles(
    h: int, w: int, top: npt.NDArray, left: npt.NDArray, bottom: npt.NDArray, right: npt.NDArray
) -> npt.NDArray[np.bool_]:
    """Masks (N, h, w) of the pixels with top <= y < bottom and left <= x < right; what lies outside is cut off."""
    y, x = np.arange(h), np.arange(w)
    rows = (y >= top[:, None]) & (y < bottom[:, None])  # (N, h)
    columns = (x >= left[:, None]) & (x < right[:, None])  # (N, w)
    return rows[:, :, None] & columns[:, None, :]


def filled(batch: Batch, inside: npt.NDArray[np.bool_], value: float | Sequence[float]) -> Batch:
    """A copy with the masked pixels (N, H, W) of every channel set to a number, or to one per channel."""
    out = batch.copy()
    values = np.asarray(value, batch.dtype).reshape(-1, 1, 1)  # (C, 1, 1) or (1, 1, 1)
    np.copyto(out, values, where=inside[:, None])
    return out
