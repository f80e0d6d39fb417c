"""Division of a dataset into parts, for training, validation and testing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from minigrad.errors import ArgumentError


class Divisible(Protocol):
    """What can be divided: a dataset that knows its targets and can make a part of itself."""

    targets: npt.NDArray
    name: str

    def __len__(self) -> int: ...

    def subset(self, indices: npt.NDArray, name: str | None = None) -> Any: ...


AnyDataset = TypeVar("AnyDataset", bound=Divisible)


def random_split(
    dataset: AnyDataset, lengths: Sequence[int | float], seed: int = 0, *, stratified: bool = False
) -> list[AnyDataset]:
    """Divide a dataset at random into parts without a common sample, for example for training and validation.

    Parameters
    ----------
    dataset : an `ArrayDataset` or `ImageFolder`.
    lengths : of the parts: either whole numbers that sum to `len(dataset)`, or fractions that sum to 1. Each
        fraction is rounded down to whole samples, and what is left over goes to the first parts, one each.
    seed : the division depends on it and on `len(dataset)` only; if stratified, on the targets too.
    stratified : give each part the same share of every class, as closely as whole samples allow. Targets must be
        labels, integers of shape (n,).

    Returns one dataset per length, of the same kind. Raises ArgumentError for lengths that do not add up, and for
    stratified=True without labels.

    >>> from minigrad.data import ArrayDataset
    >>> digits = ArrayDataset(np.arange(10), np.arange(10) % 2)
    >>> training, validation = random_split(digits, [0.8, 0.2], seed=1, stratified=True)
    >>> len(training), validation.targets.tolist()
    (8, [1, 0])
    """
    counts = _counts(len(dataset), lengths)
    rng = np.random.default_rng(seed)
    if stratified:
        order = _stratified_order(dataset.targets, counts, rng)
    else:
        order = rng.permutation(len(dataset))
    ends = np.cumsum(counts)
    names = [f"part {number} of {len(counts)} of {dataset.name}" for number in range(1, len(counts) + 1)]
    return [dataset.subset(order[end - count : end], name) for count, end, name in zip(counts, ends, names)]


def _stratified_order(
    labels: npt.NDArray, counts: Sequence[int], rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Indices of all samples, part after part, each part with its share of every class, in random order."""
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ArgumentError(
            f"stratified=True takes integer labels of shape (n,), got {labels.dtype} of shape {labels.shape}"
        )
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    # Deal the samples out class by class, each part taking its turn at regular intervals: any run of samples, a class
    # for one, is then shared in the proportions of the parts.
    turns = np.concatenate([(np.arange(count) + 0.5) / count for count in counts if count])
    part = np.repeat(np.arange(len(counts)), counts)[np.argsort(turns, kind="stable")]
    return np.concatenate([rng.permutation(by_class[part == number]) for number in range(len(counts))])


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
