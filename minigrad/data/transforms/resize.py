"""Another number of pixels for the same picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from minigrad.data.transforms.base import Batch, check_images, pair
from minigrad.errors import DtypeError


@dataclass(frozen=True)
class Resize:
    """Scale images with a triangle filter: bilinear when enlarging, antialiased when shrinking.

    Along each axis, with the scale s = old / new and the width r = max(s, 1), output pixel i is the weighted mean of
    the input pixels j with weights proportional to max(0, 1 - |(i + 1/2) s - (j + 1/2)| / r).

    size: (height, width), or the length of the shorter side, the longer one keeping the proportions (rounded down).
    Takes uint8, which is rounded, or floats, which become float32.

    >>> Resize((1, 2))(np.array([[[[0, 0, 8, 8]]]], np.float32), None).round(2)
    array([[[[1.14, 6.86]]]], dtype=float32)
    """

    size: int | tuple[int, int]

    def __post_init__(self) -> None:
        pair(self.size)

    def __call__(self, batch: Batch, rng: np.random.Generator | None = None) -> Batch:
        _, _, h, w = check_images(batch, "Resize")
        if batch.dtype != np.uint8 and batch.dtype.kind != "f":
            raise DtypeError(f"Resize takes uint8 or floats, got {batch.dtype}")
        height, width = self._target(h, w)
        rows, columns = _weights(h, height), _weights(w, width)
        resized = rows @ (batch.astype(np.float32) @ columns.T)  # (N, C, height, width)
        if batch.dtype == np.uint8:
            return np.rint(resized).astype(np.uint8)
        return resized

    def _target(self, h: int, w: int) -> tuple[int, int]:
        if isinstance(self.size, (tuple, list)):
            return pair(self.size)
        short = int(self.size)
        return (short, short * w // h) if h <= w else (short * h // w, short)


@lru_cache(maxsize=64)
def _weights(old: int, new: int) -> npt.NDArray[np.float32]:
    """The matrix (new, old) that resizes along one axis; its rows sum to 1."""
    scale = old / new
    centres = (np.arange(new) + 0.5) * scale
    distance = np.abs(centres[:, None] - (np.arange(old) + 0.5)) / max(scale, 1.0)
    weights = np.maximum(0.0, 1.0 - distance)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
