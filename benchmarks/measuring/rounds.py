"""Taking turns: the speed of a shared machine drifts, so contestants are compared within rounds, by medians."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Summary(NamedTuple):
    """Median and quartiles of some measurements, and how many there were."""

    median: float
    q1: float
    q3: float
    rounds: int

    def scaled(self, factor: float) -> Summary:
        """The same in another unit."""
        return Summary(self.median * factor, self.q1 * factor, self.q3 * factor, self.rounds)


def summary(values: Sequence[float]) -> Summary:
    """Median and quartiles, these by linear interpolation between the values in order.

    >>> summary([4.0, 1.0, 2.0, 3.0, 5.0])
    Summary(median=3.0, q1=2.0, q3=4.0, rounds=5)
    """
    if len(values) < 2:
        return Summary(values[0], values[0], values[0], len(values))
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return Summary(median, q1, q3, len(values))


def joins(number: int, rounds: int, own: int) -> bool:
    """Whether a contestant that has time for `own` of all `rounds` joins round `number`, from 0: evenly spread ones.

    >>> [number for number in range(10) if joins(number, 10, 3)]
    [3, 6, 9]
    """
    return (number + 1) * own // rounds > number * own // rounds
