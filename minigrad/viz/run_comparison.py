"""Figures of two recorded runs side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.record import RunReader
from minigrad.viz.figures import new_figure
from minigrad.viz.run_axes import PALETTE, draw_bar, explain_colours, scale_of, whole_steps
from minigrad.viz.run_figures import (
    KINDS,
    STATISTICS,
    Table,
    draw_heat,
    draw_loss,
    draw_rates,
    heat_table,
    measures_of,
    points,
    readable_log,
    row_height,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = PALETTE[:2]


def compared_run_curves(
    run_a: RunReader, run_b: RunReader, names: tuple[str, str] | None = None, loss: str = "loss"
) -> Figure:
    """Loss, the epochs' measures and learning rates of two runs, each in its colour throughout.

    names: what the runs are called, by default their folders' names.
    loss:  what the loss is, and its unit.

    Measures after training are lines, those before ("train_") dashed. Raises ArgumentError if one has no step.
    """
    runs = dict(zip(_names(run_a, run_b, names), (run_a, run_b)))
    steps = {name: run.steps for name, run in runs.items()}
    for run, own in zip(runs.values(), steps.values()):
        if not len(own["step"]):
            raise ArgumentError(f"no step was recorded in {run.path}")
    epochs = {name: run.epochs for name, run in runs.items()}
    measures = list(dict.fromkeys(measure for own in epochs.values() for measure in measures_of(own)))
    heights = [2.8, *[1.7] * len(measures), 1.3]
    figure = new_figure(8, sum(heights) + 0.6)
    axes: Any = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    for (name, own), colour in zip(steps.items(), _COLOURS):
        draw_loss(axes[0], own["step"], own["loss"], colour, name)
        draw_rates(axes[-1], own["step"], own["rates"], color=colour)
        for below, measure in zip(axes[1:-1], measures):
            factor = 100 if measure == "accuracy" else 1
            for key in measures_of(epochs[name]).get(measure, []):
                at, values = points(epochs[name], key)
                below.plot(
                    *(at, [factor * value for value in values]),
                    **{"color": colour, "marker": "o", "markersize": 4},
                    **{"linestyle": "--" if key.startswith("train_") else "-", "label": f"{name}: {key}"},
                )
    readable_log(axes[0], np.concatenate([own["loss"] for own in steps.values()]))
    axes[0].set_ylabel(loss)
    axes[0].legend(fontsize=8)
    for below, measure in zip(axes[1:-1], measures):
        below.set_ylabel(measure.replace("_", " ") + (" (%)" if measure == "accuracy" else ""))
        below.legend(fontsize=8)
    for own in axes:
        own.grid(alpha=0.3)
    whole_steps(axes[-1])
    figure.align_ylabels(list(axes))
    return figure


def compared_heatmaps(
    run_a: RunReader,
    run_b: RunReader,
    statistic: str = "norm",
    kind: str = "gradient",
    pattern: str = "*",
    names: tuple[str, str] | None = None,
) -> Figure:
    """`layer_heatmap` of two runs beside each other, with the same rows and the same colours.

    names: what the runs are called, by default their folders' names.

    A layer that only one of them has is grey in the other. Raises ArgumentError for what one of them did not record.
    """
    called = _names(run_a, run_b, names)
    tables = [heat_table(run, statistic, kind, pattern) for run in (run_a, run_b)]
    rows = list(dict.fromkeys(name for table in tables for name in table[1]))
    tables = [_with_rows(table, rows) for table in tables]
    words, scaling = STATISTICS.get(statistic, (statistic, "linear"))
    scale = scale_of([table[2] for table in tables], scaling)
    height = row_height(len(rows))
    figure = new_figure(12, height + 1.4)
    axes: Any = figure.subplots(1, 2)
    occur: set[str] = set()
    marks: dict[str, Any] = {}
    mesh: Any = None
    for own, run, table, name in zip(axes, (run_a, run_b), tables, called):
        mesh, there, legend = draw_heat(own, run, table, scale, height)
        occur |= there
        marks |= {mark.get_label(): mark for mark in legend}
        own.set_title(name, fontsize=10)
    axes[1].set_yticklabels([])
    what = "" if statistic in ("update_ratio", "dead") else f": {KINDS.get(kind, kind)}"
    figure.suptitle(words[:1].upper() + words[1:] + what, fontsize=11)
    draw_bar(figure, mesh, axes, scale)
    explain_colours(figure, occur, list(marks.values()))
    return figure


def _with_rows(table: Table, rows: list[str]) -> Table:
    """With these rows; NaN in those that it does not have."""
    steps, names, values, bad = table
    found, marked = np.full((len(rows), len(steps)), np.nan), np.zeros((len(rows), len(steps)), bool)
    places = [rows.index(name) for name in names]
    found[places], marked[places] = values, bad
    return steps, rows, found, marked


def _names(run_a: RunReader, run_b: RunReader, names: tuple[str, str] | None) -> tuple[str, str]:
    a, b = (run.path.parent.resolve().name for run in (run_a, run_b)) if names is None else names
    if names is None and a == b:
        a, b = f"{a} (1)", f"{b} (2)"
    if a == b:
        raise ArgumentError(f"two runs need two names, not {a!r} twice")
    return a, b
