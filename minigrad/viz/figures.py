"""Figures of a classifier and its training: Matplotlib Figures, made without pyplot, global state or a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN, HELD_OUT, NEUTRAL = "#1f77b4", "#d62728", "#555555"


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # Matplotlib takes half a second to import: only who draws pays

    return Figure(figsize=(width, height), layout="constrained")


def training_curves(
    losses: Sequence[float], rates: Sequence[float], epochs: Sequence[Mapping[str, float]]
) -> Figure:
    """Loss of every step and of the held-out data, accuracy after every epoch, learning rate of every step.

    losses, rates: one number per step, at least one; as `History.steps` holds them.
    epochs:        one dictionary per finished epoch, as `History.epochs`: "epoch" and "step", and where they were
                   measured "train_accuracy", "val_loss", "val_accuracy". There may be none.
    """
    if not len(losses) or len(losses) != len(rates):
        raise ArgumentError(
            f"curves need a loss and a rate for at least one step, not {len(losses)} and {len(rates)}"
        )
    figure = _figure(10, 3.2)
    loss_axes, accuracy_axes, rate_axes = figure.subplots(1, 3)
    _draw_losses(loss_axes, losses, epochs)
    for key, colour, label in (
        ("train_accuracy", TRAIN, "training, while it learns"),
        ("val_accuracy", HELD_OUT, "test"),
    ):
        points = [(e["epoch"], 100 * e[key]) for e in epochs if key in e]
        if points:
            accuracy_axes.plot(*zip(*points), "o-", color=colour, markersize=4, label=label)
    accuracy_axes.set(xlabel="epoch", ylabel="accuracy (%)", title="Accuracy")
    if accuracy_axes.lines:
        accuracy_axes.legend()
    else:
        accuracy_axes.text(0.5, 0.5, "no epoch was finished", ha="center", transform=accuracy_axes.transAxes)
        accuracy_axes.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)
    rate_axes.plot(np.arange(1, len(rates) + 1), rates, color=NEUTRAL, marker=_marker(rates))
    rate_axes.set(xlabel="step", ylabel="learning rate", title="Learning rate")
    for axes in (loss_axes, accuracy_axes, rate_axes):
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    return figure


def _marker(values: Sequence[float]) -> str:
    return "." if len(values) < 20 else ""  # a line through one point cannot be seen


def _draw_losses(axes: Axes, losses: Sequence[float], epochs: Sequence[Mapping[str, float]]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    steps = np.arange(1, len(losses) + 1)
    window = max(1, len(losses) // 100)
    if window > 1:
        axes.plot(steps, losses, color=TRAIN, alpha=0.25, linewidth=0.8)
    # A running mean over the steps so far, at most `window` of them: none is dropped, none averaged with the future
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    first = np.maximum(0, steps - window)
    label = "training" if window == 1 else f"training, mean of {window} steps"
    means = (sums[steps] - sums[first]) / (steps - first)
    axes.plot(steps, means, color=TRAIN, label=label, marker=_marker(losses))
    points = [(e["step"], e["val_loss"]) for e in epochs if "val_loss" in e]
    if points:
        axes.plot(*zip(*points), "o-", color=HELD_OUT, markersize=4, label="test")
    axes.set(xlabel="step", ylabel="cross entropy (nats)", title="Loss")
    if any(0 < loss < np.inf for loss in losses):
        axes.set_yscale("log")
        seen = [value for value in (*losses, *(loss for _, loss in points)) if 0 < value < np.inf]
        decades = np.log10(max(seen) / min(seen))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 4 else (1,)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend()


def confusion_matrix_figure(counts: np.ndarray, class_names: Sequence[str]) -> Figure:
    """A confusion matrix; colour shows mistakes only, beside which the many right answers would leave nothing to see.

    counts:      (C, C) integers, rows true classes, columns predictions.
    class_names: C of them.
    """
    if counts.ndim != 2 or counts.shape != (len(class_names),) * 2:
        raise ShapeError(f"{len(class_names)} classes need counts of shape (C, C), not {list(counts.shape)}")
    classes = range(len(counts))
    mistakes = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
    most = max(1, int(mistakes.max()))
    figure = _figure(1.6 + 0.45 * len(counts), 1.2 + 0.45 * len(counts))
    axes = figure.subplots()
    axes.imshow(np.ma.masked_where(np.eye(len(counts)) > 0, mistakes), cmap="Reds", vmin=0, vmax=most)
    axes.set_facecolor("#e8e8e8")  # shows through on the diagonal
    for i in classes:
        for j in classes:
            if counts[i, j]:
                colour = NEUTRAL if i == j else "white" if mistakes[i, j] > 0.6 * most else "black"
                axes.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=8, color=colour)
    title = f"{int(mistakes.sum()):,} mistakes in {int(counts.sum()):,}"
    axes.set(xlabel="predicted", ylabel="true", title=title)
    axes.set_xticks(classes, class_names)
    axes.set_yticks(classes, class_names)
    return figure


def image_grid(images: np.ndarray, titles: Sequence[str], *, columns: int = 8, title: str = "") -> Figure:
    """Images in rows, each under its own title; grey ones from black, their smallest value, to white, their largest.

    images: (N, H, W), or (N, H, W, 3) with values in [0, 1] or 0 to 255; N at least 1.
    titles: N of them.
    """
    if not len(images) or len(images) != len(titles):
        raise ArgumentError(
            f"a grid needs at least one image, and a title for each, not {len(images)} and {len(titles)}"
        )
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure = _figure(1.2 * max(columns, 3), 1.6 * rows + (0.4 if title else 0))
    figure.suptitle(title)
    grid: Any = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, image, text in zip(grid.flat, images, titles):
        axes.imshow(image, cmap="gray")
        axes.set_title(text, fontsize=9)
    return figure


def filter_grid(weight: np.ndarray, *, title: str = "") -> Figure:
    """The filters of a first convolution, on one scale: red positive, white 0, blue negative.

    weight: (O, C, Kh, Kw). With three input channels each filter is one colour image, grey where it is 0; with other
            numbers of channels their mean is drawn.
    """
    if weight.ndim != 4 or not weight.size:
        raise ShapeError(f"filters have shape (O, C, Kh, Kw), not {list(weight.shape)}")
    limit = float(np.abs(weight).max()) or 1.0
    colour = weight.shape[1] == 3
    columns = min(8, len(weight))
    rows = -(-len(weight) // columns)
    figure = _figure(1.1 * columns + 1.2, 1.3 * rows + (0.4 if title else 0))
    figure.suptitle(title)
    grid: Any = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    drawn: Any = None
    for number, (axes, kernel) in enumerate(zip(grid.flat, weight)):
        picture = (kernel.transpose(1, 2, 0) / limit + 1) / 2 if colour else kernel.mean(axis=0)
        drawn = axes.imshow(picture, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes.set_title(str(number), fontsize=9)
    if not colour:
        figure.colorbar(drawn, ax=grid, shrink=0.8, label="weight")
    return figure
