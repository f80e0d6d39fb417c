"""Numbers of each parameter, its gradient and its change, taken after a step of the optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad import dtypes
from minigrad.backend.statistics import NUMBERS, ROWS
from minigrad.interpret.influence_units import by_unit
from minigrad.nn.module import Module
from minigrad.tracing.sampling import positions

_NONE = np.empty(0, np.int64)


class Watched(NamedTuple):
    """A parameter, its name, the values it had, and how many units it has."""

    name: str
    parameter: Any
    previous: Any
    units: int


class ParameterWatch:
    """Compares the parameters with what they were when they were last looked at, or `refresh` was called.

    A unit is an index in a parameter's first dimension, in a transposed convolution's weight an output channel.

    wanted: says which names to look at.
    """

    def __init__(self, model: Module, wanted: Callable[[str], bool]) -> None:
        self.model = model
        self.watched = [
            Watched(name, p, p.array.copy(), len(by_unit(model, name, p.array)))
            for name, p in model.named_parameters()
            if wanted(name) and p.dtype in dtypes.FLOATING
        ]

    @property
    def names(self) -> list[str]:
        """Dotted names, in the model's order."""
        return [w.name for w in self.watched]

    def unit_norms(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """For each unit the L2 norm of its weights' gradient, and of their change since `statistics` was last called:
        float64 (units,) by name; NaN where there is no gradient. Parameters in one dimension (biases, and the weights
        of norms) have but one number for a unit, and are left out."""
        gradients, changes = {}, {}
        for name, p, previous, units in self.watched:
            if p.ndim > 1:
                missing = p.grad is None
                gradients[name] = (
                    np.full(units, np.nan) if missing else self._norms(name, p.backend, p.grad.array)
                )
                changes[name] = self._norms(name, p.backend, _wide(p.array) - _wide(previous))
        return gradients, changes

    def _norms(self, name: str, backend: Any, array: Any) -> np.ndarray:
        rows = _wide(by_unit(self.model, name, array))[None]
        return np.sqrt(backend.unit_products(rows, rows, 1)[0])

    def refresh(self) -> None:
        """Count changes from here."""
        for one in self.watched:
            one.previous[...] = one.parameter.array

    def statistics(self, sampled: bool) -> tuple[np.ndarray, list[np.ndarray]]:
        """Numbers (parameters, 3, NUMBERS), rows weight, gradient, change; if `sampled`, elements (3, n) of each.

        From now on, changes are counted from here.
        """
        numbers = np.empty((len(self.watched), len(ROWS), NUMBERS))
        samples: list[Any] = [None] * len(self.watched)
        for backend in dict.fromkeys(w.parameter.backend for w in self.watched):
            own = [i for i, w in enumerate(self.watched) if w.parameter.backend is backend]
            parts = [self.watched[i] for i in own]
            found, elements = backend.change_statistics(
                [w.parameter.array for w in parts],
                [None if w.parameter.grad is None else w.parameter.grad.array for w in parts],
                [w.previous for w in parts],
                [positions(w.parameter.array.size) if sampled else _NONE for w in parts],
            )
            numbers[own] = found
            for i, element in zip(own, elements, strict=True):
                samples[i] = backend.to_host(element)
        return numbers, samples


def _wide(array: Any) -> Any:
    """Half precision is for storing."""
    return array.astype(np.float32) if array.dtype.itemsize < 4 else array
