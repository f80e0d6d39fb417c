"""Where the panels of a run's figures lie: margins from the lengths of labels, which is far faster than measuring.

Matplotlib's constrained layout draws every label several times to measure it. With dozens of panels on a page that
takes longer than the drawing. Here a label is as wide as its characters are on average, and a figure's margins are
set once, in inches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_EM = 0.64  # of the font size: the width of a digit, and about that of other characters
_TICK = 0.1  # inches from an axis to its tick labels


def text_width(texts: Iterable[str], size: float) -> float:
    """About how many inches the longest of these takes, in letters of `size` points; 0 for none.

    >>> round(text_width(["a", "1234567890"], 9), 2)
    0.8
    """
    return max(map(len, texts), default=0) * _EM * size / 72


def tick_width(axes: Iterable[Axes], size: float) -> float:
    """About how many inches the tick labels of vertical axes reach to the left."""
    texts = []
    for own in axes:
        axis = own.yaxis
        texts += axis.get_major_formatter().format_ticks(list(axis.get_majorticklocs()))
    plain = [text.replace("\N{MINUS SIGN}", "-").removeprefix("$\\mathdefault{") for text in texts]
    return text_width(plain, size) + _TICK


def free_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """A figure of that size in inches without a layout engine, and its panels, (rows, columns), for `settle`.

    options: as `Figure.subplots` takes them.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("none")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def settle(
    figure: Figure,
    grid: Sequence[Axes],
    left: float,
    right: float,
    bottom: float,
    top: float,
    between: tuple[float, float] = (0.0, 0.0),
    labels: float | None = None,
) -> None:
    """Place a grid of panels, all measures in inches, and their labels and titles at fixed places.

    left, ...: margins around the grid.
    between:   from a panel to the next in its row, and to that in its column.
    labels:    from a panel to the middle of its vertical axis' label; by default that has its own place.
    """
    cells: Any = grid[0].get_gridspec()
    rows, columns = cells.get_geometry()
    width, height = figure.get_size_inches()
    wide = max((width - left - right - between[0] * (columns - 1)) / columns, 0.1)
    high = max((height - bottom - top - between[1] * (rows - 1)) / rows, 0.1)
    right_edge, top_edge = left + wide * columns + between[0] * (columns - 1), height - top
    figure.subplots_adjust(
        left=left / width,
        right=right_edge / width,
        bottom=min(bottom / height, top_edge / height - 0.01),
        top=top_edge / height,
        wspace=between[0] / wide,
        hspace=between[1] / high,
    )
    for axes in grid:
        fix_labels(axes, labels)


def fix_labels(axes: Axes, labels: float | None = None) -> None:
    """Labels and title where they usually are: Matplotlib would measure all ticks of every panel to find out.

    labels: inches from the panel to the middle of the vertical axis' label.
    """
    from matplotlib.transforms import ScaledTranslation, blended_transform_factory

    figure: Any = axes.get_figure(root=True)
    scale = figure.dpi_scale_trans
    below = axes.transAxes + ScaledTranslation(0, -0.27, scale)
    axes.xaxis.set_label_coords(0.5, 0, transform=below)
    if labels is not None:
        beside = blended_transform_factory(
            axes.transAxes + ScaledTranslation(-labels, 0, scale), axes.transAxes
        )
        axes.yaxis.set_label_coords(0, 0.5, transform=beside)
    axes.set_title(axes.get_title(), y=1.0, fontsize=axes.title.get_fontsize())


def place_inches(
    figure: Figure, axes: Sequence[Axes], *, right: float, width: float
) -> tuple[float, float, float, float]:
    """Left, bottom, width and height, in parts of the figure, of what is `right` inches beside these axes."""
    boxes = [own.get_position() for own in axes]
    inches = figure.get_figwidth()
    bottom, top = min(box.y0 for box in boxes), max(box.y1 for box in boxes)
    return max(box.x1 for box in boxes) + right / inches, bottom, width / inches, top - bottom


def lighten(figure: Figure) -> None:
    """Freeze the axes of small panels: as they look now, but of few artists, which are drawn in a third of the time.

    Matplotlib makes five artists for each tick. Here the lines of a panel are one collection, and only labels are
    texts. The figure can be saved afterwards, but no longer zoomed: for pages, not for figures that are returned.
    Axes with a grid, with minor ticks or of colour bars are left alone.
    """
    for axes in figure.axes:
        plain = axes.get_label() != "<colorbar>" and not any(
            len(axis.get_minorticklocs()) or axis.get_tick_params().get("gridOn")
            for axis in (axes.xaxis, axes.yaxis)
        )
        if axes.axison and plain:
            _freeze(axes)


def _freeze(axes: Axes) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Rectangle

    figure: Any = axes.get_figure(root=True)
    box = axes.get_position()
    width, height = figure.get_size_inches() * (box.width, box.height)
    corners = {"left": (0, 0, 0, 1), "right": (1, 0, 1, 1), "bottom": (0, 0, 1, 0), "top": (0, 1, 1, 1)}
    lines = [((a, b), (c, d)) for side, (a, b, c, d) in corners.items() if axes.spines[side].get_visible()]
    for axis, length, across in ((axes.xaxis, width, height), (axes.yaxis, height, width)):
        flat = axis is axes.xaxis
        style = axis.get_tick_params()
        size = style.get("labelsize", 10)
        low, high = axis.get_view_interval()
        places = np.asarray(axis.get_majorticklocs(), np.float64)
        formatter = axis.get_major_formatter()
        texts = formatter.format_ticks(list(places))
        for value, text in zip((places - low) / ((high - low) or 1), texts):
            if not -1e-6 <= value <= 1 + 1e-6:
                continue
            start, end = -3.5 / 72 / across, -6.5 / 72 / across
            if style.get("bottom" if flat else "left", True):
                lines.append(((value, 0), (value, start)) if flat else ((0, value), (start, value)))
            if style.get("labelbottom" if flat else "labelleft", True):
                place: Any = (value, end, text) if flat else (end, value, text)
                aligned: Any = (
                    {"ha": "center", "va": "top"} if flat else {"ha": "right", "va": "center_baseline"}
                )
                axes.text(*place, fontsize=size, transform=axes.transAxes, **aligned)
        if formatter.get_offset():
            x, y = (1, -0.22 / across) if flat else (0, 1 + 0.05 / length)
            aligned = {"ha": "right", "va": "top"} if flat else {"ha": "left", "va": "bottom"}
            axes.text(x, y, formatter.get_offset(), fontsize=size, transform=axes.transAxes, **aligned)
        _copy_label(axes, axis.label)
    back: dict[str, Any] = {
        "transform": axes.transAxes,
        "facecolor": axes.get_facecolor(),
        "linewidth": 0,
        "zorder": -1,
    }
    axes.add_patch(Rectangle((0, 0), 1, 1, **back))
    frame = LineCollection(lines, colors="black", linewidths=0.8, transform=axes.transAxes, zorder=2.5)
    frame.set_clip_on(False)
    axes.add_collection(frame, autolim=False)
    axes.set_axis_off()


def _copy_label(axes: Axes, label: Any) -> None:
    if label.get_text():
        style: dict[str, Any] = {
            "transform": label.get_transform(),
            "ha": label.get_ha(),
            "va": label.get_va(),
        }
        style |= {"rotation": label.get_rotation(), "rotation_mode": label.get_rotation_mode()}
        x, y = label.get_position()
        axes.text(x, y, label.get_text(), fontsize=label.get_fontsize(), **style)
