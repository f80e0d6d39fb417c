"""Figures of a classifier and its training, as matplotlib Figure objects (no pyplot, no global state, no screen needed)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAIN, HELD_OUT = "#1f77b4", "#d62728"


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # matplotlib takes half a second to import: only who draws pays

    return Figure(figsize=(width, height), layout="constrained")


def training_curves(losses: Sequence[float], rates: Sequence[float], epochs: Sequence[Mapping[str, float]]) -> Figure:
    """Loss of every step (and of the held-out data after each epoch), accuracy per epoch, learning rate per step.

    losses, rates: one number per step. epochs: dictionaries with train_accuracy and, where measured, val_loss and val_accuracy.
    """
    figure = _figure(11, 3.4)
    loss_axes, accuracy_axes, rate_axes = figure.subplots(1, 3)
    steps = np.arange(1, len(losses) + 1)
    window = max(1, len(losses) // 100)
    loss_axes.plot(steps, losses, color=TRAIN, alpha=0.25, linewidth=0.8)
    # A running mean over the steps so far, at most `window` of them: no step is dropped and none is averaged with the future
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    first = np.maximum(0, steps - window)
    loss_axes.plot(steps, (sums[steps] - sums[first]) / (steps - first), color=TRAIN, label=f"training (mean of {window})")
    per_epoch = len(losses) / max(1, len(epochs))
    ends = [per_epoch * (i + 1) for i in range(len(epochs))]
    if epochs and "val_loss" in epochs[0]:
        loss_axes.plot(ends, [e["val_loss"] for e in epochs], "o-", color=HELD_OUT, markersize=4, label="test")
    loss_axes.set(xlabel="step", ylabel="cross entropy (nats)", title="Loss", yscale="log")
    loss_axes.legend(fontsize=8)
    numbers = range(1, len(epochs) + 1)
    for key, colour, label in (("train_accuracy", TRAIN, "training, while it learns"), ("val_accuracy", HELD_OUT, "test")):
        if epochs and key in epochs[0]:
            accuracy_axes.plot(numbers, [100 * e[key] for e in epochs], "o-", color=colour, markersize=4, label=label)
    accuracy_axes.set(xlabel="epoch", ylabel="accuracy (%)", title="Accuracy")
    accuracy_axes.xaxis.get_major_locator().set_params(integer=True)
    accuracy_axes.legend(fontsize=8)
    rate_axes.plot(steps, rates, color="#555555")
    rate_axes.set(xlabel="step", ylabel="learning rate", title="Learning rate")
    for axes in (loss_axes, accuracy_axes, rate_axes):
        axes.grid(alpha=0.3)
    return figure


def confusion_matrix_figure(counts: np.ndarray, class_names: Sequence[str]) -> Figure:
    """A confusion matrix (C, C): rows are true classes, columns predictions. Colour shows mistakes only, or they would be invisible."""
    figure = _figure(5.6, 5.2)
    axes = figure.subplots()
    mistakes = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
    axes.imshow(mistakes, cmap="Reds", vmin=0, vmax=max(1, int(mistakes.max())))
    for i in range(len(counts)):
        for j in range(len(counts)):
            if counts[i, j]:
                dark = mistakes[i, j] > 0.6 * mistakes.max()
                colour = "#777777" if i == j else "white" if dark else "black"
                axes.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=8, color=colour)
    axes.set(xlabel="predicted", ylabel="true", title=f"Confusion matrix: {int(mistakes.sum())} mistakes in {int(counts.sum())}")
    axes.set_xticks(range(len(counts)), class_names)
    axes.set_yticks(range(len(counts)), class_names)
    return figure


def image_grid(images: np.ndarray, titles: Sequence[str], *, columns: int = 8, title: str = "") -> Figure:
    """Images (N, H, W) or (N, H, W, 3), each under its own title; grey values from the smallest to the largest."""
    rows = max(1, -(-len(images) // columns))
    figure = _figure(1.35 * columns, 1.75 * rows + (0.4 if title else 0))
    figure.suptitle(title)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, image, text in zip(grid.flat, images, titles, strict=False):
        axes.imshow(image, cmap="gray")
        axes.set_title(text, fontsize=8)
    return figure


def filter_grid(weight: np.ndarray, *, title: str = "First-layer filters") -> Figure:
    """The filters of a first convolution (O, C, Kh, Kw), on one scale symmetric about 0: blue negative, white 0, red positive.

    With three input channels each filter is one colour image instead.
    """
    limit = float(np.abs(weight).max()) or 1.0
    columns = min(8, len(weight))
    rows = -(-len(weight) // columns)
    figure = _figure(1.2 * columns + 1.0, 1.25 * rows + 0.5)
    figure.suptitle(title)
    grid: Any = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for number, (axes, kernel) in enumerate(zip(grid.flat, weight, strict=False)):
        if kernel.shape[0] == 3:
            axes.imshow((kernel.transpose(1, 2, 0) / limit + 1) / 2)
        else:
            drawn = axes.imshow(kernel.mean(axis=0), cmap="bwr", vmin=-limit, vmax=limit)
        axes.set_title(str(number), fontsize=7)
    if weight.shape[1] != 3:
        figure.colorbar(drawn, ax=grid, shrink=0.8, label="weight")
    return figure
