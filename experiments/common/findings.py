"""What a recorded run tells, in words: sentences with their numbers, and the numbers behind them as a table.

Each function takes a run as `minigrad.record.open` gives it, and returns a `Finding`. They look at one run and say what
was measured in it; that something came first, or together, does not tell that it was the cause.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from minigrad.errors import MinigradError
from minigrad.viz import Section


class RecordedRun(Protocol):
    """What the functions here need of a reader of a recorded run."""

    @property
    def steps(self) -> Mapping[str, np.ndarray]: ...

    def signals(self, kind: str | None = None, pattern: str = "*") -> Sequence[Any]: ...

    def series(self, name: str, statistic: str, kind: str = "weight") -> tuple[np.ndarray, np.ndarray]: ...

    def units(self, name: str, kind: str, what: str) -> tuple[np.ndarray, np.ndarray]: ...

    def influence(self, method: str = "taylor") -> Sequence[Any]: ...


class Finding(NamedTuple):
    """A question put to a run, the answer in sentences, and a table.

    name:      of a file, for a report.
    title:     the heading.
    sentences: the answer.
    rows:      of the table, perhaps none.
    """

    name: str
    title: str
    sentences: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...] = ()

    def __str__(self) -> str:
        return " ".join(self.sentences)

    def section(self) -> Section:
        """As a part of a report."""
        return Section(self.name, self.title, str(self), None, self.rows)


def loss_fell_most(run: RecordedRun, parts: int = 20) -> Finding:
    """When the loss fell most, between the means of `parts` equal stretches of the run."""
    name, title = "loss", "When it learnt"
    steps, losses = run.steps["step"], np.asarray(run.steps["loss"], float)
    steps, losses = steps[np.isfinite(losses)], losses[np.isfinite(losses)]
    if len(steps) < 2:
        return Finding(name, title, ("There are fewer than two steps with a finite loss.",))
    stretches = np.array_split(np.arange(len(steps)), min(parts, len(steps)))
    means = np.array([losses[stretch].mean() for stretch in stretches])
    spans = [(int(steps[stretch[0]]), int(steps[stretch[-1]])) for stretch in stretches]
    whole = f"from {means[0]:.3g} ({_mean_of(spans[0])}) to {means[-1]:.3g} ({_mean_of(spans[-1])})"
    rows = tuple(
        {"steps": f"{first:,} to {last:,}", "mean_loss": float(mean)}
        for (first, last), mean in zip(spans, means, strict=True)
    )
    if means[-1] >= means[0]:
        return Finding(name, title, (f"The loss did not fall: it went {whole}.",), rows)
    most = int(np.argmax(-np.diff(means)))
    half = int(np.argmax(means <= (means[0] + means[-1]) / 2))
    return Finding(
        name,
        title,
        (
            f"The loss fell {whole}.",
            f"It fell most between steps {spans[most][0]:,} and {spans[most + 1][1]:,}: from {means[most]:.3g} to "
            f"{means[most + 1]:.3g}, which is {(means[most] - means[most + 1]) / (means[0] - means[-1]):.0%} of all.",
            f"Half of the fall was behind it by step {spans[half][1]:,} of {int(steps[-1]):,}.",
        ),
        rows,
    )


def important_first(run: RecordedRun, n: int = 8, method: str = "taylor") -> Finding:
    """Which of the units that mattered most at the end were among the first n earliest, and have been since."""
    name, title = "important_first", "Which units became important first"
    records = [record for record in run.influence(method) if record.rank <= n]
    if not records:
        return Finding(name, title, ("No influence of units was recorded.",))
    steps = sorted({int(record.step) for record in records})
    top: dict[int, dict[tuple[str, int], int]] = {step: {} for step in steps}
    for record in records:
        top[int(record.step)][record.layer, int(record.unit)] = int(record.rank)
    rows = []
    for (layer, unit), rank in sorted(top[steps[-1]].items(), key=lambda item: item[1]):
        seen = [(layer, unit) in top[step] for step in steps]
        gap = len(seen) - seen[::-1].index(False) if False in seen else 0  # the place after its last absence
        rows.append(
            {
                "layer": layer,
                "unit": unit,
                "rank_at_the_end": rank,
                "first_at_step": steps[seen.index(True)],
                "without_a_break_since_step": steps[gap],
            }
        )
    early = sorted(rows, key=lambda row: (row["without_a_break_since_step"], row["rank_at_the_end"]))
    first, last = early[0], early[-1]
    layers = Counter(row["layer"] for row in rows)
    common, count = layers.most_common(1)[0]
    return Finding(
        name,
        title,
        (
            f"Of the {len(rows)} units that mattered most at step {steps[-1]:,} (by {method}), the first to be among "
            f"the {n} most important was {_unit(first)}: without a break since step "
            f"{first['without_a_break_since_step']:,} of {steps[-1]:,}, of {len(steps)} steps looked at.",
            f"The last to join them was {_unit(last)}, at step {last['without_a_break_since_step']:,}.",
            f"{count} of the {len(rows)} are in {common}.",
        ),
        tuple(rows),
    )


def shrinking_gradients(run: RecordedRun) -> Finding:
    """Where the gradient of the layers' outputs shrinks most on its way back, and how much in all."""
    name, title = "shrinking_gradients", "Where gradients shrink"
    known = {signal.name for signal in run.signals("output_gradient")}
    # In the order of the forward: outputs were first seen in it, gradients the other way round
    layers = [
        signal.name for signal in sorted(run.signals("output"), key=lambda s: s.id) if signal.name in known
    ]
    sizes = {layer: _root_mean_square(run, layer) for layer in layers}
    typical = {layer: float(np.median(list(size.values()))) for layer, size in sizes.items() if size}
    layers = [layer for layer in layers if layer in typical]
    silent = [layer for layer in layers if typical[layer] == 0]
    layers = [layer for layer in layers if typical[layer] > 0]
    none = tuple(f"No gradient reaches {layer}: it is 0 in most steps." for layer in silent)
    if len(layers) < 2:
        return Finding(name, title, (*none, "Gradients of fewer than two layers can be compared."))
    ratios = [_ratio(sizes[before], sizes[after]) for before, after in itertools.pairwise(layers)]
    rows = tuple(
        {"layer": layer, "typical_gradient": typical[layer], "of_that_of_the_next_layer": ratio}
        for layer, ratio in zip(layers, [*ratios, None], strict=True)
    )
    rows = tuple({key: value for key, value in row.items() if value is not None} for row in rows)
    steepest = int(np.nanargmin(ratios)) if np.isfinite(ratios).any() else 0
    whole = _ratio(sizes[layers[0]], sizes[layers[-1]])
    change = "shrinks" if ratios[steepest] < 1 else "grows least"
    return Finding(
        name,
        title,
        (
            *none,
            f"An element of the gradient (root mean square, median over steps) is {typical[layers[-1]]:.2g} at "
            f"{layers[-1]} and {typical[layers[0]]:.2g} at {layers[0]}, the first layer: {whole:.2g} times as large.",
            f"It {change} on the way back from {layers[steepest + 1]} to {layers[steepest]}: to "
            f"{ratios[steepest]:.2g} of what it was.",
        ),
        rows,
    )


def largest_moves(run: RecordedRun, n: int = 3) -> Finding:
    """Which weights moved most, relative to their size: the norms of all recorded updates added up, over their norm.

    Vectors (biases, norms' parameters) are left out: they begin at 0 or 1, which is no size to compare with.
    """
    name, title = "largest_moves", "Which weights moved most"
    rows = []
    for signal in run.signals("weight"):
        if len(signal.shape) < 2:
            continue
        (_, changes), (_, norms) = (run.series(signal.name, "norm", kind) for kind in ("change", "weight"))
        changes, norms = changes[np.isfinite(changes)], norms[np.isfinite(norms)]
        if not len(changes) or not len(norms) or norms[-1] == 0:
            continue
        rows.append(
            {
                "weight": signal.name,
                "path_over_size": float(changes.sum() / norms[-1]),
                "typical_update_over_size": float(np.median(changes) / np.median(norms)),
                "norm_at_the_beginning": float(norms[0]),
                "norm_at_the_end": float(norms[-1]),
            }
        )
    if not rows:
        return Finding(name, title, ("No matrix of weights was recorded with its changes.",))
    rows.sort(key=lambda row: -row["path_over_size"])
    most, least = rows[0], rows[-1]
    sentences = [
        f"{most['weight']} moved most: the updates recorded add up to {most['path_over_size']:.3g} times its norm at "
        f"the end, and its norm went from {most['norm_at_the_beginning']:.3g} to {most['norm_at_the_end']:.3g}."
    ]
    if len(rows) > 2:
        others = [f"{row['weight']} ({row['path_over_size']:.3g})" for row in rows[1:n]]
        sentences += [f"After it come {' and '.join(others)}."] if others else []
    if len(rows) > 1:
        sentences.append(f"{least['weight']} moved least: {least['path_over_size']:.3g} times its norm.")
    return Finding(name, title, tuple(sentences), tuple(rows))


def dead_units(run: RecordedRun) -> Finding:
    """Which units gave nothing but zeros for the whole of the last batch looked at, and since when."""
    name, title = "dead_units", "Units that say nothing"
    rows, looked_at, last_step = [], 0, 0
    for signal in sorted(run.signals("output"), key=lambda s: s.id):
        steps, shares = run.units(signal.name, "output", "dead")
        if not len(steps):
            continue
        looked_at, last_step = looked_at + shares.shape[1], max(last_step, int(steps[-1]))
        silent = shares >= 1  # (steps, units)
        dead = np.flatnonzero(silent[-1])
        if not silent.any():
            continue
        # How many of the last steps each was silent in, without a break
        lengths = np.cumprod(silent[::-1], axis=0).sum(axis=0)
        row = {
            "layer": signal.name,
            "units": shares.shape[1],
            "silent_at_the_end": len(dead),
            "silent_from_the_first_step_on": int((lengths == len(steps)).sum()),
            "silent_at_some_step": int(silent.any(axis=0).sum()),
        }
        if len(dead):
            row["the_first_fell_silent_at_step"] = int(steps[len(steps) - lengths[dead].max()])
        rows.append(row)
    if not looked_at:
        return Finding(name, title, ("No shares of zeros were recorded.",))
    dead_rows = sorted(
        (row for row in rows if row["silent_at_the_end"]), key=lambda r: -r["silent_at_the_end"]
    )
    if not dead_rows:
        ever = sum(row["silent_at_some_step"] for row in rows)
        past = f"; {ever} were so at some step, and came back" if ever else ", nor at any step looked at"
        first = f"None of {looked_at:,} units was zero for all of the batch at step {last_step:,}{past}."
        return Finding(name, title, (first,), tuple(rows))
    total = sum(row["silent_at_the_end"] for row in dead_rows)
    sentences = [f"{total:,} of {looked_at:,} units were zero for all of the batch at step {last_step:,}."]
    sentences += [
        f"{row['layer']}: {row['silent_at_the_end']} of {row['units']}, of which "
        f"{row['silent_from_the_first_step_on']} from the first step looked at; the first fell silent at step "
        f"{row['the_first_fell_silent_at_step']:,}."
        for row in dead_rows[:3]
    ]
    return Finding(name, title, tuple(sentences), tuple(rows))


QUESTIONS: tuple[Callable[[Any], Finding], ...] = (
    loss_fell_most,
    important_first,
    shrinking_gradients,
    largest_moves,
    dead_units,
)


def findings(run: RecordedRun) -> list[Finding]:
    """The answers to all questions; where something was not recorded, the answer says so."""
    answers = []
    for question in QUESTIONS:
        try:
            answers.append(question(run))
        except MinigradError as error:  # the reader tells what there is instead
            title = question.__name__.replace("_", " ").capitalize()
            answers.append(Finding(question.__name__, title, (f"This cannot be told: {error}",)))
    return answers


def _mean_of(span: tuple[int, int]) -> str:
    first, last = span
    return f"step {first:,}" if first == last else f"mean of steps {first:,} to {last:,}"


def _unit(row: Mapping[str, Any]) -> str:
    return f"unit {row['unit']} of {row['layer']}"


def _root_mean_square(run: RecordedRun, layer: str) -> dict[int, float]:
    """The size of an element of a layer's gradient, by step: sqrt(mean^2 + std^2); only where it is finite."""
    steps, means = run.series(layer, "mean", "output_gradient")
    _, stds = run.series(layer, "std", "output_gradient")
    sizes = np.hypot(np.asarray(means, float), np.asarray(stds, float))
    return {int(step): float(size) for step, size in zip(steps, sizes, strict=True) if np.isfinite(size)}


def _ratio(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    """The median over their common steps of one series over another; NaN if there is none to divide by."""
    ratios = [before[step] / after[step] for step in before if after.get(step, 0) > 0]
    return float(np.median(ratios)) if ratios else float("nan")
