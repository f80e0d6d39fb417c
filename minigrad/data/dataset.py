"""Datasets held as two arrays, and their division into parts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from minigrad.errors import ArgumentError, DataError


class ArrayDataset:
    """Samples in one array, what they should be recognised as in another: `dataset[indices]` is a whole batch.

    Parameters
    ----------
    inputs : array of shape (n, ...), any dtype; images as (n, C, H, W).
    targets : array of shape (n, ...); class labels as integers of shape (n,).
    classes : names of the classes, in the order of their labels; labels must then lie in [0, len(classes)).
    name : what messages and reports call it.

    Both arrays are kept as they are, without a copy. `dataset[i]` is NumPy indexing of both along the first
    axis, with an integer, a slice, or an array of indices or booleans.

    Raises DataError when the lengths differ, an array has no first axis, or a label lies outside the classes.

    >>> dataset = ArrayDataset(np.arange(6.0).reshape(3, 2), np.array([0, 1, 0]), classes=["even", "odd"])
    >>> len(dataset)
    3
    >>> dataset[[2, 0]]
    (array([[4., 5.],
           [0., 1.]]), array([0, 0]))
    """

    def __init__(
        self,
        inputs: npt.ArrayLike,
        targets: npt.ArrayLike,
        *,
        classes: Sequence[str] | None = None,
        name: str = "dataset",
    ) -> None:
        self.inputs = np.asarray(inputs)
        self.targets = np.asarray(targets)
        self.classes = None if classes is None else tuple(classes)
        self.name = name
        if self.inputs.ndim == 0 or self.targets.ndim == 0:
            raise DataError(
                f"{name}: inputs and targets need a first axis that counts samples, got shapes {self.inputs.shape} and "
                f"{self.targets.shape}"
            )
        if len(self.inputs) != len(self.targets):
            raise DataError(
                f"{name}: {len(self.inputs)} inputs (shape {self.inputs.shape}) but {len(self.targets)} targets (shape "
                f"{self.targets.shape}); each input needs one target"
            )
        if self.classes is not None:
            check_labels(self.targets, len(self.classes), name)

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(
        self, indices: int | slice | Sequence[int] | npt.NDArray
    ) -> tuple[npt.NDArray, npt.NDArray]:
        return self.inputs[indices], self.targets[indices]

    def __repr__(self) -> str:
        return (
            f"ArrayDataset({self.name!r}, {len(self)} samples: inputs {self.inputs.shape} {self.inputs.dtype}, "
            f"targets {self.targets.shape} {self.targets.dtype})"
        )

    def subset(self, indices: slice | Sequence[int] | npt.NDArray, name: str | None = None) -> ArrayDataset:
        """The samples at `indices`, in that order, as a dataset of its own; a slice shares memory, indices copy."""
        inputs, targets = self[indices]
        return ArrayDataset(inputs, targets, classes=self.classes, name=name or f"part of {self.name}")


def check_labels(labels: npt.NDArray, num_classes: int, name: str) -> None:
    """Raise DataError unless `labels` are integers in [0, num_classes)."""
    if labels.dtype.kind not in "iu":
        raise DataError(f"{name}: class labels must be integers, got {labels.dtype}")
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        raise DataError(
            f"{name}: labels must lie in [0, {num_classes}), found values from {labels.min()} to {labels.max()}"
        )


def random_split(dataset: ArrayDataset, lengths: Sequence[int | float], seed: int = 0) -> list[ArrayDataset]:
    """Divide a dataset at random into parts without a common sample, for example for training and validation.

    Parameters
    ----------
    lengths : of the parts: either whole numbers that sum to `len(dataset)`, or fractions that sum to 1. Each
        fraction is rounded down to whole samples, and what is left over goes to the first parts, one each.
    seed : the division depends on it and on `len(dataset)` only.

    Returns one `ArrayDataset` per length.

    >>> digits = ArrayDataset(np.arange(10), np.arange(10) % 2)
    >>> training, validation = random_split(digits, [0.8, 0.2], seed=1)
    >>> len(training), len(validation)
    (8, 2)
    """
    counts = _counts(len(dataset), lengths)
    order = np.random.default_rng(seed).permutation(len(dataset))
    ends = np.cumsum(counts)
    names = [f"part {number} of {len(counts)} of {dataset.name}" for number in range(1, len(counts) + 1)]
    return [dataset.subset(order[end - count : end], name) for count, end, name in zip(counts, ends, names)]


def _counts(total: int, lengths: Sequence[int | float]) -> list[int]:
    wrong = ArgumentError(
        f"lengths must be whole numbers that sum to the dataset's {total} samples, or fractions that sum to 1; "
        f"got {list(lengths)}"
    )
    if not len(lengths) or any(length < 0 for length in lengths):
        raise wrong
    if all(isinstance(length, (int, np.integer)) for length in lengths) and sum(lengths) == total:
        return [int(length) for length in lengths]
    if not math.isclose(sum(lengths), 1.0, abs_tol=1e-9):
        raise wrong
    counts = [math.floor(total * length) for length in lengths]
    for leftover in range(total - sum(counts)):
        counts[leftover % len(counts)] += 1
    return counts
