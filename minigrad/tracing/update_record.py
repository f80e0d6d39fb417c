"""What an optimiser did to one parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minigrad.tracing.sampling import positions
from minigrad.tracing.statistics import Statistics


@dataclass(slots=True)
class UpdateRecord:
    """One parameter in one step of an optimiser.

    optimizer: the name of its class.
    parameter: dotted name; None if no operation in the trace read it.
    shape:     of the parameter.
    seconds:   its share of the step's time, by its number of elements.
    weight, gradient, change: statistics of its values after the step, of the gradient that the step saw, and of the
               difference that the step made; None at the level "meta".
    """

    optimizer: str
    parameter: str | None
    shape: tuple[int, ...]
    seconds: float
    weight: Statistics | None = None
    gradient: Statistics | None = None
    change: Statistics | None = None

    @property
    def update_ratio(self) -> float:
        """The norm of the change over that of the values; NaN at the level "meta"."""
        if self.change is None or self.weight is None:
            return float("nan")
        return self.change.norm / self.weight.norm if self.weight.norm else float("inf")


def updates_of(
    optimizer: str,
    parameters: Sequence[Any],
    names: Sequence[str | None],
    before: Sequence[Any],
    seconds: float,
) -> list[UpdateRecord]:
    """The records of a step that took so long. before: the parameters' values before it; empty for no statistics."""
    share = seconds / max(sum(p.array.size for p in parameters), 1)
    updates = [
        UpdateRecord(optimizer, name, p.shape, share * p.array.size)
        for p, name in zip(parameters, names, strict=True)
    ]
    for backend in dict.fromkeys(p.backend for p in parameters) if before else ():
        own = [i for i, p in enumerate(parameters) if p.backend is backend]
        numbers, samples = backend.change_statistics(
            [parameters[i].array for i in own],
            [parameters[i].grad.array for i in own],
            [before[i] for i in own],
            [positions(parameters[i].array.size) for i in own],
        )
        for i, rows, sample in zip(own, numbers, samples, strict=True):
            pairs = zip(rows, backend.to_host(sample), strict=True)
            updates[i].weight, updates[i].gradient, updates[i].change = (Statistics(*pair) for pair in pairs)
    return updates
