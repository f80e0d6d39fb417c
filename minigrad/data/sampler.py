"""Samplers: in which order, and how often, an epoch visits the samples.

A sampler has a length and a method `indices(rng)` that returns that many indices of samples; all its randomness comes
from `rng`, which the loader makes from its seed and the number of the epoch. It keeps no state, so any epoch's order
can be had again at any time.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from minigrad.errors import ArgumentError, DataError


class Sampler(Protocol):
    """What a loader needs to know an epoch's order."""

    def __len__(self) -> int: ...

    def indices(self, rng: np.random.Generator, /) -> npt.NDArray[np.integer]: ...


class SequentialSampler:
    """Every sample once, in the dataset's own order.

    data_source: the dataset; only its length counts.

    >>> SequentialSampler("abc").indices(np.random.default_rng(0))
    array([0, 1, 2])
    """

    def __init__(self, data_source: Sized) -> None:
        self.count = len(data_source)

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        return f"SequentialSampler({self.count} samples)"

    def indices(self, rng: np.random.Generator) -> npt.NDArray[np.integer]:
        """0, 1, 2, ..."""
        return np.arange(self.count)


class RandomSampler:
    """Samples in random order: each once, or drawn with replacement.

    Parameters
    ----------
    data_source : the dataset; only its length counts.
    replacement : draw each sample anew from all of them, so that some come twice and others never.
    num_samples : in an epoch; None for as many as the dataset has. Without replacement at most as many.

    Raises ArgumentError for numbers out of range.
    """

    def __init__(self, data_source: Sized, replacement: bool = False, num_samples: int | None = None) -> None:
        self.count, self.replacement = len(data_source), replacement
        self.num_samples = _num_samples(num_samples, self.count)
        if not replacement and self.num_samples > self.count:
            raise ArgumentError(
                f"num_samples is {num_samples} of only {self.count} samples; use replacement=True"
            )

    def __len__(self) -> int:
        return self.num_samples

    def __repr__(self) -> str:
        return f"RandomSampler({self.num_samples} of {self.count} samples, replacement={self.replacement})"

    def indices(self, rng: np.random.Generator) -> npt.NDArray[np.integer]:
        """Indices of an epoch."""
        if self.replacement:
            return rng.integers(0, self.count, size=self.num_samples)
        return rng.permutation(self.count)[: self.num_samples]


class WeightedRandomSampler:
    """Samples drawn at random, each in proportion to its weight.

    Parameters
    ----------
    weights : one number from 0 for each sample; they need not sum to 1.
    num_samples : in an epoch.
    replacement : False draws no sample twice in an epoch; then at least num_samples weights must be positive.

    Raises ArgumentError for weights or numbers out of range.

    >>> WeightedRandomSampler([0, 1, 0], num_samples=4).indices(np.random.default_rng(0))
    array([1, 1, 1, 1])
    """

    def __init__(self, weights: npt.ArrayLike, num_samples: int, replacement: bool = True) -> None:
        self.weights = np.asarray(weights, np.float64)
        self.num_samples, self.replacement = _num_samples(num_samples, 0), replacement
        w = self.weights
        if w.ndim != 1 or not np.isfinite(w).all() or (w < 0).any() or not w.sum() > 0:
            raise ArgumentError(
                f"weights must be finite numbers from 0, one per sample and not all 0, got {w.size} of shape {w.shape}"
            )
        if not replacement and np.count_nonzero(w) < self.num_samples:
            raise ArgumentError(
                f"num_samples is {num_samples}, but only {np.count_nonzero(w)} weights are positive; "
                "use replacement=True"
            )

    def __len__(self) -> int:
        return self.num_samples

    def __repr__(self) -> str:
        return (
            f"WeightedRandomSampler({self.num_samples} of {len(self.weights)} samples, "
            f"replacement={self.replacement})"
        )

    def indices(self, rng: np.random.Generator) -> npt.NDArray[np.integer]:
        """Indices of an epoch."""
        shares = self.weights / self.weights.sum()
        return rng.choice(len(shares), self.num_samples, self.replacement, shares)


class BalancedSampler:
    """Every class equally often, however many samples it has; within a class, its samples equally often.

    Parameters
    ----------
    targets : the labels, integers (n,).
    num_samples : in an epoch, from 1; None for n. Where the classes do not divide it, some of them, chosen at random
        in each epoch, come once more.

    Small classes are gone through several times, each time in a new order; of large ones each epoch sees another
    random part. Raises DataError where targets are no labels.

    >>> order = BalancedSampler([0, 0, 0, 0, 0, 7], num_samples=4).indices(np.random.default_rng(0))
    >>> int((order == 5).sum())
    2
    """

    def __init__(self, targets: npt.ArrayLike, num_samples: int | None = None) -> None:
        labels = np.asarray(targets)
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or not labels.size:
            raise DataError(
                f"balanced sampling takes integer labels (n,), got {labels.dtype} of shape {labels.shape}"
            )
        self.num_samples = _num_samples(num_samples, len(labels))
        self.members = [np.flatnonzero(labels == label) for label in np.unique(labels)]

    def __len__(self) -> int:
        return self.num_samples

    def __repr__(self) -> str:
        return f"BalancedSampler({self.num_samples} samples of {len(self.members)} classes)"

    def indices(self, rng: np.random.Generator) -> npt.NDArray[np.integer]:
        """Indices of an epoch."""
        each, rest = divmod(self.num_samples, len(self.members))
        wanted = np.full(len(self.members), each)
        wanted[rng.permutation(len(self.members))[:rest]] += 1
        chosen = [_rounds(members, count, rng) for members, count in zip(self.members, wanted)]
        return rng.permutation(np.concatenate(chosen))


def _rounds(members: npt.NDArray, count: int, rng: np.random.Generator) -> npt.NDArray:
    """`count` members: all of them in as many rounds as it takes, the last round being a random part."""
    rounds = -(-count // len(members))
    shuffled = rng.permuted(np.tile(members, (rounds, 1)), axis=1)
    return shuffled.reshape(-1)[:count]


def _num_samples(given: Any, default: int) -> int:
    if given is None:
        return default
    if not isinstance(given, (int, np.integer)) or isinstance(given, bool) or given < 1:
        raise ArgumentError(f"num_samples must be a whole number from 1, got {given!r}")
    return int(given)
