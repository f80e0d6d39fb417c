"""A finding: what a recorded run tells, in sentences with their numbers, and the numbers behind them as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.record import RunReader
from minigrad.viz import Section


class Finding(NamedTuple):
    """A question put to a run, the answer in sentences, and a table.

    name:      of a file, for a report.
    title:     the heading.
    sentences: the answer.
    rows:      of the table, perhaps none.
    told:      False where the run does not tell: then the sentences say why.
    """

    name: str
    title: str
    sentences: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...] = ()
    told: bool = True

    def __str__(self) -> str:
        return " ".join(self.sentences)

    def section(self) -> Section:
        """As a part of a report."""
        return Section(self.name, self.title, str(self), None, self.rows)

    @classmethod
    def untold(cls, name: str, title: str, why: str) -> Finding:
        """The run does not tell."""
        return cls(name, title, (f"This cannot be told: {why}",), told=False)


def layers_in_order(run: RunReader) -> list[Any]:
    """The signals of the layers' outputs, in the order of the forward."""
    return sorted(run.signals("output"), key=lambda signal: signal.id)  # outputs are first seen in it


def stretches(steps: np.ndarray, parts: int) -> list[np.ndarray]:
    """Where the steps (sorted) fall in `parts` parts of the run of equal length, or fewer: those without a step go.

    >>> [part.tolist() for part in stretches(np.array([1, 2, 50, 100]), 4)]
    [[0, 1], [2], [3]]
    """
    first, last = int(steps[0]), int(steps[-1])
    place = np.minimum((steps - first) * parts // max(1, last - first + 1), parts - 1)
    found = [np.flatnonzero(place == part) for part in range(parts)]
    return [part for part in found if len(part)]


def span_of(first: int, last: int) -> str:
    """Steps, as they stand in a sentence.

    >>> span_of(1, 1000), span_of(7, 7)
    ('steps 1 to 1,000', 'step 7')
    """
    return f"step {first:,}" if first == last else f"steps {first:,} to {last:,}"


def listed(parts: Sequence[str]) -> str:
    """Words in a row.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))
