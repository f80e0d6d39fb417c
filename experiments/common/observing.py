"""Training that is recorded, and what the record tells: in words, in figures, and as a page to look around in."""

from __future__ import annotations

import sys
import textwrap
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from common.classifier_report import Judged, sections_of
from common.finding import Finding
from common.findings import findings
from common.fitting import Fitted, fit
from common.options import settings_of
from minigrad import nn
from minigrad.data import DataLoader
from minigrad.errors import ArgumentError, MinigradError, RuleWarning
from minigrad.optim import Optimizer
from minigrad.record import (
    Recorder,
    RecorderConfiguration,
    Rule,
    RunReader,
    dead_units,
    exploding_gradient,
    frozen_layer,
    loss_spike,
)
from minigrad.train import ConfusionMatrix
from minigrad.viz import Section, write_report
from minigrad.viz.page import export_page
from minigrad.viz.run_figures import layer_heatmap
from minigrad.viz.run_report import write_run_report
from minigrad.viz.run_units import influence_agreement

PAGE = "page.html"  # the interactive page, beside the report
FIGURES = "record"  # the folder of the page with all figures of the record, beside the report
PROBE = (
    128  # examples, of those that are not learnt from, on which units are removed to see what they are worth
)
_WIDTH = 100  # columns of what is printed


class Observed(NamedTuple):
    """What came of training, and what its record tells, as parts of a report."""

    fitted: Fitted
    sections: list[Section]


def fit_observed(
    options: Namespace,
    model: nn.Module,
    optimizer: Optimizer,
    train: DataLoader,
    watched: DataLoader,
    out: Path,
    configuration: RecorderConfiguration,
    *,
    probe: int = PROBE,
    loss_name: str = "cross entropy (nats)",
    **how: Any,
) -> Observed:
    """`fit`, recorded in `out`/run; prints what the record tells, and writes it beside the report.

    configuration: what is recorded, and how often.
    probe:         how many of the first watched examples are the probe set.
    loss_name:     what the loss is, and its unit.
    how:           for `fit`.

    Writes `out`/record (a page of all figures) and, where Plotly is installed, `out`/page.html. --resume goes on with
    the record, too.
    """
    recorder = make_recorder(options, out / "run", watched, configuration, probe)
    with one_line_warnings():
        fitted = fit(options, model, optimizer, train, watched, out, callbacks=[recorder], **how)
    if not fitted.history.steps["loss"]:
        return Observed(fitted, [])
    return Observed(fitted, tell(out, loss_name))


def make_recorder(
    options: Namespace, run: Path, watched: DataLoader, configuration: RecorderConfiguration, probe: int
) -> Recorder:
    """A recorder into that folder, with the rules that fit any network."""
    rules: Sequence[Rule] = (dead_units(), loss_spike(factor=10), exploding_gradient(), frozen_layer())
    inputs, targets = next(iter(watched))
    settings = settings_of(options) | {"rules": [rule.name for rule in rules]}
    return Recorder(
        run, configuration, probe=(inputs[:probe], targets[:probe]), rules=rules, settings=settings
    )


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Within the block a warning is one line on standard error, above the progress bar."""

    def show(message: Any, *_: Any, **__: Any) -> None:
        line = f"warning: {' '.join(str(message).split())}"
        if sys.stderr.isatty():
            from tqdm import tqdm

            tqdm.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", RuleWarning)
        warnings.showwarning = show
        yield


def tell(out: Path, loss: str) -> list[Section]:
    """Print what the record in `out`/run tells, and write its figures and page; returns the parts of a report.

    loss: what the loss is, and its unit.
    """
    run = mg.record.open(out / "run")
    answers = findings(run)
    print(f"\nwhat the record tells:\n\n{in_words(answers)}\n")
    summary = " ".join(answers[0].sentences[:1])
    figures = write_run_report(run, out / FIGURES, f"The record of {out.name}", summary, loss)
    print(f"figures: {figures}")
    guide = (
        f"The sentences below were computed from the record of the run. All of its figures are on "
        f"{FIGURES}/index.html. {_write_page(out)}The numbers are in the folder run: `python -m minigrad view "
        f"{out / 'run'}` shows them, and `minigrad.record.open` reads them."
    )
    return [
        Section("record_guide", "What the record tells", guide, None),
        *(_pictured(run, a) for a in answers),
    ]


def _pictured(run: RunReader, answer: Finding) -> Section:
    """An answer with the figure that shows it, if there is one."""
    section = answer.section()
    if answer.name not in _PICTURES or not answer.rows:  # nothing to be seen
        return section
    try:
        return section._replace(figure=_PICTURES[answer.name](run))
    except ArgumentError:  # too little of it was recorded to be drawn
        return section


_PICTURES: dict[str, Callable[[RunReader], Any]] = {
    "trust": influence_agreement,
    "shrinking_gradients": lambda run: layer_heatmap(run, "std", "output_gradient"),
    "largest_moves": lambda run: layer_heatmap(run, "update_ratio", pattern="*weight"),
    "dead_units": lambda run: layer_heatmap(run, "dead"),
}


def in_words(answers: Sequence[Finding]) -> str:
    """The answers under their headings; what could not be told comes last."""
    parts = []
    for answer in sorted(answers, key=lambda answer: not answer.told):
        text = textwrap.fill(str(answer), _WIDTH, initial_indent="  ", subsequent_indent="  ")
        parts.append(f"{answer.title}\n{text}")
    return "\n".join(parts)


def _write_page(out: Path) -> str:
    """Write the interactive page; returns the sentence that tells of it. That it cannot be had ends nothing."""
    page = out / PAGE
    try:
        export_page([out / "run"], page)
    except (MinigradError, OSError) as error:
        page.unlink(missing_ok=True)  # of a run before
        print(f"no interactive page: {error}", file=sys.stderr)
        return ""
    print(f"interactive page: {page}")
    return f"{PAGE} shows it step by step: losses, layers, units, operations. "


def report_classifier(
    out: Path,
    title: str,
    model: nn.Module,
    observed: Observed,
    judged: Judged,
    settings: Mapping[str, Any],
    numbers: Mapping[str, Any],
    watched: str,
) -> int:
    """Write the report of a classifier, with what its record tells; returns the script's exit code, 1 if training ended
    before its time.

    numbers: beside what is measured here.
    watched: what the data measured after each epoch are called.
    """
    fitted = observed.fitted
    confusion = judged.measure(ConfusionMatrix)
    right, examples = int(np.trace(confusion)), len(judged.test)
    measured = {
        "test_accuracy": right / examples,
        "mistakes": examples - right,
        "test_examples": examples,
        "training_seconds": fitted.seconds,
        "parameters": model.count_parameters(),
        "stopped_early": fitted.stopped or "no",
        "weights_of_epoch": fitted.best_epoch or len(fitted.history.epochs),
    }
    share = f"{right / examples:.2%} of {examples:,} test examples recognised"
    summary = f"{share}, after {fitted.seconds:.0f} s of training."
    note = f" Stopped early: {fitted.stopped}." if fitted.stopped else ""
    page = write_report(
        out,
        title,
        summary + note,
        {**measured, **numbers, "confusion": confusion.tolist()},
        settings,
        fitted.history.epochs,
        [*observed.sections, *sections_of(model, fitted, judged, confusion, watched)],
    )
    print(f"{summary}\nreport: {page}")
    return 1 if fitted.stopped else 0
