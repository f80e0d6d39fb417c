"""What a step showed, as rules see it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from minigrad.backend.statistics import FIELDS


class Numbers:
    """The statistics of one signal: count, nans, infs, zeros, minimum, maximum, mean, std, skewness, kurtosis, norm."""

    __slots__ = ("_row",)

    def __init__(self, row: np.ndarray) -> None:
        self._row = row

    def __getattr__(self, name: str) -> float:
        try:
            return float(self._row[FIELDS.index(name)])
        except ValueError:
            text = f"a signal has no {name!r}; it has {', '.join(FIELDS)}"
            raise AttributeError(text, name=name, obj=self) from None

    def __repr__(self) -> str:
        return ", ".join(f"{name} {value:.4g}" for name, value in zip(FIELDS, self._row))


class SignalFacts:
    """What a step showed of one parameter or one layer.

    name: the parameter's dotted name, or the layer's path.
    step: from 1.

    A parameter has `weight`, `gradient` and `change`, a layer `input`, `output`, `input_gradient`, `output_gradient`:
    each is a Numbers, or None where it was not looked at in this step. `zeros` holds for each unit of a layer the share
    of its outputs that were 0, or None.
    """

    weight: Numbers | None = None
    gradient: Numbers | None = None
    change: Numbers | None = None
    input: Numbers | None = None
    output: Numbers | None = None
    input_gradient: Numbers | None = None
    output_gradient: Numbers | None = None
    zeros: np.ndarray | None = None

    def __init__(self, name: str, step: int) -> None:
        self.name, self.step = name, step

    @property
    def update_ratio(self) -> float:
        """Of a parameter, the norm of its change over that of its values; NaN where these are 0."""
        if self.change is None or self.weight is None:
            raise AttributeError(f"{self.name} has no change at step {self.step}", name="norm", obj=None)
        norm = self.weight.norm
        return self.change.norm / norm if norm else float("nan")


class Facts:
    """What a step showed.

    step:       from 1.
    loss:       of the step, None where it was not told.
    parameters: by dotted name.
    layers:     by path.
    """

    def __init__(self, step: int, loss: float | None) -> None:
        self.step, self.loss = step, loss
        self._rows: list[tuple[Sequence[tuple[str, str]], np.ndarray]] = []
        self._zeros: dict[str, np.ndarray] = {}

    def add(self, keys: Sequence[tuple[str, str]], rows: np.ndarray) -> None:
        """Add statistics, a row for each signal (kind, name); a later row replaces an earlier one."""
        self._rows.append((keys, rows))

    def add_zeros(self, layer: str, zeros: np.ndarray) -> None:
        """Add the share of zeros of each unit of a layer's output."""
        self._zeros[layer] = zeros

    @cached_property
    def parameters(self) -> dict[str, SignalFacts]:
        """Made when first asked for: most steps are asked by nobody."""
        return self._of("weight", "gradient", "change")

    @cached_property
    def layers(self) -> dict[str, SignalFacts]:
        """Likewise."""
        found = self._of("input", "output", "input_gradient", "output_gradient")
        for layer, zeros in self._zeros.items():
            found.setdefault(layer, SignalFacts(layer, self.step)).zeros = zeros
        return found

    def _of(self, *kinds: str) -> dict[str, SignalFacts]:
        found: dict[str, SignalFacts] = {}
        for keys, rows in self._rows:
            for (kind, name), row in zip(keys, rows, strict=True):
                if kind in kinds:
                    facts = found.get(name)
                    if facts is None:
                        facts = found[name] = SignalFacts(name, self.step)
                    setattr(facts, kind, Numbers(row))
        return found
