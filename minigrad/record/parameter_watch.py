"""Numbers of each parameter, its gradient and its change, taken after a step of the optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad import dtypes
from minigrad.backend.statistics import NUMBERS, ROWS
from minigrad.nn.module import Module
from minigrad.tracing.sampling import positions

_NONE = np.empty(0, np.int64)


class Watched(NamedTuple):
    """A parameter, its name and the values it had."""

    name: str
    parameter: Any
    previous: Any


class ParameterWatch:
    """Compares the parameters with what they were when they were last looked at.

    wanted: says which names to look at.
    """

    def __init__(self, model: Module, wanted: Callable[[str], bool]) -> None:
        self.watched = [
            Watched(name, p, p.array.copy())
            for name, p in model.named_parameters()
            if wanted(name) and p.dtype in dtypes.FLOATING
        ]

    @property
    def names(self) -> list[str]:
        """Dotted names, in the model's order."""
        return [w.name for w in self.watched]

    def unit_norms(self) -> tuple[np.ndarray, np.ndarray]:
        """For each unit of each parameter, one after the other, the L2 norm of its gradient and of its change since
        `statistics` was last called: float32; NaN where there is no gradient."""
        gradients, changes = [], []
        for _, p, previous in self.watched:
            gradients.append(
                _norms(p.backend, p.grad.array) if p.grad is not None else np.full(_units(p), np.nan)
            )
            changes.append(_norms(p.backend, p.array - previous))
        return np.concatenate(gradients).astype(np.float32), np.concatenate(changes).astype(np.float32)

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


def _norms(backend: Any, array: Any) -> np.ndarray:
    """L2 norm of each row of dimension 0."""
    rows = array.reshape(array.shape[0], -1) if array.ndim else array.reshape(1, 1)
    return np.sqrt(backend.to_host(backend.xp.einsum("ij,ij->i", rows, rows)))


def _units(p: Any) -> int:
    return p.shape[0] if p.ndim else 1
