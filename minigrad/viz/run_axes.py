"""What the figures of recorded runs share: colours, scales, columns over steps, notes, grids of panels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.record import Note
from minigrad.viz.run_layout import free_figure, place_inches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

# Okabe and Ito's colours: told apart with any colour vision
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8c6d31")
# Colours that stand for what a colour map cannot show, and what they mean
MISSING, ZERO, NOT_FINITE = "#d9d9d9", "#000000", "#ff2d95"
MEANINGS = {MISSING: "not recorded, or no number", ZERO: "0", NOT_FINITE: "holds NaN or infinity"}
SEVERITIES = {"note": ("#555555", "o"), "warning": ("#E69F00", "v"), "stop": ("#D55E00", "X")}
COLUMNS = 1000  # of a heat map; more could not be told apart
PANELS = 24  # in one figure


class Scale(NamedTuple):
    """How numbers become colours: a norm, a colour map, whether it is logarithmic, and whether some lie below it."""

    norm: Normalize
    colours: str
    logarithmic: bool
    lower: bool = False


def scale_of(values: Iterable[np.ndarray], kind: str, decades: int = 8) -> Scale:
    """The colours for all these numbers together.

    kind:    "log" (0 has a colour of its own), "share" (from 0 to 1), "linear" (from 0, or from the smallest if it
             is negative, to the largest), or "signed" (white is 0).
    decades: a logarithmic scale reaches so many below the largest; what is smaller has its lowest colour.
    """
    from matplotlib.colors import LogNorm, Normalize

    found = [np.abs(v) if kind == "log" else v for v in map(np.ravel, values)]
    seen = np.concatenate([v[np.isfinite(v)] for v in found]) if found else np.empty(0)
    if kind == "log":
        seen = seen[seen > 0]
        high = float(seen.max()) if len(seen) else 1.0
        least = float(seen.min()) if len(seen) else 0.1
        low = max(least, high / 10**decades)
        return Scale(LogNorm(low, high if high > low else low * 1.01), "viridis", True, least < low)
    if kind == "share":
        return Scale(Normalize(0, 1), "viridis", False)
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
    if kind == "signed":
        limit = max(-low, high) or 1.0
        return Scale(Normalize(-limit, limit), "RdBu_r", False)
    low = min(low, 0.0)
    return Scale(Normalize(low, high if high > low else low + 1), "viridis", False)


def step_edges(steps: np.ndarray) -> np.ndarray:
    """Where the columns of steps begin and end: half way between neighbours.

    >>> step_edges(np.array([0, 1, 5]))
    array([-0.5,  0.5,  3. ,  7. ])
    """
    centres = np.asarray(steps, np.float64)
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middles = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middles[0]], middles, [2 * centres[-1] - middles[-1]]])


def thinned(
    steps: np.ndarray, values: np.ndarray, at_most: int = COLUMNS
) -> tuple[np.ndarray, np.ndarray, int]:
    """Means of neighbouring steps, so that at most `at_most` columns are left.

    Returns steps, values (..., columns), and how many steps each is the mean of; the mean is of what is finite.

    >>> thinned(np.arange(5), np.array([[1.0, 3.0, np.nan, 4.0, 5.0]]), 3)
    (array([0, 2, 4]), array([[2., 4., 5.]]), 2)
    """
    each = -(-len(steps) // at_most) if len(steps) else 1
    if each == 1:
        return steps, values, 1
    first = np.arange(0, len(steps), each)
    there = np.isfinite(values)
    sums = np.add.reduceat(np.where(there, values, 0), first, axis=-1)
    counts = np.add.reduceat(there, first, axis=-1, dtype=np.int64)
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return steps[first], means, each


def draw_cells(
    axes: Axes,
    steps: np.ndarray,
    values: np.ndarray,
    scale: Scale,
    not_finite: np.ndarray | None = None,
    rows: np.ndarray | None = None,
) -> tuple[Any, set[str]]:
    """Columns of coloured cells over steps; returns what a colour bar is made for, and which of MEANINGS occur.

    values:     (rows, S), the first row lowest unless the axis is inverted; their sizes where the scale is
                logarithmic.
    not_finite: (rows, S), true for cells in NOT_FINITE; the first of each row is marked by a cross as well.
    rows:       edges of the rows, by default -0.5, 0.5, ...
    """
    columns = step_edges(steps)
    edges = np.arange(len(values) + 1) - 0.5 if rows is None else rows
    sizes = np.abs(values) if scale.logarithmic else values
    zero = (sizes == 0) & scale.logarithmic
    bad = np.zeros(values.shape, bool) if not_finite is None else not_finite
    shown = np.ma.masked_where(~np.isfinite(sizes) | zero | bad, sizes)
    mesh = axes.pcolormesh(columns, edges, shown, norm=scale.norm, cmap=scale.colours, rasterized=True)
    axes.set_facecolor(MISSING)
    occur = {MISSING} if (~np.isfinite(sizes) & ~bad).any() else set()
    for mask, colour in ((zero & ~bad, ZERO), (bad, NOT_FINITE)):
        if mask.any():
            occur.add(colour)
            _draw_mask(axes, columns, edges, mask, colour)
    if bad.any():
        own = np.flatnonzero(bad.any(axis=1))
        middle = (edges[1:] + edges[:-1])[own] / 2
        axes.plot(steps[bad[own].argmax(axis=1)], middle, "x", color="black", markersize=4, zorder=3)
    return mesh, occur


def _draw_mask(axes: Axes, columns: np.ndarray, rows: np.ndarray, mask: np.ndarray, colour: str) -> None:
    from matplotlib.colors import ListedColormap

    cells = np.ma.masked_where(~mask, np.ones(mask.shape))
    axes.pcolormesh(columns, rows, cells, cmap=ListedColormap([colour]), rasterized=True)


def draw_bar(figure: Figure, mesh: Any, axes: Any, scale: Scale, label: str = "", size: float = 9) -> None:
    """A colour bar beside the axes, with plain numbers where it spans few decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    options: dict[str, Any] = {"label": label, "extend": "min" if scale.lower else "neither"}
    if figure.get_layout_engine() is None:
        place = place_inches(figure, [axes], right=0.12, width=0.16)
        options["cax"] = figure.add_axes(place, label="<colorbar>")
    else:
        options |= {"ax": axes, "pad": 0.015, "aspect": 25}
    bar = figure.colorbar(mesh, **options)
    bar.ax.tick_params(labelsize=size)
    low, high = scale.norm.vmin, scale.norm.vmax
    if scale.logarithmic and low is not None and high is not None and high < 1000 * low:
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
        if high > 2.5 * low:
            bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        else:  # no round number may lie between
            bar.ax.yaxis.set_minor_locator(NullLocator())
            bar.ax.set_yticks([low, high])
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))


def draw_small_bar(axes: Axes, scale: Scale) -> None:
    """A colour bar of a small panel, with its two ends named: a strip of the panel itself, not axes of its own."""
    from matplotlib.patches import Rectangle

    low, high = float(scale.norm.vmin or 0), float(scale.norm.vmax or 0)
    colours = np.linspace(0, 1, 65)[:, None]
    strip: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    axes.pcolormesh(
        [1.03, 1.07], np.linspace(0, 1, 66), colours, cmap=scale.colours, rasterized=True, **strip
    )
    axes.add_patch(Rectangle((1.03, 0), 0.04, 1, fill=False, linewidth=0.6, **strip))
    middle = float(np.sqrt(low * high)) if scale.logarithmic else (low + high) / 2
    for height, value, place in ((0, low, "bottom"), (0.5, middle, "center"), (1, high, "top")):
        below = "≤" if scale.lower and not height else ""
        axes.text(1.09, height, f"{below}{value:.2g}", transform=axes.transAxes, va=place, fontsize=7)


def explain_colours(figure: Figure, occur: Iterable[str], others: Sequence[Any] = ()) -> None:
    """A legend below the figure of those of MEANINGS that occur, and other marks."""
    from matplotlib.patches import Patch

    there = set(occur)
    handles = [
        Patch(facecolor=colour, edgecolor="#888888", label=text)
        for colour, text in MEANINGS.items()
        if colour in there
    ]
    handles += others
    if handles:
        place: Any = "lower center" if figure.get_layout_engine() is None else "outside lower center"
        figure.legend(handles=handles, loc=place, ncols=4, fontsize=8, frameon=False, borderaxespad=0.2)


def severity_marks(severities: Iterable[str]) -> list[Any]:
    """What a legend shows for notes of these severities."""
    from matplotlib.lines import Line2D

    there = set(severities)
    return [
        Line2D([], [], linestyle="", marker=marker, color=colour, markeredgecolor="black", label=name)
        for name, (colour, marker) in SEVERITIES.items()
        if name in there
    ]


def draw_notes(axes: Axes, notes: Sequence[Note], heights: Sequence[float], size: float = 6) -> None:
    """A mark for each note, at its step and this height."""
    for severity, (colour, marker) in SEVERITIES.items():
        places = sorted({(n.step, h) for n, h in zip(notes, heights) if n.severity == severity})
        if places:
            x, y = zip(*places)
            style: dict[str, Any] = {"markersize": size, "markeredgecolor": "black", "markeredgewidth": 0.6}
            axes.plot(x, y, marker, color=colour, clip_on=False, zorder=4, label=severity, **style)


def name_rows(axes: Axes, names: Sequence[str], inches: float) -> None:
    """Names beside rows, from the top; only every so manieth if there is no room for all."""
    every = max(1, int(np.ceil(len(names) * 0.125 / inches)))
    axes.set_yticks(range(0, len(names), every), names[::every], fontsize=8 if every == 1 else 7)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.5, -0.5)


def whole_steps(axes: Axes, label: bool = True, at_most: int | Literal["auto"] = "auto") -> None:
    """Make the horizontal axis one of whole steps."""
    whole_numbers(axes.xaxis, at_most)
    if label:
        axes.set_xlabel("step")


def whole_numbers(axis: Any, at_most: int | Literal["auto"] = "auto") -> None:
    """Ticks of an axis at whole numbers only, at most so many."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(at_most, integer=True, min_n_ticks=1))


def panels(
    count: int, columns: int, width: float, height: float, **options: Any
) -> tuple[Figure, list[Axes], list[Axes]]:
    """A figure with `count` panels of that size in inches, in rows: itself, the panels, and those at a column's end."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, grid = free_figure(max(width * columns, 4.5), height * rows + 0.8, rows, columns, **options)
    for axes in grid.flat[count:]:
        axes.set_axis_off()
    own = list(grid.flat[:count])
    return figure, own, own[-columns:]


def evenly(things: Sequence[Any], at_most: int) -> list[Any]:
    """At most so many of them, evenly spread, the first and the last among them.

    >>> evenly(range(10), 4)
    [0, 3, 6, 9]
    """
    if at_most < 1:
        raise ArgumentError(f"at least one has to be chosen, not {at_most}")
    if len(things) <= at_most:
        return list(things)
    return [things[i] for i in np.unique(np.linspace(0, len(things) - 1, at_most).round().astype(int))]


def short_name(name: str, length: int = 30) -> str:
    """A dotted name that fits: the end says more than the beginning.

    >>> short_name("features.layer1.0.conv1.weight", 20)
    '…ayer1.0.conv1.weight'
    """
    return name if len(name) <= length else "…" + name[-length:]
