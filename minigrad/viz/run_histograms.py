"""Figures of a recorded run's histograms: over all steps by colour, at chosen steps, and as ridges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.record import RunReader
from minigrad.viz.run_axes import (
    COLUMNS,
    MISSING,
    PALETTE,
    PANELS,
    evenly,
    explain_colours,
    panels,
    short_name,
    step_edges,
    whole_steps,
)
from minigrad.viz.run_figures import KINDS
from minigrad.viz.run_layout import free_figure, place_inches, settle, text_width, tick_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS = 96  # rows of a histogram drawn by colour
_MOST_STEPS = 40  # ridges above each other


class Histograms(NamedTuple):
    """Of one signal: steps (S,), edges (S, bins + 1), counts (S, bins)."""

    name: str
    steps: np.ndarray
    edges: np.ndarray
    counts: np.ndarray

    def constants(self) -> np.ndarray:
        """The value that all elements of a step had, (S,); NaN where they differed.

        The histogram of a constant is 1 wide, around it (`Statistics.histogram`): to draw that would show a width that
        is not there.
        """
        one_wide = np.isclose(self.edges[:, -1] - self.edges[:, 0], 1, rtol=1e-5, atol=0)
        centres = (self.edges[:, 0] + self.edges[:, -1]) / 2
        return np.where(one_wide & ((self.counts > 0).sum(axis=1) == 1), centres, np.nan)

    def spans(self) -> np.ndarray:
        """From where to where each step's elements lie, (S, 2); NaN where there are none."""
        found = np.repeat(self.constants()[:, None], 2, axis=1)
        for row, edges, counts in zip(found, self.edges, self.counts):
            there = np.flatnonzero(counts > 0)
            if len(there) and np.isnan(row[0]):
                row[:] = edges[there[0]], edges[there[-1] + 1]
        return found

    def limits(self) -> tuple[float, float]:
        """From where to where all lie.

        Where a few steps reach far beyond the others (the whole is more than 4 times as wide as without a twentieth
        of the steps at either end), without these.
        """
        spans = self.spans()
        spans = spans[np.isfinite(spans).all(axis=1)]
        if not len(spans):
            return 0.0, 1.0
        usual = float(np.quantile(spans[:, 0], 0.05)), float(np.quantile(spans[:, 1], 0.95))
        whole = float(spans[:, 0].min()), float(spans[:, 1].max())
        low, high = usual if 0 < usual[1] - usual[0] < (whole[1] - whole[0]) / 4 else whole
        return (low, high) if high > low else (low - 0.5, high + 0.5)

    def grid(self, at_most: int) -> np.ndarray:
        """Edges of common bins over `limits`; few for few elements, which would be lone spikes in many."""
        elements = float(self.counts.sum(axis=1).max())
        bins = int(np.clip(2 * np.sqrt(elements), min(12, at_most), at_most))
        return np.linspace(*self.limits(), bins + 1)

    def on(self, grid: np.ndarray) -> np.ndarray:
        """The counts in the bins of a grid, (S, bins of the grid), as if spread evenly in their own bins.

        What lies outside is in the outermost bins.
        """
        found = np.zeros((len(self.steps), len(grid) - 1))
        for row, edges, counts, value in zip(found, self.edges, self.counts, self.constants()):
            if np.isfinite(value):
                row[np.clip(np.searchsorted(grid, value, "right") - 1, 0, len(row) - 1)] = counts.sum()
                continue
            below = np.concatenate([[0.0], np.cumsum(counts)])
            at = np.interp(grid, edges, below)
            at[0], at[-1] = 0, below[-1]
            row[:] = np.diff(at)
        return found

    def at(self, steps: Sequence[int]) -> Histograms:
        """Those of some of the steps."""
        missing = sorted(set(steps) - set(self.steps.tolist()))
        if missing:
            there = ", ".join(map(str, evenly(self.steps.tolist(), 12)))
            raise ArgumentError(
                f"no histogram of {self.name!r} was recorded at {', '.join(map(str, missing[:5]))}; there are those of "
                f"steps {there}{' and others' if len(self.steps) > 12 else ''}"
            )
        rows = np.searchsorted(self.steps, list(steps))
        return Histograms(self.name, self.steps[rows], self.edges[rows], self.counts[rows])


def read_histograms(
    run: RunReader, names: str | Sequence[str] | None, kind: str, at_most: int = PANELS
) -> list[Histograms]:
    """The recorded histograms of some signals; by default of all of the kind that have any, at most so many."""
    if names is not None:
        wanted = [names] if isinstance(names, str) else list(names)
        if not wanted:
            raise ArgumentError("a figure of histograms needs at least one name")
        return [_read(run, name, kind) for name in wanted]
    found = with_histograms(run, kind)
    if not found:
        there = [each for each in KINDS if with_histograms(run, each)]
        raise ArgumentError(
            f"no histograms of kind {kind!r} were recorded; there are those of {', '.join(there) or 'none'}"
        )
    if len(found) > at_most:  # vectors, such as biases, give way to matrices
        shapes = {signal.name: signal.shape for signal in run.signals(kind)}
        found = [name for name in found if len(shapes[name]) > 1] or found
    return [_read(run, name, kind) for name in evenly(found, at_most)]


def _read(run: RunReader, name: str, kind: str) -> Histograms:
    with np.errstate(invalid="ignore"):
        steps, edges, counts = run.histograms(name, kind)
    beyond = ~np.isfinite(edges).all(axis=1)  # ends that float32 does not hold
    edges[beyond], counts[beyond] = np.linspace(0, 1, edges.shape[1]), 0
    return Histograms(name, steps, edges, counts)


def with_histograms(run: RunReader, kind: str) -> list[str]:
    """The names of the signals of a kind whose histograms were recorded."""
    there = set().union(*(layout.places for layout in run.matrices.layouts("histograms")))
    return [signal.name for signal in run.signals(kind) if signal.id in there]


# ------------------------------------------------ by colour


def histogram_heatmaps(
    run: RunReader, names: str | Sequence[str] | None = None, kind: str = "output", columns: int = 4
) -> Figure:
    """Histograms over all steps, a panel for each layer: each step is a column, colour is log(1 + number of elements).

    names: which, by default all recorded of the kind, at most 24 evenly spread over the network.

    One colour scale for all panels. Steps that reach far beyond all others do not stretch the axis: what lies
    outside is in the outermost rows, and the panel says "clipped". Grey is a step without finite elements. Raises
    ArgumentError, telling what there is, for what was not recorded.
    """
    from matplotlib.colors import Normalize
    from matplotlib.ticker import MaxNLocator

    found = read_histograms(run, names, kind)
    figure, grid, last = panels(len(found), columns, 2.9, 2.0)
    drawn = []
    for histograms in found:
        low, high = histograms.limits()
        edges = np.linspace(low, high, LEVELS + 1)
        each = -(-len(histograms.steps) // COLUMNS)
        some = histograms.at(histograms.steps[::each].tolist())
        drawn.append((some, edges, np.log1p(some.on(edges)).T))
    top = max(float(cells.max()) for *_, cells in drawn) or 1.0
    occur: set[str] = set()
    mesh: Any = None
    for axes, (some, edges, cells) in zip(grid, drawn):
        empty = some.counts.sum(axis=1) == 0
        occur |= {MISSING} if empty.any() else set()
        shown = np.ma.masked_where(np.broadcast_to(empty, cells.shape), cells)
        options: dict[str, Any] = {"norm": Normalize(0, top), "cmap": "inferno", "rasterized": True}
        mesh = axes.pcolormesh(step_edges(some.steps), edges, shown, **options)
        axes.set_facecolor(MISSING)
        spans = some.spans()
        clipped = np.nanmin(spans) < edges[0] or np.nanmax(spans) > edges[-1] if not empty.all() else False
        axes.set_title(short_name(some.name) + (" (clipped)" if clipped else ""), fontsize=9)
        axes.tick_params(labelsize=8)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        whole_steps(axes, label=axes in last, at_most=6)
    beside = tick_width(grid, 8)
    settle(figure, grid, 0.3 + beside, 1.0, 0.75, 0.3, (0.12 + beside, 0.5))
    _side_words(figure, f"value of an element ({KINDS.get(kind, kind)})")
    ticks = [0, *(10.0**k for k in range(int(top / np.log(10)) + 1))]
    words = "elements in a cell"
    beside_all = figure.add_axes(place_inches(figure, grid, right=0.15, width=0.16), label="<colorbar>")
    bar = figure.colorbar(mesh, cax=beside_all, label=words, ticks=np.log1p(ticks).tolist())
    bar.ax.set_yticklabels([f"{t:,.0f}" if t < 1e4 else f"$10^{{{np.log10(t):.0f}}}$" for t in ticks])
    explain_colours(figure, occur)
    return figure


def _side_words(figure: Figure, words: str) -> None:
    figure.supylabel(words, fontsize=10, x=0.1 / figure.get_figwidth())


def _foot_words(figure: Figure, words: str) -> None:
    figure.supxlabel(words, fontsize=10, y=0.08 / figure.get_figheight())


# ------------------------------------------------ at chosen steps


def histogram_grid(
    run: RunReader,
    names: str | Sequence[str] | None = None,
    kind: str = "weight",
    steps: int | Sequence[int] = 5,
) -> Figure:
    """Histograms at chosen steps: a row for each parameter, a column for each step.

    names: which, by default all recorded of the kind; where these are more than 24, so many of those that are no
           vectors, evenly spread over the network.
    steps: which, or how many, evenly spread from the first recorded to the last; step 0 is the state that training
           started from.

    Bins and counts are as recorded (a constant is one thin bar). Panels of a row share the horizontal axis; each has
    its own height, whose number of elements stands in its corner. Raises ArgumentError, telling what there is, for what
    was not recorded.
    """
    found = read_histograms(run, names, kind)
    chosen = _chosen(found, steps)
    width, height = 1.0 + 1.75 * max(len(chosen), 3), 0.85 * len(found) + 0.9
    figure, grid = free_figure(width, height, len(found), len(chosen), sharex="row")
    for row, histograms in zip(grid, found):
        some = histograms.at(chosen)
        low, high = some.limits()
        for axes, step, edges, counts, value in zip(
            row, some.steps, some.edges, some.counts, some.constants()
        ):
            thin = (high - low) / edges.size
            bar = np.array([value - thin, value + thin])
            _draw_histogram(
                axes, *((bar, counts.sum(keepdims=True)) if np.isfinite(value) else (edges, counts))
            )
            if axes in grid[0]:
                axes.set_title(f"step {step:,}", fontsize=9)
        row[0].set_ylabel(short_name(some.name, 26), rotation=0, ha="right", va="center", fontsize=8)
        spans = some.spans()
        if np.isfinite(spans).any():
            margin = 0.04 * (np.nanmax(spans) - np.nanmin(spans)) or 0.5
            row[0].set_xlim(np.nanmin(spans) - margin, np.nanmax(spans) + margin)
    words = f"value of an element ({KINDS.get(kind, kind)}); the number says how many are in the highest bin"
    left = 0.2 + text_width([short_name(each.name, 26) for each in found], 8)
    settle(figure, list(grid.flat), left, 0.15, 0.6, 0.3, (0.12, 0.28), labels=0.07)
    _foot_words(figure, words)
    return figure


def _draw_histogram(axes: Axes, edges: np.ndarray, counts: np.ndarray) -> None:
    from matplotlib.ticker import MaxNLocator, NullLocator

    if counts.sum():
        axes.stairs(counts, edges, fill=True, color=PALETTE[0])
        axes.set_ylim(0, 1.35 * counts.max())
        told = f"{counts.max():,.0f}"
    else:
        told = "nothing finite"
    axes.text(0.98, 0.96, told, transform=axes.transAxes, ha="right", va="top", fontsize=7, color="#555555")
    axes.yaxis.set_major_locator(NullLocator())
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _chosen(found: Sequence[Histograms], steps: int | Sequence[int]) -> list[int]:
    """Steps at which all of them were recorded, or those asked for."""
    if not isinstance(steps, int):
        if not len(steps):
            raise ArgumentError("a figure of histograms needs at least one step")
        return sorted({int(step) for step in steps})
    common = sorted(set.intersection(*(set(each.steps.tolist()) for each in found)))
    if not common:
        raise ArgumentError(
            f"{', '.join(each.name for each in found)} have no step with histograms in common"
        )
    return evenly(common, steps)


# ------------------------------------------------ ridges


def histogram_ridges(
    run: RunReader,
    names: str | Sequence[str] | None = None,
    kind: str = "weight",
    steps: int | Sequence[int] = 24,
    columns: int = 4,
) -> Figure:
    """Histograms as ridges behind each other, the earliest at the back: how a distribution moves, spreads and splits.

    Arguments as for `histogram_grid`. All ridges of a panel have the same bins and are equally high, whatever
    their numbers of elements: compare places and widths. Raises ArgumentError for what was not recorded.
    """
    from matplotlib import colormaps
    from matplotlib.ticker import FixedFormatter, FixedLocator

    found = read_histograms(run, names, kind)
    chosen = _chosen(found, steps)
    if len(chosen) > _MOST_STEPS:
        raise ArgumentError(
            f"ridges of more than {_MOST_STEPS} steps cannot be told apart, not {len(chosen)}"
        )
    figure, grid, _ = panels(len(found), columns, 2.6, 2.9)
    labelled = evenly(range(len(chosen)), 7)
    for axes, histograms in zip(grid, found):
        some = histograms.at(chosen)
        edges = histograms.grid(LEVELS)
        middles = (edges[1:] + edges[:-1]) / 2
        for place, counts in enumerate(some.on(edges)):
            height = 2.5 * counts / (counts.max() or 1.0)  # so high that ridges overlap
            colour = colormaps["viridis"](0.9 * place / max(1, len(chosen) - 1))
            order = 2 + place
            axes.fill_between(middles, -place, height - place, color=colour, alpha=0.85, lw=0, zorder=order)
            axes.plot(middles, height - place, color="white", linewidth=0.6, zorder=order)
        axes.yaxis.set_major_locator(FixedLocator([-i for i in labelled]))
        axes.yaxis.set_major_formatter(FixedFormatter([f"{chosen[i]:,}" for i in labelled]))
        axes.set_ylim(-len(chosen) + 0.8, 2.8)
        axes.set_title(short_name(some.name), fontsize=9)
        axes.tick_params(labelsize=8, left=False)
        axes.spines[["top", "right", "left"]].set_visible(False)
    beside = text_width([f"{step:,}" for step in chosen], 8)
    settle(figure, grid, 0.35 + beside, 0.1, 0.6, 0.3, (0.2 + beside, 0.6))
    _side_words(figure, "step")
    _foot_words(figure, f"value of an element ({KINDS.get(kind, kind)})")
    return figure
