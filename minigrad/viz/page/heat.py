"""Layer by step heat maps: one quantity of all signals of a kind, as means over bins of steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.record import RunReader, Signal
from minigrad.record.matrices import Layout
from minigrad.viz.page.growing import BinnedLayout
from minigrad.viz.page.numbers import packed

BINS = 512  # columns of a heat map
STATISTICS = ("statistics", "sampled", "full")  # where they are looked for, as `RunReader.series` does
UPDATE_RATIO, DEAD, ZEROS, NOT_FINITE = "update_ratio", "dead", "zero_share", "not_finite"


class Track(NamedTuple):
    """Numbers over bins: values[i] belongs to bin first + i of this width."""

    width: int
    first: int
    values: np.ndarray

    def last(self, width: int) -> int:
        """The number of the last bin, in bins of another width."""
        return (self.first + len(self.values) - 1) * self.width // width


class HeatMaps:
    """Reads the matrices of a run once and keeps their means, which grow as the run does."""

    def __init__(self) -> None:
        self._binned: dict[int, BinnedLayout] = {}

    def heat(self, run: RunReader, what: str, kind: str, after: int = -1, width: int = 0) -> dict[str, Any]:
        """See `RunData.heat`."""
        kind = {UPDATE_RATIO: "weight", DEAD: "output"}.get(what, kind)
        found = {signal.name: self._track(run, what, signal) for signal in run.signals(kind)}
        tracks = {name: track for name, track in found.items() if track is not None}
        if not tracks:
            raise ArgumentError(f"{what} of {kind} was not recorded")
        grid, first, wide = on_one_grid(list(tracks.values()))
        begin = max(first, after // wide) if width == wide and after >= 0 else first
        columns = np.flatnonzero(np.isfinite(grid[:, begin - first :]).any(axis=0)) + begin
        return {
            "width": wide,
            "from": begin * wide if width == wide and after >= 0 else 0,
            "names": list(tracks),
            "steps": (columns * wide).tolist(),
            "values": packed(grid[:, columns - first]),
        }

    def _track(self, run: RunReader, what: str, signal: Signal) -> Track | None:
        """A quantity of one signal, or None where it was not recorded."""
        if what == DEAD:
            return self._column(run, signal, (DEAD,), "share")
        if what == UPDATE_RATIO:
            change = [other for other in run.signals("change", signal.name) if other.name == signal.name]
            upper = self._column(run, change[0], STATISTICS, "norm") if change else None
            return _divided(upper, self._column(run, signal, STATISTICS, "norm"))
        if what == ZEROS:
            zeros = self._column(run, signal, STATISTICS, "zeros")
            return _divided(zeros, self._column(run, signal, STATISTICS, "count"))
        if what == NOT_FINITE:
            nans = self._column(run, signal, STATISTICS, "nans")
            infs = self._column(run, signal, STATISTICS, "infs")
            return None if nans is None or infs is None else nans._replace(values=nans.values + infs.values)
        return self._column(run, signal, STATISTICS, what)

    def _column(self, run: RunReader, signal: Signal, names: Sequence[str], column: str) -> Track | None:
        """A column of the first of the layouts' names that have it."""
        for name in names:
            tracks = []
            for layout in run.matrices.layouts(name):
                if signal.id not in layout.places or column not in layout.columns:
                    continue
                bins = self._bins(run, layout).bins
                row = list(layout.places).index(signal.id)
                if len(means := bins.means()):
                    tracks.append(Track(bins.width, bins.first, means[:, row, layout.columns.index(column)]))
            if tracks:
                grid, first, width = on_one_grid(tracks)
                there = np.isfinite(grid)
                count = np.maximum(there.sum(axis=0), 1)
                mean = np.where(there, grid, 0).sum(axis=0) / count
                return Track(width, first, np.where(there.any(axis=0), mean, np.nan))
        return None

    def _bins(self, run: RunReader, layout: Layout) -> BinnedLayout:
        if layout.id not in self._binned:
            self._binned[layout.id] = BinnedLayout(layout, BINS, _reduction(layout))
        return self._binned[layout.id]

    def update(self, run: RunReader, names: Sequence[str] = (*STATISTICS, DEAD)) -> None:
        """Take in what has been recorded since."""
        for name in names:
            for layout in run.matrices.layouts(name):
                self._bins(run, layout).update(run)


def on_one_grid(tracks: Sequence[Track]) -> tuple[np.ndarray, int, int]:
    """Tracks over the widest of their bins: (tracks, bins), the number of the first bin, and the width."""
    width = max(track.width for track in tracks)
    first = min(track.first * track.width // width for track in tracks)
    grid = np.full((len(tracks), max(track.last(width) for track in tracks) - first + 1), np.nan)
    for row, track in zip(grid, tracks):
        there = np.isfinite(track.values)
        places = ((np.arange(len(there)) + track.first) * track.width // width - first)[there]
        sums, counts = (np.bincount(places, w, len(row)) for w in (track.values[there], None))
        row[counts > 0] = sums[counts > 0] / counts[counts > 0]
    return grid, first, width


def _divided(upper: Track | None, lower: Track | None) -> Track | None:
    if upper is None or lower is None:
        return None
    grid, first, width = on_one_grid([upper, lower])
    with np.errstate(invalid="ignore", divide="ignore"):
        return Track(width, first, grid[0] / grid[1])


def _reduction(layout: Layout) -> Callable[[Layout, np.ndarray], np.ndarray] | None:
    return _dead_shares if layout.name == DEAD else None


def _dead_shares(layout: Layout, values: np.ndarray) -> np.ndarray:
    """Of each signal the share of its units that gave nothing but zeros: (S, signals, 1)."""
    dead = values[:, :, 0] == 1
    shares = [dead[:, first:stop].mean(axis=1) for first, stop in layout.places.values()]
    return np.stack(shares, axis=1)[:, :, None]
