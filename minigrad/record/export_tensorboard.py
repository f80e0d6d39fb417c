"""Recorded runs as TensorBoard's event files."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from minigrad.cli import output_folder
from minigrad.errors import ArgumentError
from minigrad.record.event_file import event, histogram, scalar, version_event, write_record
from minigrad.record.quantities import DEAD, UPDATE_RATIO
from minigrad.record.reader import RunReader

# Of eleven statistics, those that are looked at most: the file would be several times as long with all
STATISTICS = ("mean", "std", "norm", UPDATE_RATIO, DEAD)


def export_tensorboard(
    run: RunReader, folder: str | os.PathLike[str], statistics: Sequence[str] = STATISTICS
) -> list[Path]:
    """Write one event file, which `tensorboard --logdir FOLDER` shows; TensorBoard is not needed to write it.

    Scalars are "loss", "rate/<group>", "epoch/<metric>", and "<kind>/<statistic>/<name>"; histograms are
    "<kind>/<name>". A number that is NaN, or was not recorded, is left out.

    Returns the file's path. Raises ArgumentError if the folder cannot be written.
    """
    steps = run.steps
    times = dict(zip(steps["step"].tolist(), steps["time"].tolist()))
    start = next((time for time in times.values() if math.isfinite(time)), 0.0)
    name = f"events.out.tfevents.{int(start)}.{platform.node() or 'minigrad'}.minigrad"
    path = output_folder(folder) / name
    kinds = list(dict.fromkeys(signal.kind for signal in run.signals()))
    columns = _scalars(run, statistics, kinds)
    every = np.unique(np.concatenate([own for own, _, _ in columns]))
    places = [np.searchsorted(own, every) for own, _, _ in columns]
    with open(path, "wb") as file:
        write_record(file, version_event(start))
        time = start
        for index, step in enumerate(every.tolist()):
            values = []
            for (own, tags, numbers), place in zip(columns, places):
                at = place[index]
                if at < len(own) and own[at] == step:
                    column = numbers[:, at].tolist()
                    values += [scalar(tag, x) for tag, x in zip(tags, column) if not math.isnan(x)]
            time = _known(times.get(step), time)
            write_record(file, event(time, step, values))
        for kind in kinds:
            for signal in run.signals(kind):
                _write_histograms(run, signal.name, kind, times, start, file)
    return [path]


def _scalars(
    run: RunReader, statistics: Sequence[str], kinds: Sequence[str]
) -> list[tuple[np.ndarray, list[str], np.ndarray]]:
    """Blocks of scalars: steps (S,), tags, numbers (tags, S)."""
    steps = run.steps
    rates = [f"rate/{group}" for group in range(steps["rates"].shape[1])]
    found = [(steps["step"], ["loss", *rates], np.vstack([steps["loss"], steps["rates"].T]))]
    for epoch in run.epochs:
        numbers = {
            k: v for k, v in epoch.items() if k not in ("step", "epoch") and isinstance(v, (int, float))
        }
        at = np.array([epoch["step"]])
        found.append(
            (at, [f"epoch/{k}" for k in numbers], np.array([*numbers.values()], float).reshape(-1, 1))
        )
    for statistic in statistics:
        for kind in {UPDATE_RATIO: ["weight"], DEAD: ["output"]}.get(statistic, kinds):
            try:
                own, names, values = run.heatmap(statistic, kind)
            except ArgumentError:  # not every kind has every statistic
                continue
            found.append((own, [f"{kind}/{statistic}/{name}" for name in names], values))
    return found


def _write_histograms(
    run: RunReader, name: str, kind: str, times: dict[int, float], time: float, file: BinaryIO
) -> None:
    try:
        steps, edges, counts = run.histograms(name, kind)
    except ArgumentError:  # it has none
        return
    for step, own_edges, own_counts in zip(steps.tolist(), edges, counts):
        time = _known(times.get(step), time)
        if np.isfinite(own_edges).all():
            write_record(file, event(time, step, [histogram(f"{kind}/{name}", own_edges, own_counts)]))


def _known(time: float | None, before: float) -> float:
    return before if time is None or math.isnan(time) else time
