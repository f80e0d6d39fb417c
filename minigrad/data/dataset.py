"""Datasets held as two arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from minigrad.errors import DataError


class PartialDataWarning(UserWarning):
    """A dataset could not be had in full; a part of it stands in."""


class ArrayDataset:
    """Samples in one array, what they should be recognised as in another: `dataset[indices]` is a whole batch.

    Parameters
    ----------
    inputs : array of shape (n, ...), any dtype; images as (n, C, H, W).
    targets : array of shape (n, ...); class labels as integers of shape (n,).
    classes : names of the classes, in the order of their labels; labels must then lie in [0, len(classes)).
    features : names of the columns of a table, in order; inputs must then have shape (n, len(features)).
    name : what messages and reports call it.

    Both arrays are kept as they are, without a copy. `dataset[i]` is NumPy indexing of both along the first
    axis, with an integer, a slice, or an array of indices or booleans.

    Raises DataError when the lengths differ, an array has no first axis, a label lies outside the classes,
    or the names of features are not as many as the columns.

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
        features: Sequence[str] | None = None,
        name: str = "dataset",
    ) -> None:
        self.inputs = np.asarray(inputs)
        self.targets = np.asarray(targets)
        self.classes = None if classes is None else tuple(classes)
        self.features = None if features is None else tuple(features)
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
        if self.features is not None and self.inputs.shape[1:] != (len(self.features),):
            raise DataError(
                f"{name}: {len(self.features)} names of features, but inputs of shape {self.inputs.shape}"
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
        return ArrayDataset(
            inputs, targets, classes=self.classes, features=self.features, name=name or f"part of {self.name}"
        )


def check_labels(labels: npt.NDArray, num_classes: int, name: str) -> None:
    """Raise DataError unless `labels` are integers in [0, num_classes)."""
    if labels.dtype.kind not in "iu":
        raise DataError(f"{name}: class labels must be integers, got {labels.dtype}")
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        raise DataError(
            f"{name}: labels must lie in [0, {num_classes}), found values from {labels.min()} to {labels.max()}"
        )
