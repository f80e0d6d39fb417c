"""Quantities over steps, for a signal or all signals of a kind, put together from matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.record.matrices import Matrices
from minigrad.record.rows import Signal

# Where statistics are looked for, in this order: every step's come before those of some steps
DETAILS = ("statistics", "sampled", "full")
UPDATE_RATIO, DEAD = "update_ratio", "dead"

Series = tuple[np.ndarray, np.ndarray]


def statistic(matrices: Matrices, signal: Signal, column: str, detail: str | None = None) -> Series:
    """Steps (S,) and values (S,), float64, of one column of a signal's statistics.

    detail: the layouts' name to take them from; by default the first of DETAILS that has them.

    Raises ArgumentError, telling what there is, if it was not recorded.
    """
    for name in DETAILS if detail is None else (detail,):
        found = [
            (steps, numbers[:, 0, layout.columns.index(column)])
            for layout, steps, numbers in matrices.of(signal.id, name)
            if column in layout.columns
        ]
        if found:
            return joined(found)
    raise not_recorded(matrices, signal, f"{column!r}" + (f" in {detail!r}" if detail else ""))


def dead_share(matrices: Matrices, signal: Signal) -> Series:
    """The share of a layer's units that gave nothing but zeros in the step's batch."""
    parts = [
        (steps, (numbers[:, :, 0] == 1).mean(axis=1)) for steps, numbers in unit_parts(matrices, signal, DEAD)
    ]
    return joined(parts)


def ratio(above: Series, below: Series) -> Series:
    """Quotients at the steps that both series have; NaN where both are 0."""
    steps, first, second = np.intersect1d(above[0], below[0], assume_unique=True, return_indices=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return steps, above[1][first] / below[1][second]


def units(matrices: Matrices, signal: Signal, what: str) -> Series:
    """Steps (S,) and values (S, units)."""
    return joined([(steps, numbers[:, :, 0]) for steps, numbers in unit_parts(matrices, signal, what)])


def unit_parts(matrices: Matrices, signal: Signal, what: str) -> list[Series]:
    """Steps and numbers (S, rows, columns), for each layout of the name `what` that has the signal."""
    found = [(steps, numbers) for _, steps, numbers in matrices.of(signal.id, what)]
    if not found:
        raise not_recorded(matrices, signal, repr(what))
    return found


def histograms(matrices: Matrices, signal: Signal) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps (S,), edges (S, bins + 1) and counts (S, bins)."""
    steps, numbers = joined([(s, rows[:, 0]) for s, rows in unit_parts(matrices, signal, "histograms")])
    lower, upper, counts = numbers[:, 0], numbers[:, 1], numbers[:, 2:]
    edges = np.linspace(lower, upper, counts.shape[1] + 1, axis=1)
    return steps, edges, counts


def joined(parts: Sequence[Series]) -> Series:
    """One series of several, whose rows have the same shape, in order of steps; of a step given twice, the latter."""
    shapes = {values.shape[1:] for _, values in parts}
    if len(shapes) > 1:
        raise ArgumentError(f"it was recorded in different sizes over the run: {sorted(shapes)}")
    steps = np.concatenate([steps for steps, _ in parts])
    values = np.concatenate([np.asarray(values, np.float64) for _, values in parts])
    if len(parts) > 1:
        steps, last = np.unique(steps[::-1], return_index=True)
        values = values[::-1][last]
    return steps, values


def on_steps(series: Sequence[Series]) -> tuple[np.ndarray, np.ndarray]:
    """Series side by side on all steps that any has: steps (S,), values (series, S), NaN where one has none."""
    steps = np.unique(np.concatenate([steps for steps, _ in series]))
    values = np.full((len(series), len(steps)), np.nan)
    for row, (own, numbers) in zip(values, series):
        row[np.searchsorted(steps, own)] = numbers
    return steps, values


def not_recorded(matrices: Matrices, signal: Signal, what: str) -> ArgumentError:
    """The error for a quantity that a signal does not have, which names those that it has."""
    there = [
        f"{layout.name} ({', '.join(layout.columns) if len(layout.columns) < 20 else '...'})"
        for layout in matrices.layouts()
        if signal.id in layout.places
    ]
    return ArgumentError(
        f"{what} was not recorded for {signal.kind} {signal.name!r}; there is "
        f"{'; '.join(dict.fromkeys(there)) or 'nothing'}"
    )
