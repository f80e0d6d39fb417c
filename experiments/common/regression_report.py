"""What a regression made of the test data, as numbers, figures and a page."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from common.fitting import Fitted
from minigrad import nn
from minigrad.data import ArrayDataset, DataLoader, Normalize
from minigrad.viz import Section, prediction_scatter, training_curves, write_report


class Estimates(NamedTuple):
    """True values and a model's, (n,) each, in the data's own unit, and the mean of the values it learnt from."""

    true: np.ndarray
    predicted: np.ndarray
    mean_learnt: float

    def numbers(self) -> dict[str, float]:
        """Errors, and for comparison that of always saying the mean."""
        error = self.predicted - self.true
        spread = self.true - self.true.mean()
        return {
            "mean_absolute_error": float(np.abs(error).mean()),
            "root_mean_squared_error": float(np.sqrt(np.square(error).mean())),
            "R2": 1 - float(np.square(error).sum() / np.square(spread).sum()),
            "mean_absolute_error_of_the_mean": float(np.abs(self.true - self.mean_learnt).mean()),
        }


def judge_regression(
    model: nn.Module, loader: DataLoader, test: ArrayDataset, target_scale: Normalize
) -> Estimates:
    """Let a model estimate every example of a loader that goes through `test`, whose targets are scaled, in order."""
    model.eval()
    with mg.no_grad():
        outputs = np.concatenate([model(inputs).numpy() for inputs, _ in loader])[:, 0]
    mean, std = (float(np.ravel(values)[0]) for values in (target_scale.mean, target_scale.std))
    return Estimates(test.targets[:, 0] * std + mean, outputs * std + mean, mean)


def report_regression(
    out: Path,
    title: str,
    model: nn.Module,
    fitted: Fitted,
    estimates: Estimates,
    settings: Mapping[str, Any],
    numbers: Mapping[str, Any],
) -> int:
    """Write the report of a trained regression; returns the script's exit code, 1 if training ended before its time."""
    history = fitted.history
    if not history.steps["loss"]:
        print("nothing was learnt, so there is nothing to report", file=sys.stderr)
        return 1
    measured = {
        **estimates.numbers(),
        "test_examples": len(estimates.true),
        **numbers,
        "training_seconds": fitted.seconds,
        "parameters": model.count_parameters(),
        "stopped_early": fitted.stopped or "no",
        "weights_of_epoch": fitted.best_epoch or len(history.epochs),
    }
    summary = (
        f"Off by {measured['mean_absolute_error']:.4g} on average over {len(estimates.true)} test examples; always "
        f"saying the mean would be off by {measured['mean_absolute_error_of_the_mean']:.4g}."
    )
    note = f" Stopped early: {fitted.stopped}." if fitted.stopped else ""
    sections = [
        Section(
            "curves",
            "How it learnt",
            "The loss is that of targets scaled to mean 0 and deviation 1: always saying the mean would give 1.",
            training_curves(
                history.steps["loss"],
                history.steps["lr"],
                history.epochs,
                held_out="validation",
                loss="mean squared error",
                measure="absolute_error",
            ),
        ),
        Section(
            "scatter",
            "What it says, and what is true",
            "Each point is a test example; on the line it is right.",
            prediction_scatter(estimates.true, estimates.predicted),
        ),
    ]
    page = write_report(out, title, summary + note, measured, settings, history.epochs, sections)
    print(f"{summary}\nreport: {page}")
    return 1 if fitted.stopped else 0
