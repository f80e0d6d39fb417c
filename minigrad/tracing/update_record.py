"""What an optimiser did to one parameter."""

from __future__ import annotations

from dataclasses import dataclass

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
