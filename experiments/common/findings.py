"""What a recorded run tells, in words: sentences with their numbers, and the numbers behind them as a table.

Each function takes a run as `minigrad.record.open` gives it, and returns a `Finding`. They look at one run and say what
was measured in it; that something came first, or together, does not tell that it was the cause.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from common.finding import Finding, layers_in_order, listed, span_of
from common.gradient_findings import shrinking_gradients
from common.influence_findings import important_first, trust
from minigrad.errors import ArgumentError, MinigradError
from minigrad.record import RunReader


def loss_fell_most(run: RunReader, parts: int = 20) -> Finding:
    """When the loss fell most, between the means of `parts` equal stretches of the run."""
    name, title = "loss", "When it learnt"
    steps, losses = run.steps["step"], np.asarray(run.steps["loss"], float)
    steps, losses = steps[np.isfinite(losses)], losses[np.isfinite(losses)]
    if len(steps) < 2:
        return Finding.untold(name, title, "there are fewer than two steps with a finite loss.")
    places = np.array_split(np.arange(len(steps)), min(parts, len(steps)))
    means = np.array([losses[place].mean() for place in places])
    spans = [(int(steps[place[0]]), int(steps[place[-1]])) for place in places]
    whole = f"from {means[0]:.3g} ({_mean_of(spans[0])}) to {means[-1]:.3g} ({_mean_of(spans[-1])})"
    rows = tuple(
        {"steps": f"{first:,} to {last:,}", "mean_loss": float(mean)}
        for (first, last), mean in zip(spans, means, strict=True)
    )
    if means[-1] >= means[0]:
        return Finding(name, title, (f"The loss did not fall: it went {whole}.",), rows)
    most = int(np.argmax(-np.diff(means)))
    share = (means[most] - means[most + 1]) / (means[0] - means[-1])
    part = f", which is {share:.0%} of all" if share <= 1 else ""  # it rose elsewhere
    half = int(np.argmax(means <= (means[0] + means[-1]) / 2))
    return Finding(
        name,
        title,
        (
            f"The loss fell {whole}.",
            f"It fell most between steps {spans[most][0]:,} and {spans[most + 1][1]:,}: from {means[most]:.3g} to "
            f"{means[most + 1]:.3g}{part}.",
            f"Half of the fall was behind it by step {spans[half][1]:,} of {int(steps[-1]):,}.",
        ),
        rows,
    )


def largest_moves(run: RunReader, n: int = 3) -> Finding:
    """Which weights moved most: how far from where they began they ended, and how long the way there was, both over
    their norm at the beginning.

        moved = |w_end - w_start| / |w_start|        way = sum over steps of |w_t - w_(t-1)| / |w_start|

    Vectors (biases, norms' parameters) are left out: they begin at 0 or 1, which is no size to compare with.
    """
    name, title = "largest_moves", "Which weights moved most"
    known = run.snapshot_steps("weights")
    if len(known) < 2:
        return Finding.untold(name, title, "there are fewer than two snapshots of the weights.")
    start, end = int(known[0]), int(known[-1])
    shapes = {signal.name: signal.shape for signal in run.signals("weight")}
    matrices = [name for name, shape in shapes.items() if len(shape) > 1]
    before = {matrix: np.asarray(run.tensor(matrix, start), float) for matrix in matrices}
    rows = []
    for matrix in matrices:
        size = float(np.linalg.norm(before[matrix]))
        moved = float(np.linalg.norm(run.tensor(matrix, end) - before[matrix]))
        if not size > 0 or not np.isfinite(moved):
            continue
        row: dict[str, Any] = {"weight": matrix, "norm_at_the_beginning": size, "moved": moved / size}
        way = _way(run, matrix, start, end)
        if way is not None:
            row["way"] = way / size
        row["norm_at_the_end"] = float(np.linalg.norm(run.tensor(matrix, end)))
        rows.append(row)
    if not rows:
        return Finding.untold(name, title, "no matrix of weights with a size was recorded.")
    rows.sort(key=lambda row: -row["moved"])
    most, least = rows[0], rows[-1]
    sentences = [
        f"From step {start:,} to step {end:,}, {most['weight']} moved most: {most['moved']:.2g} times its norm at the "
        f"beginning ({most['norm_at_the_beginning']:.3g}; at the end {most['norm_at_the_end']:.3g})."
    ]
    if most.get("way", 0) > 0 and most["moved"] > 0:
        sentences.append(
            f"Its updates add up to {most['way']:.3g} times that norm: the way was {most['way'] / most['moved']:.2g} "
            "times as long as the straight line."
        )
    if others := [f"{row['weight']} ({row['moved']:.2g})" for row in rows[1:n] if row is not least]:
        sentences.append(f"After it {'come' if len(others) > 1 else 'comes'} {listed(others)}.")
    if len(rows) > 1:
        sentences.append(f"{least['weight']} moved least: {least['moved']:.2g} times its norm.")
    return Finding(name, title, tuple(sentences), tuple(rows))


def _way(run: RunReader, matrix: str, start: int, end: int) -> float | None:
    """The norms of a weight's changes added up, or None if one is missing or not finite."""
    try:
        steps, changes = run.series(matrix, "norm", "change")
    except ArgumentError:
        return None
    way = float(changes[(steps > start) & (steps <= end)].sum())
    return way if np.isfinite(way) else None


def dead_units(run: RunReader) -> Finding:
    """Which units gave nothing but zeros in all of the last batches looked at (a tenth of them), and since when."""
    name, title = "dead_units", "Units that say nothing"
    rows, looked_at, span, looks = [], 0, (0, 0), 0
    for signal in layers_in_order(run):
        try:
            steps, shares = run.units(signal.name, "output", "dead")
        except ArgumentError:  # a layer whose output has no units
            continue
        if not len(steps):
            continue
        looked_at += shares.shape[1]
        looks = max(looks, last := -(-len(steps) // 10))
        span = max(span, (int(steps[-last]), int(steps[-1])))
        silent = shares >= 1  # (steps, units)
        if not silent.any():
            continue
        # How many of the last steps each was silent in, without a break
        lengths = np.cumprod(silent[::-1], axis=0).sum(axis=0)
        dead = np.flatnonzero(lengths >= last)
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
        return Finding.untold(name, title, "no shares of zeros were recorded.")
    batches = "the last batch" if looks == 1 else f"the last {looks} batches"
    when = f"for all examples of {batches} looked at ({span_of(*span)})"
    dead_rows = sorted(
        (row for row in rows if row["silent_at_the_end"]), key=lambda r: -r["silent_at_the_end"]
    )
    ever = sum(row["silent_at_some_step"] for row in rows)
    if not dead_rows:
        past = (
            f"; {ever:,} gave only zeros in some batch, but not in all of these"
            if ever
            else ", nor for any batch before"
        )
        first = f"None of {looked_at:,} units was zero {when}{past}."
        return Finding(name, title, (first,), tuple(rows))
    total = sum(row["silent_at_the_end"] for row in dead_rows)
    sentences = [f"{total:,} of {looked_at:,} units {'was' if total == 1 else 'were'} zero {when}."]
    sentences += [
        f"{row['layer']}: {row['silent_at_the_end']} of {row['units']}, of which "
        f"{row['silent_from_the_first_step_on']} from the first step looked at; the first fell silent at step "
        f"{row['the_first_fell_silent_at_step']:,}."
        for row in dead_rows[:3]
    ]
    return Finding(name, title, tuple(sentences), tuple(rows))


def noticed(run: RunReader) -> Finding:
    """What the rules noticed that were set for the run."""
    name, title = "noticed", "What the rules noticed"
    notes = [note for note in run.notes() if note.severity != "note" or note.rule != "loss change"]
    by_rule: dict[str, list[Any]] = {}
    for note in notes:
        by_rule.setdefault(note.rule, []).append(note)
    rules = run.configuration.get("settings", {}).get("rules", [])
    kept = [rule for rule in rules if rule not in by_rule]
    sentences = []
    for rule, found in sorted(by_rule.items(), key=lambda item: item[1][0].step):
        times = "once" if len(found) == 1 else f"{len(found):,} times, first"
        sentences.append(f"The rule on {rule} spoke {times} at {found[0].text.rstrip('.')}.")
    if kept:
        sentences.append(f"Never broken: the {'rule' if len(kept) == 1 else 'rules'} on {listed(kept)}.")
    if not sentences:
        return Finding.untold(name, title, "no rules were set.")
    rows = tuple(
        {"step": note.step, "rule": note.rule, "severity": note.severity, "what": note.text} for note in notes
    )
    return Finding(name, title, tuple(sentences), rows[:20])


QUESTIONS: tuple[Callable[[RunReader], Finding], ...] = (
    loss_fell_most,
    important_first,
    trust,
    shrinking_gradients,
    largest_moves,
    dead_units,
    noticed,
)


def findings(run: RunReader) -> list[Finding]:
    """The answers to all questions; where something was not recorded, the answer says so."""
    answers = []
    for question in QUESTIONS:
        try:
            answers.append(question(run))
        except MinigradError as error:  # the reader tells what there is instead
            title = question.__name__.replace("_", " ").capitalize()
            answers.append(Finding.untold(question.__name__, title, str(error)))
    return answers


def _mean_of(span: tuple[int, int]) -> str:
    return span_of(*span) if span[0] == span[1] else f"mean of {span_of(*span)}"
