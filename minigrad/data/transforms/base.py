"""What a transform is, several of them in a row, and the step from bytes to numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from minigrad.errors import ArgumentError, DtypeError, ShapeError

Batch = npt.NDArray[Any]


class Transform(Protocol):
    """What the loader calls on a batch's inputs: a batch and a generator in, a batch out."""

    def __call__(self, batch: Batch, rng: np.random.Generator, /) -> Batch: ...


class BatchTransform(Protocol):
    """What the loader calls on inputs and targets together, which may mix the samples of a batch."""

    def __call__(self, inputs: Batch, targets: Batch, rng: np.random.Generator, /) -> tuple[Batch, Batch]: ...


class Compose:
    """Several transforms, one after the other.

    >>> from minigrad.data import Normalize
    >>> rng = np.random.default_rng(0)
    >>> scale = Compose([ToFloat(), Normalize(0.5, 0.25)])
    >>> scale
    Compose([ToFloat(), Normalize(mean=0.5, std=0.25)])
    >>> scale(np.full((1, 1, 1, 2), 255, np.uint8), rng)
    array([[[[2., 2.]]]], dtype=float32)
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = list(transforms)
        for number, transform in enumerate(self.transforms):
            if not callable(transform):
                raise ArgumentError(
                    f"Compose takes callables transform(batch, rng); number {number} is {transform!r}"
                )

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        for transform in self.transforms:
            batch = transform(batch, rng)
        return batch

    def __repr__(self) -> str:
        return f"Compose({self.transforms!r})"


@dataclass(frozen=True)
class ToFloat:
    """Bytes to numbers: y = x / 255 for uint8, float32 in [0, 1]; floats only become float32.

    Raises DtypeError for other integers, whose range is not known.
    """

    def __call__(self, batch: Batch, rng: np.random.Generator | None = None) -> Batch:
        if batch.dtype == np.uint8:
            return batch * np.float32(1 / 255)
        if batch.dtype.kind == "f":
            return batch.astype(np.float32)
        raise DtypeError(f"ToFloat takes uint8 in [0, 255] or floats, got {batch.dtype}")


def check_images(batch: Batch, name: str) -> tuple[int, int, int, int]:
    """The four sizes of a batch of images; ShapeError in the name of a transform if it is none."""
    if batch.ndim != 4:
        raise ShapeError(f"{name} takes a batch of images (N, C, H, W), got shape {batch.shape}")
    n, c, h, w = batch.shape
    return n, c, h, w


def check_floats(batch: Batch, name: str) -> None:
    """DtypeError in the name of a transform unless the batch holds floats."""
    if batch.dtype.kind != "f":
        raise DtypeError(f"{name} takes floats, got {batch.dtype}; put ToFloat() before it")


def is_whole(number: Any, lowest: int = 0) -> bool:
    """Whether an argument is a whole number from `lowest`."""
    return isinstance(number, (int, np.integer)) and not isinstance(number, bool) and bool(number >= lowest)


def is_number(value: Any) -> bool:
    """Whether an argument is a real number, infinities and NaN among them."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def is_range(value: Any) -> bool:
    """Whether an argument is a pair of numbers (low, high) with low <= high < infinity."""
    return (
        isinstance(value, (tuple, list))
        and len(value) == 2
        and all(map(is_number, value))
        and math.isfinite(value[0])
        and math.isfinite(value[1])
        and bool(value[0] <= value[1])
    )


def check_probability(p: Any) -> None:
    """ArgumentError unless the argument `p` is a probability."""
    if not is_number(p) or not 0 <= p <= 1:
        raise ArgumentError(f"p must be a probability in [0, 1], got {p!r}")


def pair(size: Any, name: str = "size", lowest: int = 1) -> tuple[int, int]:
    """Height and width from one whole number for both, or from a pair of them; ArgumentError for anything else."""
    both = (size, size) if is_whole(size, lowest) else size
    if not isinstance(both, (tuple, list)) or len(both) != 2 or not all(is_whole(n, lowest) for n in both):
        raise ArgumentError(f"{name} must be a whole number from {lowest}, or (height, width), got {size!r}")
    return int(both[0]), int(both[1])
