"""Two recorded runs side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.record.quantities import UPDATE_RATIO
from minigrad.record.reader import RunReader, open_run

Run = RunReader | str | os.PathLike[str]


@dataclass(frozen=True)
class Joined:
    """One quantity at the steps that both runs recorded: steps (S,), and the two runs' values a (S,) and b (S,)."""

    steps: np.ndarray
    a: np.ndarray
    b: np.ndarray


def compare(
    run_a: Run,
    run_b: Run,
    statistics: Sequence[str] = ("norm", UPDATE_RATIO),
    kinds: Sequence[str] = ("weight",),
) -> dict[str, Joined]:
    """What two runs both recorded, by name: "loss", "seconds", "rate/<group>", and "<kind>/<statistic>/<name>".

    run_a, run_b: readers, or paths.
    statistics:   as `RunReader.heatmap` takes them.

    Raises ArgumentError if the runs have no step in common.
    """
    a, b = _opened(run_a), _opened(run_b)
    first, second = _scalars(a), _scalars(b)
    for statistic in statistics:
        for kind in dict.fromkeys("weight" if statistic == UPDATE_RATIO else kind for kind in kinds):
            for series, run in ((first, a), (second, b)):
                try:
                    steps, names, values = run.heatmap(statistic, kind)
                except ArgumentError:  # what one did not record cannot be compared
                    continue
                series.update(
                    (f"{kind}/{statistic}/{name}", (steps, row)) for name, row in zip(names, values)
                )
    result = {}
    for name, (steps_a, values_a) in first.items():
        if name in second:
            steps_b, values_b = second[name]
            steps, at_a, at_b = np.intersect1d(steps_a, steps_b, assume_unique=True, return_indices=True)
            if len(steps):
                result[name] = Joined(steps, values_a[at_a], values_b[at_b])
    if not result:
        raise ArgumentError(f"{a.path} and {b.path} have no step in common")
    return result


def configuration_differences(run_a: Run, run_b: Run) -> dict[str, tuple[Any, Any]]:
    """The settings in which two runs differ: (a's, b's) by dotted name, None where a run does not have it."""
    a, b = (_flat(_opened(run).configuration) for run in (run_a, run_b))
    return {name: (a.get(name), b.get(name)) for name in sorted({*a, *b}) if a.get(name) != b.get(name)}


def _opened(run: Run) -> RunReader:
    return run if isinstance(run, RunReader) else open_run(run)


def _scalars(run: RunReader) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    steps = run.steps
    found = {name: (steps["step"], steps[name]) for name in ("loss", "seconds")}
    for group, rates in enumerate(steps["rates"].T):
        found[f"rate/{group}"] = (steps["step"], rates)
    return found


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in settings.items():
        inner = isinstance(value, dict) and value
        result.update(_flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value})
    return result
