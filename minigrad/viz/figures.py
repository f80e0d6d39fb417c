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
MANY_CLASSES = 30


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches."""
    from matplotlib.figure import Figure  # Matplotlib takes half a second to import: only who draws pays

    return Figure(figsize=(width, height), layout="constrained")


def training_curves(
    losses: Sequence[float],
    rates: Sequence[float],
    epochs: Sequence[Mapping[str, float]],
    held_out: str = "test",
    loss: str = "cross entropy (nats)",
    measure: str = "accuracy",
) -> Figure:
    """Loss of every step and of the held-out data, accuracy after every epoch, learning rate of every step.

    losses, rates: one number per step, at least one; as `History.steps` holds them.
    epochs:        one dictionary per finished epoch, as `History.epochs`: "epoch" and "step", and where they were
                   measured "train_accuracy", "val_loss", "val_accuracy". There may be none.
    held_out:      what the data behind "val_loss" and "val_accuracy" are called.
    loss:          what the loss is, and its unit.
    measure:       what is drawn in place of "accuracy", if that is not what was measured.
    held_out:      what to call the data of the last two.
    """
    if not len(losses) or len(losses) != len(rates):
        raise ArgumentError(
            f"curves need a loss and a rate for at least one step, not {len(losses)} and {len(rates)}"
        )
    figure = new_figure(10, 3.2)
    loss_axes, accuracy_axes, rate_axes = figure.subplots(1, 3)
    _draw_losses(loss_axes, losses, epochs, held_out)
    loss_axes.set_ylabel(loss)
    words = measure.replace("_", " ")
    scale, unit = (100, " (%)") if measure == "accuracy" else (1, "")
    for key, colour, label in (
        (f"train_{measure}", TRAIN, "training, while it learns"),
        (f"val_{measure}", HELD_OUT, held_out),
    ):
        points = [(e["epoch"], scale * e[key]) for e in epochs if key in e]
        if points:
            accuracy_axes.plot(*zip(*points), "o-", color=colour, markersize=_size(points), label=label)
    accuracy_axes.set(xlabel="epoch", ylabel=words + unit, title=words.capitalize())
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


def _size(points: Sequence[Any]) -> int:
    return 4 if len(points) < 30 else 2  # many dots would hide the line


def running_mean(values: Sequence[float], window: int) -> np.ndarray:
    """The mean of each value and those before it, at most `window` of them: none is averaged with the future.

    >>> running_mean([1.0, 3.0, 5.0], 2)
    array([1., 2., 4.])
    """
    ends = np.arange(1, len(values) + 1)
    first = np.maximum(0, ends - window)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return (sums[ends] - sums[first]) / (ends - first)


def _draw_losses(
    axes: Axes, losses: Sequence[float], epochs: Sequence[Mapping[str, float]], held_out: str
) -> None:
    steps = np.arange(1, len(losses) + 1)
    window = max(1, len(losses) // 100)
    if window > 1:
        axes.plot(steps, losses, color=TRAIN, alpha=0.25, linewidth=0.8)
    label = "training" if window == 1 else f"training, mean of {window} steps"
    axes.plot(steps, running_mean(losses, window), color=TRAIN, label=label, marker=_marker(losses))
    points = [(e["step"], e["val_loss"]) for e in epochs if "val_loss" in e]
    if points:
        axes.plot(*zip(*points), "o-", color=HELD_OUT, markersize=_size(points), label=held_out)
    axes.set(xlabel="step", title="Loss")
    log_scale(axes, [*losses, *(loss for _, loss in points)])
    axes.legend()


def log_scale(axes: Axes, values: Sequence[float]) -> None:
    """Make the vertical axis logarithmic, with plain numbers, if there is a value that can be drawn so."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    seen = [value for value in values if 0 < value < np.inf]
    if not seen:
        return
    axes.set_yscale("log")
    decades = np.log10(max(seen) / min(seen))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 4 else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


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
    many = len(counts) > MANY_CLASSES  # then numbers would not be readable
    cell, size = (0.1, 5) if many else (0.45, 10)
    longest = max(map(len, class_names), default=0)
    labels = longest * size / 110  # inches that the longest name takes
    figure = new_figure(
        1.2 + labels + cell * len(counts), 0.8 + (labels if longest > 3 else 0.3) + cell * len(counts)
    )
    axes = figure.subplots()
    axes.imshow(np.ma.masked_where(np.eye(len(counts)) > 0, mistakes), cmap="Reds", vmin=0, vmax=most)
    axes.set_facecolor("#e8e8e8")  # shows through on the diagonal
    for i, j in zip(*np.nonzero(counts)) if not many else ():
        colour = NEUTRAL if i == j else "white" if mistakes[i, j] > 0.6 * most else "black"
        axes.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=8, color=colour)
    title = f"{int(mistakes.sum()):,} mistakes in {int(counts.sum()):,}"
    axes.set(xlabel="predicted", ylabel="true", title=title)
    axes.set_xticks(classes, class_names, rotation=90 if longest > 3 else 0, fontsize=size)
    axes.set_yticks(classes, class_names, fontsize=size)
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
    figure = new_figure(1.2 * max(columns, 3), 1.6 * rows + (0.4 if title else 0))
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
    figure = new_figure(1.1 * columns + 1.2, 1.3 * rows + (0.4 if title else 0))
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


def prediction_scatter(true: np.ndarray, predicted: np.ndarray) -> Figure:
    """What a regression says against what is true, a point for each example; on the line it would be right.

    true, predicted: (n,), n at least 1.
    """
    if true.ndim != 1 or true.shape != predicted.shape or not true.size:
        raise ShapeError(f"a scatter needs two arrays of shape (n,), not {true.shape} and {predicted.shape}")
    figure = new_figure(4.6, 4.4)
    axes = figure.subplots()
    ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
    axes.plot(ends, ends, color=NEUTRAL, linewidth=1)
    axes.scatter(true, predicted, s=18, alpha=0.6, color=TRAIN, linewidths=0)
    axes.set(xlabel="true", ylabel="predicted", aspect="equal")
    axes.grid(alpha=0.3)
    return figure
