"""How histograms and units changed over a run, as moving pictures: GIF, and MP4 where ffmpeg is installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CalledProcessError
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.errors import ArgumentError, DataError
from minigrad.record import RunReader
from minigrad.viz.figures import new_figure
from minigrad.viz.run_axes import PALETTE, evenly, short_name, whole_numbers
from minigrad.viz.run_figures import KINDS
from minigrad.viz.run_histograms import LEVELS, Histograms, read_histograms

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FRAMES = 120  # by default: 12 seconds
PANELS = 6


def animate_histograms(
    run: RunReader,
    path: str | os.PathLike[str],
    name: str | Sequence[str] | None = None,
    kind: str = "weight",
    fps: int = 10,
    steps: int | Sequence[int] = FRAMES,
) -> Path:
    """Write the histograms of one or several signals, side by side, as a moving picture: a frame for each step.

    path:  ends in ".gif", or in ".mp4", for which ffmpeg must be installed.
    name:  one name or several, at most 6; by default all of the kind, or 6 evenly spread over the network.
    fps:   frames per second, from 1 to 50.
    steps: which, or how many at most, evenly spread over the recorded ones, the first and the last among them.

    The axes stand still, with the same bins in all frames: what lies far beyond the elements of all other steps is
    in the outermost ones. The first frame remains as an outline; where all elements were the same at first, its bar
    is cut off. Returns the path. Raises ArgumentError for what was not recorded, for another ending, or if ffmpeg
    is missing; DataError if the file cannot be written.
    """
    target = _checked(path, fps)
    found = read_histograms(run, name, kind, PANELS)
    if len(found) > PANELS:
        raise ArgumentError(f"at most {PANELS} histograms stand side by side, not {len(found)}")
    chosen = _frames(found, steps)
    figure, show = _histogram_film([each.at(chosen) for each in found], KINDS.get(kind, kind))
    return _write(figure, show, len(chosen), target, fps)


def _histogram_film(found: Sequence[Histograms], what: str) -> tuple[Figure, Callable[[int], None]]:
    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    figure = new_figure(max(3.2 * columns, 4.5), 2.4 * rows + 0.8)
    grid: Any = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(found) :]:
        axes.set_axis_off()
    parts = []
    for axes, histograms in zip(grid.flat, found):
        edges = histograms.grid(LEVELS // 2)
        counts = histograms.on(edges)
        shown = axes.stairs(counts[0], edges, fill=True, color=PALETTE[0])
        axes.stairs(counts[0], edges, color=PALETTE[1], linewidth=1, label=f"step {histograms.steps[0]:,}")
        axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.08 * (counts.max() or 1.0)))
        if counts.max() > 4 * np.median(counts.max(axis=1)):  # a parameter that began as a constant
            axes.set_ylim(0, 2.5 * np.median(counts.max(axis=1)))
        axes.set_title(short_name(histograms.name), fontsize=9)
        axes.tick_params(labelsize=8)
        axes.legend(fontsize=7, loc="upper right", frameon=False)
        parts.append((shown, counts))
    figure.supxlabel(f"value of an element ({what})", fontsize=10)
    figure.supylabel("elements per bin", fontsize=10)
    steps = found[0].steps
    title = figure.suptitle(f"step {steps[-1]:,}")

    def show(frame: int) -> None:
        title.set_text(f"step {steps[frame]:,}")
        for shown, counts in parts:
            shown.set_data(counts[frame])

    return figure, show


def animate_units(
    run: RunReader,
    path: str | os.PathLike[str],
    name: str,
    kind: str = "change",
    what: str = "unit_norms",
    fps: int = 10,
    steps: int | Sequence[int] = FRAMES,
) -> Path:
    """Write a number of each unit of a signal as bars that move: a frame for each step.

    name, kind, what: as `RunReader.units` takes them, such as "dead" of "output" or "influence.taylor" of "output".

    The rest as for `animate_histograms`.
    """
    target = _checked(path, fps)
    at, values = run.units(name, kind, what)
    chosen = _chosen(at.tolist(), steps, name)
    values = values[np.searchsorted(at, chosen)]
    finite = values[np.isfinite(values)]
    figure = new_figure(7, 3.2)
    axes = figure.subplots()
    bars = axes.bar(range(values.shape[1]), np.nan_to_num(values[0]), color=PALETTE[0], width=0.85)
    low, high = (min(0.0, float(finite.min())), float(finite.max())) if len(finite) else (0.0, 1.0)
    axes.set_ylim(1.05 * low, 1.05 * high if high > low else low + 1)
    axes.set(xlabel=f"unit of {short_name(name)}", ylabel=f"{what.replace('_', ' ')} ({kind})")
    whole_numbers(axes.xaxis)
    title = figure.suptitle(f"step {chosen[-1]:,}")

    def show(frame: int) -> None:
        title.set_text(f"step {chosen[frame]:,}")
        for bar, height in zip(bars, values[frame]):
            bar.set_height(height if np.isfinite(height) else 0.0)

    return _write(figure, show, len(chosen), target, fps)


# ------------------------------------------------ frames and files


def _frames(found: Sequence[Histograms], steps: int | Sequence[int]) -> list[int]:
    common = sorted(set.intersection(*(set(each.steps.tolist()) for each in found)))
    return _chosen(common, steps, ", ".join(each.name for each in found))


def _chosen(recorded: Sequence[int], steps: int | Sequence[int], what: str) -> list[int]:
    if isinstance(steps, int):
        found = evenly(recorded, steps)
    else:
        found = sorted({int(step) for step in steps})
        if missing := sorted(set(found) - set(recorded)):
            raise ArgumentError(
                f"{what}: nothing was recorded at step {missing[0]}; there are those of steps "
                f"{', '.join(map(str, evenly(list(recorded), 12)))}"
            )
    if not found:
        raise ArgumentError(f"{what}: a moving picture needs at least one step")
    return found


def _checked(path: str | os.PathLike[str], fps: int) -> Path:
    from matplotlib.animation import FFMpegWriter

    target = Path(path)
    ending = target.suffix.lower()
    if ending not in (".gif", ".mp4"):
        raise ArgumentError(f"a moving picture is written as .gif or .mp4, not {target.name!r}")
    if not isinstance(fps, int) or not 1 <= fps <= 50:
        raise ArgumentError(f"fps must be a whole number from 1 to 50, not {fps!r}")
    if not target.parent.is_dir():
        raise ArgumentError(f"there is no folder {target.parent}")
    if ending == ".mp4" and not FFMpegWriter.isAvailable():
        raise ArgumentError(
            f"{target.name} needs ffmpeg, which is not installed: write a .gif, or install ffmpeg"
        )
    return target


def _write(figure: Figure, show: Callable[[int], None], frames: int, path: Path, fps: int) -> Path:
    """All frames into one file; laid out once, so that nothing but the data and the title moves."""
    from matplotlib.animation import FFMpegWriter, PillowWriter
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    figure.set_layout_engine("none")
    writer: Any = PillowWriter(fps=fps) if path.suffix.lower() == ".gif" else FFMpegWriter(fps=fps)
    try:
        with writer.saving(figure, str(path), dpi=100):
            for frame in range(frames):
                show(frame)
                writer.grab_frame()
    except (OSError, CalledProcessError) as error:
        raise DataError(f"cannot write {path}: {error}") from error
    return path
