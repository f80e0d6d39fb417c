"""Reading what has been added to a record since one looked last, so that a page can follow a run for little."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minigrad.errors import DataError
from minigrad.record import RunReader
from minigrad.record.coding import decode
from minigrad.record.matrices import Layout
from minigrad.viz.page.thinning import Bins

_AT_ONCE = 400  # steps whose matrices are asked for in one query


def matrix_steps(run: RunReader, layout: Layout, after: int = -1) -> list[int]:
    """The steps above `after` at which a layout has a matrix."""
    query = "SELECT DISTINCT step FROM matrices WHERE layout = ? AND step > ? ORDER BY step"
    return [row[0] for row in run.query(query, layout.id, after)[1]]


def matrices_at(run: RunReader, layout: Layout, steps: Sequence[int]) -> np.ndarray:
    """The matrices of some steps, sorted: (len(steps), rows, columns). Raises DataError where one is not whole."""
    rows = max((stop for _, stop in layout.places.values()), default=0)
    result = np.empty((len(steps), rows, len(layout.columns)), layout.dtype.newbyteorder("="))
    places, have = {step: i for i, step in enumerate(steps)}, [0] * len(steps)
    for first in range(0, len(steps), _AT_ONCE):
        some = steps[first : first + _AT_ONCE]
        query = (
            f"SELECT step, data FROM matrices WHERE layout = ? AND step IN ({','.join('?' * len(some))}) "
            "ORDER BY step, piece"
        )
        for step, data in run.query(query, layout.id, *some)[1]:
            i, piece = places[step], decode(data, layout.dtype, len(layout.columns))
            if have[i] + len(piece) > rows:
                raise DataError(f"a matrix of the record is damaged: layout {layout.name}, step {step}")
            result[i, have[i] : have[i] + len(piece)] = piece
            have[i] += len(piece)
    if short := [step for step, count in zip(steps, have) if count != rows]:
        raise DataError(f"a matrix of the record is damaged: layout {layout.name}, step {short[0]}")
    return result


class BinnedLayout:
    """Means over bins of steps of all that a layout holds, which `update` keeps up to date.

    reduce: what to keep of matrices (S, rows, columns), as (S, kept, columns); all of them by default.
    """

    def __init__(
        self, layout: Layout, limit: int, reduce: Callable[[Layout, np.ndarray], np.ndarray] | None = None
    ) -> None:
        self.layout, self.bins, self.last = layout, Bins(limit), -1
        self._reduce = reduce

    def update(self, run: RunReader) -> None:
        """Take in the matrices that have come."""
        steps = matrix_steps(run, self.layout, self.last)
        for first in range(0, len(steps), _AT_ONCE):
            some = steps[first : first + _AT_ONCE]
            values = matrices_at(run, self.layout, some)
            kept = values if self._reduce is None else self._reduce(self.layout, values)
            self.bins.add(np.array(some, np.int64), kept)
            self.last = some[-1]


class GrowingSteps:
    """The table of steps as arrays, which `update` keeps up to date. Numbers that were not recorded are NaN."""

    _NUMBERS = ("loss", "seconds", "memory", "epoch", "time")

    def __init__(self) -> None:
        self.steps = np.zeros(0, np.int64)
        self.numbers = {name: np.zeros(0) for name in self._NUMBERS}
        self.rates: list[np.ndarray] = []  # one array for each parameter group

    def update(self, run: RunReader, parse: Callable[[str], list[float]]) -> None:
        """Take in the steps that have come; `parse` reads a row's rates."""
        last = int(self.steps[-1]) if len(self.steps) else -1
        query = f"SELECT step, rates, {', '.join(self._NUMBERS)} FROM steps WHERE step > ? ORDER BY step"
        rows = run.query(query, last)[1]
        if not rows:
            return
        columns = list(zip(*rows))
        before = len(self.steps)
        self.steps = np.concatenate([self.steps, np.array(columns[0], np.int64)])
        for name, column in zip(self._NUMBERS, columns[2:]):
            new = np.array([np.nan if v is None else v for v in column], np.float64)
            self.numbers[name] = np.concatenate([self.numbers[name], new])
        rates = [parse(text) for text in columns[1]]
        for group in range(max(len(self.rates), *map(len, rates))):
            if group == len(self.rates):
                self.rates.append(np.full(before, np.nan))
            new = np.array([own[group] if group < len(own) else np.nan for own in rates], np.float64)
            self.rates[group] = np.concatenate([self.rates[group], new])
