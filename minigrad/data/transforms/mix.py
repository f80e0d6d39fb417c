"""Mixtures of samples: they act on inputs and targets together, and targets become probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from minigrad.data.transforms.base import Batch, check_floats, check_images, is_number, is_whole
from minigrad.data.transforms.erase import rectangles
from minigrad.errors import ArgumentError, DataError, ShapeError


@dataclass(frozen=True)
class MixUp:
    """Blend each sample of a batch, and its target, with another one of the batch.

        x' = l x_i + (1 - l) x_j,  t' = l t_i + (1 - l) t_j,  l drawn from Beta(alpha, alpha) for each pair

    Parameters
    ----------
    alpha : from 0 (exclusive); small values leave most samples nearly pure, 1 makes every l equally likely.
    num_classes : labels become probabilities (N, num_classes). None where targets are probabilities already, (N, C).

    Give it to a loader as `batch_transform`; cross entropy takes the probabilities. The partners are a random
    permutation of the batch. Inputs are floats of any shape (N, ...), float32 afterwards.

    Raises ArgumentError for settings out of range, DtypeError for inputs of integers, DataError for a label outside
    [0, num_classes), ShapeError for targets that are neither labels nor probabilities.

    Source: H. Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018, equation 1.

    >>> inputs, targets = np.array([[0.0], [1.0]], np.float32), np.array([0, 1])
    >>> MixUp(alpha=1.0, num_classes=2)(inputs, targets, np.random.default_rng(3))
    (array([[0.734...],
           [0.178...]], dtype=float32), array([[0.265..., 0.734...],
           [0.821..., 0.178...]], dtype=float32))
    """

    alpha: float = 1.0
    num_classes: int | None = None

    def __post_init__(self) -> None:
        _check_settings(self.alpha, self.num_classes)

    def __call__(self, inputs: Batch, targets: Batch, rng: np.random.Generator) -> tuple[Batch, Batch]:
        check_floats(inputs, "MixUp")
        inputs = inputs.astype(np.float32, copy=False)
        probabilities = as_probabilities(targets, self.num_classes)
        share = rng.beta(self.alpha, self.alpha, size=len(inputs)).astype(np.float32)
        partners = rng.permutation(len(inputs))
        return _blended(inputs, partners, share), _blended(probabilities, partners, share)


@dataclass(frozen=True)
class CutMix:
    """Replace a rectangle of each image by the same place of another image of the batch; targets mix by area.

    The rectangle covers a share 1 - l of the image, with the image's proportions, its centre uniform over the pixels;
    what lies beyond the edge is cut off. Then t' = (1 - a) t_i + a t_j, with a the share of pixels really replaced.

    Parameters
    ----------
    alpha : l is drawn from Beta(alpha, alpha) for each image; from 0 (exclusive).
    num_classes : labels become probabilities (N, num_classes). None where targets are probabilities already, (N, C).

    Give it to a loader as `batch_transform`. Inputs are images of any dtype, copied exactly. Errors as `MixUp`, and
    ShapeError for inputs that are no images.

    Source: S. Yun et al., "CutMix: regularization strategy to train strong classifiers with localizable features",
    ICCV 2019, section 3.1.

    >>> inputs = np.arange(2).repeat(4).reshape(2, 1, 2, 2)
    >>> images, targets = CutMix(num_classes=2)(inputs, np.array([0, 1]), np.random.default_rng(3))
    >>> images[0, 0], targets[0]
    (array([[1, 0],
           [0, 0]]), array([0.75, 0.25], dtype=float32))
    """

    alpha: float = 1.0
    num_classes: int | None = None

    def __post_init__(self) -> None:
        _check_settings(self.alpha, self.num_classes)

    def __call__(self, inputs: Batch, targets: Batch, rng: np.random.Generator) -> tuple[Batch, Batch]:
        n, _, h, w = check_images(inputs, "CutMix")
        probabilities = as_probabilities(targets, self.num_classes)
        side = np.sqrt(1 - rng.beta(self.alpha, self.alpha, size=n))  # as a fraction of the image's
        partners = rng.permutation(n)
        top, bottom = _span(rng.integers(0, h, size=n), side * h)
        left, right = _span(rng.integers(0, w, size=n), side * w)
        inside = rectangles(h, w, top, left, bottom, right)
        out = inputs.copy()
        np.copyto(out, inputs[partners], where=inside[:, None])
        kept = 1 - inside.mean(axis=(1, 2), dtype=np.float64)
        return out, _blended(probabilities, partners, kept.astype(np.float32))


def as_probabilities(targets: npt.NDArray, num_classes: int | None) -> npt.NDArray[np.float32]:
    """Labels (N,) as one-hot rows (N, num_classes) float32; probabilities (N, C) as they are."""
    if targets.ndim == 2 and targets.dtype.kind == "f" and num_classes in (None, targets.shape[1]):
        return targets.astype(np.float32, copy=False)
    if targets.ndim != 1 or targets.dtype.kind not in "iu" or num_classes is None:
        raise ShapeError(
            "targets must be integer labels (N,), for which num_classes is needed, or probabilities (N, num_classes); "
            f"got {targets.dtype} of shape {targets.shape} with num_classes {num_classes}"
        )
    if targets.size and not 0 <= targets.min() <= targets.max() < num_classes:
        raise DataError(
            f"labels must lie in [0, {num_classes}), found values from {targets.min()} to {targets.max()}"
        )
    return np.eye(num_classes, dtype=np.float32)[targets]


def _blended(values: npt.NDArray, partners: npt.NDArray, share: npt.NDArray[np.float32]) -> npt.NDArray:
    share = share.reshape(-1, *[1] * (values.ndim - 1))
    return share * values + (1 - share) * values[partners]


def _span(centre: npt.NDArray, length: npt.NDArray) -> tuple[npt.NDArray, npt.NDArray]:
    """First and one past the last pixel of lengths around centres, before they are cut off at the edges."""
    whole = np.rint(length).astype(int)
    begin = centre - whole // 2
    return begin, begin + whole


def _check_settings(alpha: float, num_classes: int | None) -> None:
    if not is_number(alpha) or not 0 < alpha < math.inf:
        raise ArgumentError(f"alpha must be a number above 0, got {alpha!r}")
    if num_classes is not None and not is_whole(num_classes, 1):
        raise ArgumentError(f"num_classes must be a whole number from 1 or None, got {num_classes!r}")
