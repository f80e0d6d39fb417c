"""What a classifier made of the test data, as numbers, figures and a page."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from common.fitting import Fitted
from minigrad import nn
from minigrad.data import ArrayDataset, DataLoader
from minigrad.nn import functional as F
from minigrad.train import F1, ConfusionMatrix, Metric, Precision, Recall, TopKAccuracy
from minigrad.viz import (
    Section,
    confusion_matrix_figure,
    filter_grid,
    image_grid,
    training_curves,
    write_report,
)


class Judged(NamedTuple):
    """The test data, and the probabilities (n, C) that a model gave to each class of each example."""

    test: ArrayDataset
    probabilities: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """The class with the highest probability, (n,)."""
        return self.probabilities.argmax(axis=1)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.test.classes or tuple(map(str, range(self.probabilities.shape[1])))

    def measure(self, kind: type[Metric], *arguments: Any) -> Any:
        """What a metric says of all examples."""
        metric = kind(*arguments)
        metric.update(mg.tensor(self.probabilities), mg.tensor(self.test.targets))
        return metric.compute()

    def top_accuracy(self, k: int) -> float:
        """Share of the examples whose class is among the k most probable."""
        return self.measure(TopKAccuracy, k)

    def title_of(self, example: int) -> str:
        """What it is, what it was taken for, and how sure the model was."""
        true, guess = self.test.targets[example], self.predicted[example]
        sure = f"{self.probabilities[example, guess]:.1%}"
        if true == guess:
            return f"{self.classes[true]}\n{sure}"
        return f"{self.classes[true]}\n→ {self.classes[guess]}\n{sure}"


def judge(model: nn.Module, loader: DataLoader, test: ArrayDataset) -> Judged:
    """Let a model predict every example of a loader that goes through `test` in order."""
    model.eval()
    with mg.no_grad():
        parts = [F.softmax(model(inputs), dim=1).numpy() for inputs, _ in loader]
    return Judged(test, np.concatenate(parts))


def report(
    out: Path,
    title: str,
    model: nn.Module,
    fitted: Fitted,
    judged: Judged,
    settings: Mapping[str, Any],
    numbers: Mapping[str, Any],
    *,
    watched: str,
) -> int:
    """Write the report of a trained classifier; returns the script's exit code, 1 if training ended before its time.

    numbers: beside what is measured here.
    watched: what the data measured after each epoch are called.
    """
    if not fitted.history.steps["loss"]:
        print("nothing was learnt, so there is nothing to report", file=sys.stderr)
        return 1
    confusion = judged.measure(ConfusionMatrix)
    right, examples = int(np.trace(confusion)), len(judged.test)
    measured = {
        "test_accuracy": right / examples,
        "mistakes": examples - right,
        "test_examples": examples,
        "macro_F1": judged.measure(F1),
        "training_seconds": fitted.seconds,
        "parameters": model.count_parameters(),
        "stopped_early": fitted.stopped or "no",
        "weights_of_epoch": fitted.best_epoch or len(fitted.history.epochs),
    }
    share = f"{right / examples:.2%} of {examples:,} test examples recognised"
    summary = f"{share}, after {fitted.seconds:.0f} s of training."
    note = f" Stopped early: {fitted.stopped}." if fitted.stopped else ""
    sections = sections_of(model, fitted, judged, confusion, watched)
    page = write_report(
        out,
        title,
        summary + note,
        {**measured, **numbers, "confusion": confusion.tolist()},
        settings,
        fitted.history.epochs,
        sections,
    )
    print(f"{summary}\nreport: {page}")
    return 1 if fitted.stopped else 0


def sections_of(
    model: nn.Module, fitted: Fitted, judged: Judged, confusion: np.ndarray, watched: str
) -> list[Section]:
    """The figures and tables of the report, with a sentence on how to read each."""
    history = fitted.history
    sections = [
        Section(
            "curves",
            "How it learnt",
            "Training loss is measured while the weights change (and images are varied): it can lie above the other.",
            training_curves(history.steps["loss"], history.steps["lr"], history.epochs, held_out=watched),
        ),
        Section(
            "classes",
            "Class by class",
            "Precision: of those taken for the class, the share that is of it. Recall: of those of the class, the "
            "share that is recognised. F1: their harmonic mean.",
            None,
            class_rows(judged),
        ),
        Section(
            "confusion",
            "What it confuses",
            "Rows are true classes, columns predictions; the grey diagonal counts right answers, colour mistakes.",
            confusion_matrix_figure(confusion, judged.classes),
        ),
    ]
    if judged.test.inputs.ndim == 4:
        sections += image_sections(model, judged)
    return sections


def class_rows(judged: Judged) -> list[dict[str, Any]]:
    """Precision, recall, F1 and number of examples of each class."""
    measures = {name: judged.measure(kind, None) for name, kind in _MEASURES.items()}
    counts = np.bincount(judged.test.targets, minlength=len(judged.classes))
    return [
        {
            "class": name,
            **{m: f"{values[i]:.1%}" for m, values in measures.items()},
            "examples": int(counts[i]),
        }
        for i, name in enumerate(judged.classes)
    ]


_MEASURES: dict[str, type[ConfusionMatrix]] = {"precision": Precision, "recall": Recall, "F1": F1}


def image_sections(model: nn.Module, judged: Judged) -> list[Section]:
    """Images: some at random, those it was most wrong about, and what its first layer looks for."""
    n = len(judged.test)
    some = np.random.default_rng(0).permutation(n)[:16]
    wrong = np.flatnonzero(judged.predicted != judged.test.targets)
    wrong = wrong[np.argsort(-judged.probabilities[wrong, judged.predicted[wrong]], kind="stable")][:32]
    sections = [
        Section(
            "samples",
            "Some predictions",
            "Test images at random: what they are, what they were taken for if that is something else, and with which "
            "probability.",
            _grid(judged, some),
        ),
        Section(
            "mistakes",
            "Its most confident mistakes",
            "Test images in the order of the probability that was given to the wrong class, highest first."
            if len(wrong)
            else "There are none: every test image was recognised.",
            _grid(judged, wrong) if len(wrong) else None,
        ),
    ]
    convolution = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    if convolution is not None:
        sections.append(
            Section(
                "filters",
                "What the first layer looks for",
                "Each square is one filter. On grey images it answers where they are bright under red weights and dark "
                "under blue ones; on colour images it answers to the colours shown, grey being none.",
                filter_grid(convolution.weight.numpy()),
            )
        )
    return sections


def _grid(judged: Judged, examples: np.ndarray) -> Any:
    return image_grid(pictures(judged.test.inputs[examples]), [judged.title_of(i) for i in examples])


def pictures(images: np.ndarray) -> np.ndarray:
    """Images (n, C, H, W) as they are drawn: (n, H, W), or (n, H, W, 3) if coloured."""
    return images[:, 0] if images.shape[1] == 1 else images.transpose(0, 2, 3, 1)
