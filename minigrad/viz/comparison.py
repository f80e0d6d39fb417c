"""Figures that set several classifiers beside each other, each in its own colour throughout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.errors import ArgumentError, ShapeError
from minigrad.viz.figures import NEUTRAL, log_scale, new_figure, running_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RIGHT, WRONG = "#d9f0d3", "#fbd3c9"


def compared_curves(
    losses: Mapping[str, Sequence[float]],
    epochs: Mapping[str, Sequence[Mapping[str, float]]],
    colours: Mapping[str, str],
    *,
    held_out: str = "test",
) -> Figure:
    """Training loss by step, and accuracy on held-out data by epoch and by time, one line for each model.

    losses:  of every step, by the model's name; smoothed over the latest thirtieth of the steps.
    epochs:  as `History.epochs`, by name; "epoch", "seconds" and "val_accuracy" are drawn.
    colours: by name.
    held_out: what the data behind "val_accuracy" are called.
    """
    _check_names(losses, epochs, colours)
    figure = new_figure(10, 3.9)
    loss_axes, epoch_axes, time_axes = figure.subplots(1, 3)
    for name, values in losses.items():
        steps = np.arange(1, len(values) + 1)
        loss_axes.plot(
            steps,
            running_mean(values, max(1, len(values) // 30)),
            color=colours[name],
            label=name,
            linewidth=1.5,
        )
        done = [epoch for epoch in epochs[name] if "val_accuracy" in epoch]
        accuracies = [100 * epoch["val_accuracy"] for epoch in done]
        seconds = np.cumsum([epoch["seconds"] for epoch in done])
        style: dict[str, Any] = {"color": colours[name], "marker": "o", "markersize": 4, "linewidth": 1.5}
        epoch_axes.plot([epoch["epoch"] for epoch in done], accuracies, **style)
        time_axes.plot(seconds, accuracies, **style)
    loss_axes.set(xlabel="step", ylabel="cross entropy (nats)", title="Training loss")
    log_scale(loss_axes, [value for values in losses.values() for value in values])
    what = f"{held_out} accuracy".capitalize()
    epoch_axes.set(xlabel="epoch", ylabel="accuracy (%)", title=f"{what} by epoch")
    time_axes.set(xlabel="seconds of training", ylabel="accuracy (%)", title=f"{what} by time")
    time_axes.set_xlim(left=0)
    epoch_axes.xaxis.get_major_locator().set_params(integer=True)
    for axes in (loss_axes, epoch_axes, time_axes):
        axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=min(len(losses), 7), frameon=False)
    return figure


def compared_numbers(numbers: Mapping[str, Mapping[str, float]], colours: Mapping[str, str]) -> Figure:
    """Bars: one panel for each number, in which each model has a bar.

    numbers: by the number's name, then by the model's; all panels have the same models. They are 0 or more.
    colours: by the model's name.
    """
    _check_names(*numbers.values(), colours)
    names = list(colours)
    figure = new_figure(10, 0.9 + 0.32 * len(names))
    panels = figure.subplots(1, len(numbers), sharey=True, squeeze=False)[0]
    for axes, (title, values) in zip(panels, numbers.items()):
        bars = axes.barh(names, [values[name] for name in names], color=[colours[name] for name in names])
        axes.bar_label(bars, [short(values[name]) for name in names], padding=3, fontsize=9, color=NEUTRAL)
        axes.set_title(title, fontsize=11)
        axes.set_xlim(0, 1.35 * max([values[name] for name in names], default=0) or 1)
        axes.set_xticks([])
        axes.spines[["top", "right", "bottom"]].set_visible(False)
    panels[0].invert_yaxis()
    return figure


def compared_predictions(
    images: np.ndarray, true: Sequence[int], probabilities: Mapping[str, np.ndarray], classes: Sequence[str]
) -> Figure:
    """Images in a row, and below each what every model takes it for and with which probability; red where wrong.

    images:        (n, H, W), or (n, H, W, 3); n at least 1.
    true:          n labels.
    probabilities: (n, C) by the model's name.
    classes:       C names.
    """
    n = len(images)
    shapes = {name: np.shape(p) for name, p in probabilities.items()}
    if not n or len(true) != n or any(shape != (n, len(classes)) for shape in shapes.values()):
        raise ShapeError(
            f"{n} images need as many labels, and probabilities of shape ({n}, {len(classes)}); got {len(true)} "
            f"labels, {shapes}"
        )
    rows = len(probabilities)
    column = max(1.0, 0.3 + 0.075 * max(len(classes[k]) for k in range(len(classes))))
    figure = new_figure(1.2 + column * n, 1.2 + 0.4 * rows)
    grid: Any = figure.subplots(2, n, squeeze=False, height_ratios=[1.0, 0.4 * rows])
    for i in range(n):
        top, below = grid[:, i]
        top.imshow(images[i], cmap="gray")
        top.set_title(classes[true[i]], fontsize=9)
        top.axis("off")
        guesses = [int(p[i].argmax()) for p in probabilities.values()]
        right = np.array([guess == true[i] for guess in guesses])[:, None]
        below.imshow(right, cmap=_two_colours(), vmin=0, vmax=1, aspect="auto")
        for row, (guess, p) in enumerate(zip(guesses, probabilities.values())):
            below.text(0, row, f"{classes[guess]}\n{p[i, guess]:.0%}", ha="center", va="center", fontsize=8)
        below.set_xticks([])
        below.set_yticks(range(rows), list(probabilities) if i == 0 else [""] * rows, fontsize=9)
        below.tick_params(length=0)
        below.hlines(np.arange(rows - 1) + 0.5, -0.5, 0.5, color="white")
    return figure


def _two_colours() -> Any:
    from matplotlib.colors import ListedColormap

    return ListedColormap([WRONG, RIGHT])


def _check_names(*mappings: Mapping[str, Any]) -> None:
    if not mappings[-1] or any(set(mapping) != set(mappings[-1]) for mapping in mappings):
        raise ArgumentError(
            f"a comparison needs the same models everywhere, at least one; got "
            f"{', '.join(str(list(m)) for m in mappings)}"
        )


def short(value: float) -> str:
    """A number with three digits that matter.

    >>> [short(value) for value in (0.0123, 7.5, 206_970, 11_200_000)]
    ['0.0123', '7.5', '207 k', '11.2 M']
    """
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"
