"""A recorded run whose numbers a test chooses: what findings need of a reader; and recording without pictures."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common import observing
from minigrad.errors import ArgumentError
from minigrad.record import Agreement, Note, Signal


class FakeRun:
    """What is not given was not recorded.

    series:     {(kind, name, statistic): values}, at the steps `every`, 2 `every`, ...
    shares:     {layer: values (steps, units)}, of zeros.
    influences: {layer: values (steps, units)}, by taylor.
    tensors:    {step: {name: values}}, snapshots of the weights.
    """

    def __init__(
        self,
        losses: Any = (),
        signals: Sequence[Signal] = (),
        series: Mapping[Any, Any] | None = None,
        shares: Mapping[str, Any] | None = None,
        influences: Mapping[str, Any] | None = None,
        tensors: Mapping[int, Mapping[str, Any]] | None = None,
        graph: Any = None,
        agreements: Sequence[Agreement] = (),
        notes: Sequence[Note] = (),
        rules: Sequence[str] = (),
        every: int = 1,
    ) -> None:
        self.steps = {"step": np.arange(1, len(losses) + 1), "loss": np.array(losses, float)}
        self._signals, self._series, self._tensors = list(signals), series or {}, tensors or {}
        self._by_unit = {"dead": shares or {}, "influence.taylor": influences or {}}
        self._graph, self._agreements, self._notes, self.every = graph, list(agreements), list(notes), every
        self.configuration = {"settings": {"rules": list(rules)}} if rules else {}

    def signals(self, kind=None, pattern="*"):
        assert pattern == "*"
        return [signal for signal in self._signals if kind in (None, signal.kind)]

    def series(self, name, statistic, kind="weight", detail=None):
        return self._of(self._series, (kind, name, statistic))

    def units(self, name, kind, what="unit_norms"):
        assert kind == "output"
        return self._of(self._by_unit[what], name)

    def _of(self, values, key):
        if key not in values:
            raise ArgumentError(f"not recorded: {key}")
        array = np.array(values[key], float)
        return self.every * np.arange(1, len(array) + 1), array

    def snapshot_steps(self, kind="weights"):
        assert kind == "weights"
        return np.array(sorted(self._tensors), np.int64)

    def tensor(self, name, step=None):
        return np.array(self._tensors[step][name], np.float32)

    def graph(self, step=None):
        if self._graph is None:
            raise ArgumentError("no snapshot of kind 'graph'")
        return {"records": self._graph}

    def agreement(self):
        return self._agreements

    def notes(self):
        return self._notes


def layers(*names: str, sizes: Sequence[int] = ()) -> list[Signal]:
    """Outputs in the order of the forward, gradients in that of the way back; by the output and by the input.

    sizes: how many elements each layer's output has; its input has as many as the output before.
    """
    sizes = sizes or [4] * len(names)
    outputs = [Signal(i, "output", name, (8, n), n) for i, (name, n) in enumerate(zip(names, sizes))]
    back = [Signal(100 + i, "output_gradient", s.name, s.shape, s.units) for i, s in enumerate(outputs[::-1])]
    through = [
        Signal(200 + i, "input_gradient", after.name, before.shape, before.units)
        for i, (before, after) in enumerate(itertools.pairwise(outputs))
    ]
    return [*back, *through, *outputs[::-1]]


def gradients(kind: str = "output_gradient", **sizes: Any) -> dict[Any, Any]:
    """The root mean square of each layer's gradient, part of it mean, part deviation."""
    series = {}
    for name, values in sizes.items():
        values = np.array(values, float)
        series[kind, name, "mean"] = 0.6 * values
        series[kind, name, "std"] = 0.8 * values
    return series


def weights(**numbers: Any) -> tuple[list[Signal], dict[Any, Any], dict[int, dict[str, Any]]]:
    """Weights by name: (values at step 0, values at step 3, norms of the changes at steps 1, 2, 3)."""
    signals, series, tensors = [], {}, {0: {}, 3: {}}  # type: ignore[var-annotated]
    for i, (name, (first, last, changes)) in enumerate(numbers.items()):
        shape = np.shape(first)
        signals.append(Signal(i, "weight", name, shape, shape[0]))
        series["change", name, "norm"] = changes
        tensors[0][name], tensors[3][name] = first, last
    return signals, series, tensors


def leave_out_pictures(monkeypatch: Any, page: bool = False) -> None:
    """Drawing takes longer than so little training: only some tests look at the figures.

    page: write the interactive page all the same.
    """
    for name in (
        ("write_run_report", "sections_of") if page else ("write_run_report", "sections_of", "export_page")
    ):
        monkeypatch.setattr(observing, name, lambda *_: [])
    monkeypatch.setattr(observing, "_PICTURES", {})
