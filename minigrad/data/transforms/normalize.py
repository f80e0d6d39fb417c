"""Centring and scaling of channels or features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from minigrad.data.transforms.base import Batch, check_floats
from minigrad.errors import ArgumentError, DtypeError, ShapeError

# Mean and standard deviation of the training images' pixels, scaled to [0, 1].
STATISTICS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "mnist": ((0.1307,), (0.3081,)),
    "fashion_mnist": ((0.2860,), (0.3530,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}

_AT_ONCE = 4096  # samples measured together


@dataclass(frozen=True)
class Normalize:
    """Centre and scale each channel (or feature): y = (x - mean) / std, in float32.

    Parameters: `mean` and `std` > 0, each a number for all channels or one number per channel, in the units
    of the batch (after `ToFloat`, those of [0, 1]). Channels are the batch's second axis: (N, C, H, W) or (N, C).
    `Normalize.of(name)` knows the numbers of the usual data sets, `Normalize.fit(inputs)` measures them.

    Raises ArgumentError for a std that is not positive, ShapeError when the batch has another number of channels,
    DtypeError for a batch of integers: scale it with `ToFloat` first.

    >>> Normalize((1.0, 2.0), 0.5)(np.array([[1.0, 1.0], [2.0, 3.0]]), None)
    array([[ 0., -2.],
           [ 2.,  2.]], dtype=float32)
    """

    mean: float | Sequence[float]
    std: float | Sequence[float]

    def __post_init__(self) -> None:
        mean, std = np.asarray(self.mean, float), np.asarray(self.std, float)
        if mean.ndim > 1 or std.ndim > 1 or not np.isfinite(mean).all():
            raise ArgumentError(
                f"mean and std must be numbers or one number per channel, got {self.mean} and {self.std}"
            )
        if not (np.isfinite(std).all() and (std > 0).all()):
            raise ArgumentError(f"std must be positive, got {self.std}")

    @classmethod
    def of(cls, dataset: str) -> Normalize:
        """With the mean and deviation of a data set's training images: "mnist", "fashion_mnist", "cifar10",
        "cifar100" or "imagenet".

        >>> Normalize.of("mnist")
        Normalize(mean=(0.1307,), std=(0.3081,))
        """
        if dataset not in STATISTICS:
            raise ArgumentError(
                f"no mean and deviation are known for {dataset!r}, only for {', '.join(STATISTICS)}; "
                "Normalize.fit(inputs) measures them"
            )
        return cls(*STATISTICS[dataset])

    @classmethod
    def fit(cls, inputs: npt.NDArray) -> Normalize:
        """With the mean and deviation (over n, not n - 1) of each channel of `inputs`, (n, C, ...) uint8 or floats.

        uint8 is scaled to [0, 1] as by `ToFloat`. A channel that never changes gets std 1, and so becomes 0. Fit on
        training data only. Raises ShapeError for inputs without samples or channels, DtypeError for other types,
        ArgumentError where a value is not finite.

        >>> Normalize.fit(np.array([[1.0, 7.0], [3.0, 7.0]]))
        Normalize(mean=(2.0, 7.0), std=(1.0, 1.0))
        """
        if inputs.ndim < 2 or not inputs.size:
            raise ShapeError(f"Normalize.fit takes inputs (n, C, ...), n > 0, got shape {inputs.shape}")
        mean = _channel_means(inputs, lambda part: part)
        std = np.sqrt(_channel_means(inputs, lambda part: np.square(part - _beside(mean, part))))
        if not (np.isfinite(mean).all() and np.isfinite(std).all()):
            raise ArgumentError("Normalize.fit takes finite inputs; found NaN or infinity")
        std[std <= 1e-9 * np.maximum(1, np.abs(mean))] = 1
        return cls(tuple(mean.tolist()), tuple(std.tolist()))

    def __call__(self, batch: Batch, rng: np.random.Generator | None = None) -> Batch:
        if batch.ndim not in (2, 4):
            raise ShapeError(
                f"Normalize takes a batch of features (N, C) or images (N, C, H, W), got shape {batch.shape}"
            )
        check_floats(batch, "Normalize")
        channels = batch.shape[1]
        for values in (self.mean, self.std):
            if np.size(values) not in (1, channels):
                raise ShapeError(
                    f"Normalize has {np.size(values)} values for {channels} channels of a batch {batch.shape}"
                )
        centred = (batch - _beside(self.mean, batch)).astype(np.float32, copy=False)
        return np.divide(centred, _beside(self.std, batch), out=centred)


def _beside(values: float | Sequence[float] | npt.NDArray, batch: Batch) -> npt.NDArray:
    """Numbers per channel in the shape (C, 1, ..., 1), in the batch's precision but at least float32."""
    dtype = np.result_type(batch.dtype, np.float32)
    return np.asarray(values, dtype).reshape(-1, *[1] * (batch.ndim - 2))


def _channel_means(inputs: npt.NDArray, of: Callable[[npt.NDArray], npt.NDArray]) -> npt.NDArray[np.float64]:
    """The mean of of(x) over everything but the channels, in float64, some samples at a time."""
    total = np.zeros(inputs.shape[1])
    for begin in range(0, len(inputs), _AT_ONCE):
        part = inputs[begin : begin + _AT_ONCE]
        if part.dtype == np.uint8:
            part = part / 255
        elif part.dtype.kind != "f":
            raise DtypeError(f"Normalize.fit takes uint8 in [0, 255] or floats, got {inputs.dtype}")
        total += of(part.astype(np.float64)).reshape(len(part), inputs.shape[1], -1).sum(axis=(0, 2))
    return total / (inputs.size // inputs.shape[1])
