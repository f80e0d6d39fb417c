"""Windows of images: at random, shifted, in the middle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minigrad.data.transforms.base import Batch, check_images, is_whole, pair
from minigrad.errors import ArgumentError, ShapeError

PADDING_MODES = ("constant", "edge", "reflect", "symmetric")


@dataclass(frozen=True)
class RandomCrop:
    """A window at a random place of each image, padded beforehand: all places equally likely.

    Parameters
    ----------
    size : of the window, a whole number or (height, width).
    padding : pixels added at each side before: one number, (left and right, top and bottom), or (left, top, right,
        bottom).
    fill : the value of the new pixels where padding_mode is "constant", in the units of the batch.
    padding_mode : "constant"; "edge", which repeats the last pixel; "reflect", which mirrors without it
        (c b | a b c); "symmetric", which mirrors with it (b a | a b c).

    Works on any dtype, fastest on uint8, and copies pixels exactly. Raises ArgumentError for settings out of range,
    ShapeError for an image that is smaller than the window, or too small to be mirrored so far.

    >>> RandomCrop(2, padding=1, fill=9)(np.ones((1, 1, 2, 2), np.uint8), np.random.default_rng(0))
    array([[[[1, 1],
             [9, 9]]]], dtype=uint8)
    """

    size: int | tuple[int, int]
    padding: int | tuple[int, ...] = 0
    fill: float = 0
    padding_mode: str = "constant"

    def __post_init__(self) -> None:
        pair(self.size)
        self._sides()
        if self.padding_mode not in PADDING_MODES:
            raise ArgumentError(
                f"padding_mode must be one of {', '.join(PADDING_MODES)}, got {self.padding_mode!r}"
            )

    def _sides(self) -> tuple[int, int, int, int]:
        """Pixels to add at the left, top, right and bottom."""
        sides = self.padding if isinstance(self.padding, (tuple, list)) else (self.padding,)
        if len(sides) not in (1, 2, 4) or not all(is_whole(n) for n in sides):
            raise ArgumentError(f"padding must be 1, 2 or 4 whole numbers from 0, got {self.padding!r}")
        left, top, right, bottom = (int(n) for n in tuple(sides) * (4 // len(sides)))
        return left, top, right, bottom

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        n, _, h, w = check_images(batch, "RandomCrop")
        height, width = pair(self.size)
        left, top, right, bottom = self._sides()
        down, across = h + top + bottom - height, w + left + right - width  # how far the window can move
        if down < 0 or across < 0:
            raise ShapeError(
                f"RandomCrop takes windows of {height} x {width} pixels; images of {h} x {w} with padding "
                f"{self.padding} are too small"
            )
        y = rng.integers(0, down + 1, size=n)
        x = rng.integers(0, across + 1, size=n)
        return _windows(self._padded(batch, left, top, right, bottom), height, width, y, x)

    def _padded(self, batch: Batch, left: int, top: int, right: int, bottom: int) -> Batch:
        n, c, h, w = batch.shape
        if self.padding_mode == "constant":  # by hand, in a quarter of np.pad's time
            padded = np.full((n, c, h + top + bottom, w + left + right), self.fill, batch.dtype)
            padded[:, :, top : top + h, left : left + w] = batch
            return padded
        reach = 1 if self.padding_mode == "reflect" else 0
        if self.padding_mode != "edge" and (max(left, right) > w - reach or max(top, bottom) > h - reach):
            raise ShapeError(
                f"images of {h} x {w} pixels cannot be mirrored {self.padding} pixels beyond their edge"
            )
        return np.pad(batch, ((0, 0), (0, 0), (top, bottom), (left, right)), mode=self.padding_mode)  # type: ignore[call-overload]


@dataclass(frozen=True)
class RandomShift:
    """Move each image by whole pixels: dx and dy uniform in {-max_pixels, ..., max_pixels}; zeros come in at the edges.

    The same as a `RandomCrop` of the image's own size with that padding, whatever the size. Put it before
    `Normalize`, where zero is the background. Raises ArgumentError unless max_pixels is a whole number from 0.

    >>> RandomShift(1)(np.ones((1, 1, 2, 3), np.uint8), np.random.default_rng(0))
    array([[[[1, 1, 1],
             [0, 0, 0]]]], dtype=uint8)
    """

    max_pixels: int

    def __post_init__(self) -> None:
        if not is_whole(self.max_pixels):
            raise ArgumentError(f"max_pixels must be a whole number from 0, got {self.max_pixels!r}")

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        _, _, h, w = check_images(batch, "RandomShift")
        return RandomCrop((h, w), int(self.max_pixels))(batch, rng)


@dataclass(frozen=True)
class CenterCrop:
    """The window in the middle of each image; the odd pixel stays at the bottom and the right.

    size: a whole number or (height, width). Raises ShapeError for an image that is smaller.

    >>> CenterCrop(1)(np.arange(9).reshape(1, 1, 3, 3), None)
    array([[[[4]]]])
    """

    size: int | tuple[int, int]

    def __post_init__(self) -> None:
        pair(self.size)

    def __call__(self, batch: Batch, rng: np.random.Generator | None = None) -> Batch:
        _, _, h, w = check_images(batch, "CenterCrop")
        height, width = pair(self.size)
        if height > h or width > w:
            raise ShapeError(f"CenterCrop takes {height} x {width} pixels; images of {h} x {w} are too small")
        top, left = (h - height) // 2, (w - width) // 2
        return batch[:, :, top : top + height, left : left + width].copy()


def _windows(batch: Batch, height: int, width: int, top: Batch, left: Batch) -> Batch:
    """From each image the window of that size that begins at (top, left)."""
    # A view (N, C, tops, lefts, height, width) of every window there is
    every = sliding_window_view(batch, (height, width), axis=(2, 3))
    return every[np.arange(len(batch)), :, top, left]
