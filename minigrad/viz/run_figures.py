"""Figures of a recorded run over its steps: curves, and heat maps of layers by steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.record import Note, RunReader
from minigrad.viz.figures import HELD_OUT, NEUTRAL, TRAIN, log_scale
from minigrad.viz.run_axes import (
    NOT_FINITE,
    Scale,
    draw_bar,
    draw_cells,
    draw_notes,
    explain_colours,
    name_rows,
    scale_of,
    severity_marks,
    thinned,
    whole_steps,
)
from minigrad.viz.run_layout import free_figure, settle, text_width, tick_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NOT_MEASURES = ("epoch", "step", "seconds", "loss")
_MOST_LINES = 60  # steps with notes that are marked through all curves
KINDS = {
    "weight": "weights",
    "gradient": "gradients of weights",
    "change": "changes of weights",
    "input": "inputs of layers",
    "output": "outputs of layers",
    "input_gradient": "gradients by inputs of layers",
    "output_gradient": "gradients by outputs of layers",
}
# What a statistic is called beside a colour bar, and the kind of scale it is shown on
STATISTICS = {
    "norm": ("L2 norm", "log"),
    "std": ("standard deviation", "log"),
    "update_ratio": ("norm of change / norm of weight", "log"),
    "dead": ("share of units that gave only zeros", "share"),
    "mean": ("mean", "signed"),
    "skewness": ("skewness", "signed"),
    "minimum": ("smallest value", "signed"),
    "maximum": ("largest value", "signed"),
    "kurtosis": ("kurtosis (normal: 3)", "log"),
    "count": ("elements", "linear"),
    "zeros": ("elements that are 0", "linear"),
    "nans": ("elements that are NaN", "linear"),
    "infs": ("elements that are infinite", "linear"),
}
_IMPLIED = {"update_ratio": "change", "dead": "output"}


def run_curves(run: RunReader, loss: str = "loss") -> Figure:
    """Loss, the epochs' measures, learning rates and seconds of every step, one above the other, and notes below.

    loss: what the loss is, and its unit.

    Steps whose loss is no number are crosses at the foot of the loss. Measures that differ only in "train_" and
    "val_" share their axes. Raises ArgumentError if no step was recorded.
    """
    steps = run.steps
    if not len(steps["step"]):
        raise ArgumentError(f"no step was recorded in {run.path}")
    epochs, notes = run.epochs, run.notes()
    measures = measures_of(epochs)
    timed = bool(np.isfinite(steps["seconds"]).any())
    rules = list(dict.fromkeys(note.rule for note in notes))
    heights = [2.6, *[1.5] * len(measures), 1.2, *[1.2] * timed]
    heights += [0.3 + 0.22 * len(rules)] if rules else []
    inches = sum(heights) + 0.6
    figure, rows = free_figure(8, inches, len(heights), sharex=True, height_ratios=heights)
    axes: list[Axes] = list(rows[:, 0])
    draw_loss(axes[0], steps["step"], steps["loss"], TRAIN, "training")
    held_out = points(epochs, "val_loss")
    if len(held_out[0]):
        axes[0].plot(*held_out, "o-", color=HELD_OUT, markersize=4, label="validation")
    readable_log(axes[0], [*steps["loss"], *held_out[1]])
    axes[0].set_ylabel(loss)
    axes[0].legend(fontsize=8)
    for own, (measure, names) in zip(axes[1:], measures.items()):
        _draw_measure(own, measure, names, epochs)
    rate = axes[1 + len(measures)]
    draw_rates(rate, steps["step"], steps["rates"])
    if timed:
        seconds = axes[2 + len(measures)]
        seconds.plot(
            steps["step"], 1000 * steps["seconds"], color=NEUTRAL, linewidth=0.8, marker=_dot(steps["step"])
        )
        readable_log(seconds, 1000 * steps["seconds"])
        seconds.set_ylabel("time of a\nstep (ms)")
    for own in axes:
        own.grid(alpha=0.3)
    if rules:
        _draw_rules(axes[:-1], axes[-1], notes, rules)
    whole_steps(axes[-1])
    left = max(tick_width(axes[: len(axes) - bool(rules)], 10), 0.15 + text_width(rules, 8)) + 0.45
    settle(figure, axes, left, 0.1, 0.8 if notes else 0.5, 0.1, (0, 0.16), labels=left - 0.36)
    explain_colours(figure, (), severity_marks(note.severity for note in notes))
    return figure


def measures_of(epochs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """What was measured after epochs, without losses: by measure the names of its numbers, such as "val_accuracy".

    >>> measures_of([{"step": 9, "train_loss": 1.0, "train_accuracy": 0.5, "val_accuracy": 0.4}])
    {'accuracy': ['train_accuracy', 'val_accuracy']}
    """
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for epoch in epochs for name in epoch):
        measure = name.removeprefix("train_").removeprefix("val_")
        if measure not in _NOT_MEASURES and len(points(epochs, name)[0]):
            found.setdefault(measure, []).append(name)
    return found


def points(epochs: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """One number of the epochs: the steps after which it was measured, and its values."""
    there = [
        (epoch["step"], float(epoch[name]))
        for epoch in epochs
        if isinstance(epoch.get(name), (int, float)) and not isinstance(epoch[name], bool)
    ]
    return [step for step, _ in there], [value for _, value in there]


def _draw_measure(
    axes: Axes, measure: str, names: Sequence[str], epochs: Sequence[Mapping[str, Any]]
) -> None:
    factor, unit = (100, " (%)") if measure == "accuracy" else (1, "")
    for name in names:
        label = {"train_": "training, while it learns", "val_": "validation"}.get(
            name.removesuffix(measure), name
        )
        steps, values = points(epochs, name)
        colour = HELD_OUT if name.startswith("val_") else TRAIN
        axes.plot(
            steps, [factor * v for v in values], "o-", color=colour, markersize=4, linewidth=1.2, label=label
        )
    axes.set_ylabel(measure.replace("_", " ") + unit)
    axes.legend(fontsize=8)


def draw_loss(axes: Axes, steps: np.ndarray, losses: np.ndarray, colour: str, name: str) -> None:
    """Every step's loss, over at least 200 steps faintly under the mean of the latest fortieth of them."""
    window = len(losses) // 40 if len(losses) >= 200 else 1
    finite = np.isfinite(losses)
    style: dict[str, Any] = {"marker": _dot(losses[finite]), "color": colour}
    if window > 1:
        axes.plot(steps, losses, color=colour, alpha=0.3, linewidth=0.8, label=f"{name}, each step")
        axes.plot(
            steps,
            _finite_mean(losses, window),
            linewidth=1.6,
            label=f"{name}, mean of {window} steps",
            **style,
        )
    else:
        axes.plot(steps, losses, linewidth=1.4, label=name, **style)
    if not finite.all():
        at_foot: Any = axes.get_xaxis_transform()
        axes.plot(
            *(steps[~finite], np.zeros((~finite).sum()), "x"),
            **{"color": NOT_FINITE, "transform": at_foot, "clip_on": False, "zorder": 4},
            label=f"{name}: no number",
        )


def _dot(values: np.ndarray) -> str:
    return "." if len(values) < 20 else ""  # a line through one point cannot be seen


def _finite_mean(values: np.ndarray, window: int) -> np.ndarray:
    """The mean of what is finite among each value and the window - 1 before it; NaN where the value itself is none."""
    there = np.isfinite(values)
    ends = np.arange(1, len(values) + 1)
    first = np.maximum(0, ends - window)
    sums, counts = (np.concatenate([[0.0], np.cumsum(part)]) for part in (np.where(there, values, 0), there))
    with np.errstate(invalid="ignore"):
        means = (sums[ends] - sums[first]) / (counts[ends] - counts[first])
    return np.where(there, means, np.nan)


def draw_rates(axes: Axes, steps: np.ndarray, rates: np.ndarray, **style: Any) -> None:
    """The learning rate of every step, one line for each parameter group that differs from the first."""
    axes.set_ylabel("learning rate")
    if not rates.size:
        axes.text(0.5, 0.5, "no learning rate was recorded", ha="center", transform=axes.transAxes)
        return
    same = np.array_equal(rates, np.repeat(rates[:, :1], rates.shape[1], axis=1), equal_nan=True)
    for group, own in enumerate(rates.T[:1] if same else rates.T):
        dashes: dict[str, Any] = {
            "color": NEUTRAL,
            "linestyle": ("-", "--", ":", "-.")[group % 4],
            "marker": _dot(steps),
        }
        axes.plot(steps, own, **{**dashes, **({} if same else {"label": f"group {group}"}), **style})
    if not same:
        axes.legend(fontsize=8)


def readable_log(axes: Axes, values: Sequence[float] | np.ndarray) -> None:
    """A logarithmic axis, unless the numbers lie so close together that it would have no ticks."""
    seen = np.asarray(values, np.float64)
    seen = seen[np.isfinite(seen) & (seen > 0)]
    if len(seen) and seen.max() > 3 * seen.min():
        log_scale(axes, seen.tolist())


def _draw_rules(above: Sequence[Axes], axes: Axes, notes: Sequence[Note], rules: Sequence[str]) -> None:
    draw_notes(axes, notes, [rules.index(note.rule) for note in notes])
    axes.set_yticks(range(len(rules)), rules, fontsize=8)
    axes.set_ylim(len(rules) - 0.4, -0.6)
    colours = {note.step: note.severity for note in notes if note.severity != "note"}
    if len(colours) <= _MOST_LINES:
        from matplotlib.colors import to_rgba

        for own in above:
            for step, severity in colours.items():
                colour = {"warning": "#E69F00", "stop": "#D55E00"}[severity]
                own.axvline(step, color=to_rgba(colour, 0.6), linewidth=0.8, linestyle=":", zorder=0)


# ------------------------------------------------ layers by steps


def layer_heatmap(
    run: RunReader,
    statistic: str = "norm",
    kind: str = "gradient",
    pattern: str = "*",
    detail: str | None = None,
) -> Figure:
    """One quantity of all layers or parameters over all steps: rows in the order of the network, colour the quantity.

    statistic: as `RunReader.series` takes it: a column of the statistics, "update_ratio" or "dead".
    kind:      of the signals; "update_ratio" and "dead" imply it.
    pattern:   shell pattern of the names to show, such as "layer1.*" or "*.weight".
    detail:    see `RunReader.series`.

    Norms, deviations and ratios are on a logarithmic scale, on which 0 has a colour of its own. So have cells whose
    signal held NaN or infinity (norms and others are of the finite elements), and cells without a number. Notes
    about a signal are marks in its row. Over more than 1,000 steps, columns are means of several. Raises
    ArgumentError, telling what there is, for what was not recorded.
    """
    table = heat_table(run, statistic, kind, pattern, detail)
    words, scaling = STATISTICS.get(statistic, (statistic, "linear"))
    scale = scale_of([table[2]], scaling)
    height = row_height(len(table[1]))
    figure, ((axes,),) = free_figure(9, height + 1.1)
    mesh, occur, marks = draw_heat(axes, run, table, scale, height)
    what = KINDS.get(_IMPLIED.get(statistic, kind), kind) if statistic != "update_ratio" else "updates"
    axes.set_title(f"{words[:1].upper() + words[1:]}: {what}", fontsize=11)
    below = 0.75 if occur or marks else 0.5
    settle(figure, [axes], 0.15 + text_width(table[1], 8), 0.95, below, 0.3)
    label = words if 0.08 * len(words) < height else ""  # the title says it, too
    draw_bar(figure, mesh, axes, scale, label)
    explain_colours(figure, occur, marks)
    return figure


Table = tuple[np.ndarray, list[str], np.ndarray, np.ndarray]


def heat_table(
    run: RunReader, statistic: str, kind: str, pattern: str = "*", detail: str | None = None
) -> Table:
    """Steps (S,), names, values (names, S) and where the signal held NaN or infinity (names, S)."""
    implied = _IMPLIED.get(statistic, kind)
    steps, names, values = run.heatmap(statistic, kind, detail)
    chosen = [i for i, name in enumerate(names) if fnmatchcase(name, pattern)]
    if not chosen:
        raise ArgumentError(
            f"no name of those with {statistic!r} fits {pattern!r}; there are {', '.join(names[:8])}, ..."
        )
    names, values = [names[i] for i in chosen], values[chosen]
    bad = np.zeros(values.shape, bool)
    if statistic not in ("nans", "infs", "count"):
        for count in ("nans", "infs"):
            try:
                at, of, counts = run.heatmap(count, implied, None if statistic in _IMPLIED else detail)
            except ArgumentError:  # the statistics were recorded without them
                continue
            rows = dict(zip(of, counts))
            place = np.searchsorted(at, steps)
            there = (place < len(at)) & (at[np.minimum(place, len(at) - 1)] == steps)
            for own, name in zip(bad, names):
                if name in rows:
                    own[there] |= rows[name][place[there]] > 0
    return steps, names, values, bad


def row_height(count: int) -> float:
    """How many inches so many rows take."""
    return float(np.clip(0.17 * count, 0.8, 12))


def draw_heat(
    axes: Axes, run: RunReader, table: Table, scale: Scale, height: float
) -> tuple[Any, set[str], list[Any]]:
    """A heat map with names and notes: what a colour bar is for, the special colours that occur, marks for a legend."""
    all_steps, names, values, bad = table
    steps, cells, each = thinned(all_steps, values)
    if each > 1:
        bad = np.logical_or.reduceat(bad, np.arange(0, bad.shape[1], each), axis=1)
    mesh, occur = draw_cells(axes, steps, cells, scale, bad)
    name_rows(axes, names, height)
    whole_steps(axes)
    if each > 1:
        axes.set_xlabel(f"step (means of {each})")
    notes = [note for note in run.notes() if note.signal in names]
    draw_notes(axes, notes, [names.index(str(note.signal)) for note in notes], 5)
    axes.set_xlim(*(mesh.get_coordinates()[0, [0, -1], 0]))
    return mesh, occur, severity_marks(note.severity for note in notes)
