"""One page with all figures of a recorded run, each with a sentence on how to read it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.record import RunReader
from minigrad.viz.report import Section, write_report
from minigrad.viz.run_axes import PANELS, evenly
from minigrad.viz.run_figures import layer_heatmap, run_curves
from minigrad.viz.run_histograms import histogram_grid, histogram_heatmaps, histogram_ridges, with_histograms
from minigrad.viz.run_layout import lighten
from minigrad.viz.run_units import influence_agreement, influence_bars, influence_ranks, unit_heatmaps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_ROWS = 80  # of a heat map; beyond, vectors such as biases are left out
_MOST_NOTES = 50
_MOST_AXES = 5  # of a figure that is drawn as it is


def write_run_report(
    run: RunReader,
    folder: str | os.PathLike[str],
    title: str | None = None,
    summary: str = "",
    loss: str = "loss",
) -> Path:
    """Write a page with all figures of a run: `index.html`, its pictures and `metrics.json`; returns the page's path.

    folder:  is made if there is none; files of an earlier report in it are replaced.
    title:   by default the name of the run's folder.
    summary: a sentence under the title.
    loss:    what the loss is, and its unit.

    What was not recorded is said in its place. Raises ArgumentError if no step was recorded.
    """
    steps = run.steps
    if not len(steps["step"]):
        raise ArgumentError(f"no step was recorded in {run.path}")
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    finite = np.flatnonzero(np.isfinite(steps["loss"]))
    numbers: dict[str, Any] = {
        "steps": int(steps["step"][-1]),
        "epochs_finished": len(run.epochs),
        "notes": len(run.notes()),
        "started": run.meta.get("started", "unknown"),
        "finished": run.meta.get("finished", "not finished"),
    }
    if len(finite):
        numbers["loss_of_the_first_step"] = float(steps["loss"][finite[0]])
        numbers["loss_of_the_last_step"] = float(steps["loss"][finite[-1]])
    if np.isfinite(steps["seconds"]).any():
        numbers["median_seconds_of_a_step"] = float(np.nanmedian(steps["seconds"]))
    epochs = [{key: value for key, value in epoch.items() if value is not None} for epoch in run.epochs]
    return write_report(
        place,
        run.path.parent.resolve().name if title is None else title,
        summary or f"What was recorded over {len(steps['step']):,} steps.",
        numbers,
        _flat(run.configuration),
        epochs,
        list(_sections(run, loss)),
    )


def _sections(run: RunReader, loss: str) -> Iterator[Section]:
    yield _section(
        "curves",
        "Loss, rates and times",
        "Where does the loss fall, stall or jump? Dotted lines and marks at the foot are what rules noted there.",
        lambda: run_curves(run, loss),
    )
    rows = [
        {
            **{"step": note.step, "severity": note.severity, "rule": note.rule},
            **{"about": note.signal or "", "unit": "" if note.unit is None else note.unit, "text": note.text},
        }
        for note in run.notes()
    ]
    if rows:
        shown = f"The first {_MOST_NOTES} of {len(rows)}." if len(rows) > _MOST_NOTES else ""
        text = f"What rules found, each once for a layer or unit. {shown}"
        yield Section("notes", "Notes", text.strip(), None, rows[:_MOST_NOTES])
    yield from _heat_sections(run)
    yield from _histogram_sections(run)
    yield from _unit_sections(run)


def _heat_sections(run: RunReader) -> Iterator[Section]:
    weights = run.signals("weight")
    pattern = "*weight" if len(weights) > _MOST_ROWS else "*"
    only = "" if pattern == "*" else " Biases are left out."
    yield _section(
        "gradients",
        "Gradients of parameters",
        "A row is a parameter, the first of the network at the top; colour is the norm of its gradient. Rows that "
        "darken towards one end are where gradients vanish, black is none at all; bright columns are steps with large "
        f"gradients everywhere.{only}",
        lambda: layer_heatmap(run, "norm", "gradient", pattern),
    )
    yield _section(
        "updates",
        "Updates over weights",
        "How far a step moved each parameter, relative to its size. About 0.001 is usual: far below, it hardly learns, "
        "far above, it is thrown about. What begins at 0, such as biases, begins with large ratios." + only,
        lambda: layer_heatmap(run, "update_ratio", pattern=pattern),
    )
    yield _section(
        "output_gradients",
        "Gradients by outputs of layers",
        "What arrives at each layer on the way back, as the standard deviation of its elements: from the last row "
        "upwards it should neither die out nor blow up.",
        lambda: layer_heatmap(run, "std", "output_gradient"),
    )
    yield _section(
        "outputs",
        "Size of outputs of layers",
        "The standard deviation of each layer's output: rows of one colour are signals that keep their size.",
        lambda: layer_heatmap(run, "std", "output"),
    )
    yield _section(
        "dead",
        "Dead units",
        "The share of a layer's units whose output was 0 for the whole batch: they pass on nothing, and learn nothing.",
        lambda: layer_heatmap(run, "dead"),
    )


def _histogram_sections(run: RunReader) -> Iterator[Section]:
    yield _section(
        "activations",
        "Outputs of layers by colour",
        "Each column is a histogram, bright where elements are many. A band that widens smoothly is healthy; a sudden "
        "collapse to 0, or ever more elements on a bright floor, is not.",
        lambda: histogram_heatmaps(run),
    )
    shapes = {signal.name: signal.shape for signal in run.signals("weight")}
    there = with_histograms(run, "weight")
    if not there:
        yield _section("weights", "Weights", "", partial(histogram_grid, run))
    for name, words, names in (
        ("weights", "Weights", [name for name in there if len(shapes[name]) > 1]),
        ("vectors", "Biases and other vectors", [name for name in there if len(shapes[name]) < 2]),
    ):
        if not names:
            continue
        chosen = evenly(names, PANELS)
        part = f" {len(chosen)} of {len(names)} are shown." if len(chosen) < len(names) else ""
        yield _section(
            name,
            f"{words} at some steps",
            "From left to right, beginning with the state that training started from: do they spread, drift, or stay "
            f"as they were drawn? Each has its own height.{part}",
            partial(histogram_grid, run, chosen),
        )
        yield _section(
            f"{name}_ridges",
            f"{words} over all steps",
            "The same as ridges, the earliest at the back: follow peaks and tails downwards. Heights cannot be "
            f"compared.{part}",
            partial(histogram_ridges, run, chosen),
        )


def _unit_sections(run: RunReader) -> Iterator[Section]:
    yield _section(
        "unit_changes",
        "Changes of units",
        "A row is a unit; colour is how far a step moved its weights. Dark rows are units that hardly learn, black "
        "ones did not move. Each panel has its own colours.",
        lambda: unit_heatmaps(run),
    )
    yield _section(
        "unit_zeros",
        "Zeros of units",
        "The share of each unit's outputs that are 0. Yellow rows are dead units; others answer to some inputs only.",
        lambda: unit_heatmaps(run, kind="output", what="dead"),
    )
    methods = [row[0] for row in run.query("SELECT DISTINCT method FROM influence ORDER BY method")[1]]
    for method in methods or ["taylor"]:
        words = method.replace("_", " ")
        yield _section(
            f"influence_{method}",
            f"Units that mattered, by {words}",
            "Ranks at each look, 1 the most influential unit of the network. Lines that stay at the top are units that "
            "the network relies on throughout; crossings are the noise of batches, or units that take over.",
            partial(influence_ranks, run, method),
        )
        yield _section(
            f"influence_{method}_last",
            f"The most influential units at the end, by {words}",
            "Bars of one colour are units of one layer; a few long ones mean that much hangs on few units.",
            partial(influence_bars, run, method=method),
        )
    if run.agreement():
        yield _section(
            "agreement",
            "How far influence can be trusted",
            "The rank correlation of estimated influence with what removing units did: near 1 the ranking can be "
            "believed, near 0 it says little.",
            lambda: influence_agreement(run),
        )


def _section(name: str, title: str, text: str, draw: Callable[[], Figure]) -> Section:
    try:
        figure = draw()
        if len(figure.axes) > _MOST_AXES:
            lighten(figure)
        return Section(name, title, text, figure)
    except ArgumentError as error:  # the reader's words name what there is instead
        return Section(name, title, f"Not recorded: {error}.", None)


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by dotted names."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            found.update(_flat(value, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = (
                ", ".join(map(str, value)) if isinstance(value, list) else "none" if value is None else value
            )
    return found
