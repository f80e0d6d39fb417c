"""Long series made short: steps gathered in bins whose width is a power of two, which a growing run keeps."""

from __future__ import annotations

import numpy as np


def bin_width(first: int, last: int, limit: int) -> int:
    """The narrowest width, a power of two, with which the steps `first` to `last` lie in at most `limit` bins.

    Bin k holds the steps from k * width up to, not including, (k + 1) * width.

    >>> bin_width(0, 999, 500)
    2
    """
    width = 1
    while last // width - first // width + 1 > limit:
        width *= 2
    return width


def stride(count: int, limit: int) -> int:
    """The smallest power of two s with which every s-th of `count` things are at most `limit`.

    >>> stride(1000, 300)
    4
    """
    step = 1
    while -(-count // step) > limit:
        step *= 2
    return step


def extremes(steps: np.ndarray, values: np.ndarray, width: int) -> np.ndarray:
    """Indices of each bin's first, last, smallest and largest value, in order: a line through them looks like all.

    steps: (S,), sorted. values: (S,); a NaN is left out unless it is first or last.

    >>> extremes(np.arange(8), np.array([0, 5, 1, 2, 0, 0, -3, 0]), 4)
    array([0, 1, 3, 4, 6, 7])
    """
    if width == 1 or not len(steps):
        return np.arange(len(steps))
    bins = steps // width
    starts = np.flatnonzero(np.r_[True, bins[1:] != bins[:-1]])
    stops = np.r_[starts[1:], len(steps)]
    order = np.lexsort((values, bins))  # within a bin by value, NaN last
    numbers = np.add.reduceat(~np.isnan(values), starts)
    lowest = order[starts]
    highest = order[starts + np.maximum(numbers, 1) - 1]
    return np.unique(np.concatenate([starts, lowest, highest, stops - 1]))


class Bins:
    """Means over bins of rows of numbers that come step by step; bins double in width when there are too many.

    limit: how many bins there may be.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.width, self.first = limit, 1, 0  # `first` is the number of the first bin
        self.sums: np.ndarray | None = None  # (bins, ...)
        self.counts: np.ndarray | None = None

    def add(self, steps: np.ndarray, values: np.ndarray) -> None:
        """Take in values (S, ...) of later steps (S,). NaN and infinities count as nothing."""
        if not len(steps):
            return
        if self.sums is None or self.counts is None:
            self.width, self.first = bin_width(int(steps[0]), int(steps[-1]), self.limit), 0
            self.first = int(steps[0]) // self.width
            self.sums = np.zeros((0, *values.shape[1:]))
            self.counts = np.zeros(self.sums.shape, np.uint32)
        last = int(steps[-1])
        while last // self.width - self.first + 1 > self.limit:
            self._widen()
        wanted = last // self.width - self.first + 1
        if wanted > len(self.sums):
            more = wanted - len(self.sums)
            self.sums = np.concatenate([self.sums, np.zeros((more, *self.sums.shape[1:]))])
            self.counts = np.concatenate([self.counts, np.zeros((more, *self.sums.shape[1:]), np.uint32)])
        places = steps // self.width - self.first
        finite = np.isfinite(values)
        np.add.at(self.sums, places, np.where(finite, values, 0.0))
        np.add.at(self.counts, places, finite)

    def _widen(self) -> None:
        assert self.sums is not None
        assert self.counts is not None
        if self.first % 2:  # the pairs of the wider bins begin at even numbers
            self.sums = np.concatenate([np.zeros((1, *self.sums.shape[1:])), self.sums])
            self.counts = np.concatenate([np.zeros((1, *self.counts.shape[1:]), np.uint32), self.counts])
        starts = np.arange(0, len(self.sums), 2)
        if len(starts):
            self.sums = np.add.reduceat(self.sums, starts, axis=0)
            self.counts = np.add.reduceat(self.counts, starts, axis=0)
        self.first, self.width = self.first // 2, 2 * self.width

    def means(self) -> np.ndarray:
        """(bins, ...), NaN where a bin has nothing."""
        if self.sums is None or self.counts is None:
            return np.zeros((0,))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.counts > 0, self.sums / self.counts, np.nan)
