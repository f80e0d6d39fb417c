"""A recorded run as plain tables, block by block, for other programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.record.matrices import Layout
from minigrad.record.reader import RunReader

Block = dict[str, Any]  # columns of equal length: arrays or lists

_BLOCK = 200_000  # rows
# Tables that are exported as they are, but for numbers of signals, which become their names
_SMALL = {
    "signals": "SELECT id, kind, name, shape, units FROM signals ORDER BY id",
    "epochs": "SELECT epoch, step, numbers FROM epochs ORDER BY epoch",
    "influence": "SELECT step, method, rank, kind, name, unit, score FROM influence "
    "JOIN signals ON signals.id = signal ORDER BY step, method, rank",
    "agreement": "SELECT step, method, correlation, units, truth FROM agreement ORDER BY step, method",
    "snapshots": "SELECT step, kind, hash FROM snapshots ORDER BY step, kind",
    "notes": "SELECT step, time, severity, rule, signal, unit, text FROM notes ORDER BY step, id",
}


@dataclass(frozen=True)
class Table:
    """A name, and blocks of rows."""

    name: str
    blocks: Iterator[Block]


def tables(run: RunReader) -> Iterator[Table]:
    """All tables of a run, to be used one after the other.

    steps, batches (which samples each step's held), epochs, signals, influence, agreement, snapshots, notes; and one
    for each name of a layout: step, kind, name, row (the unit, where rows are units), and the layout's columns.
    Columns have the names that `minigrad.record.schema` explains. The states of random streams are left out.
    """
    yield Table("steps", iter([_steps(run)]))
    for name, query in _SMALL.items():
        names, rows = run.query(query)
        columns = [list(column) for column in zip(*rows)] or [[] for _ in names]
        yield Table(name, iter([dict(zip(names, columns))]))
    yield Table("batches", _batches(run))
    for name in dict.fromkeys(layout.name for layout in run.matrices.layouts()):
        yield Table(name.replace(".", "_"), _matrices(run, run.matrices.layouts(name)))


def _steps(run: RunReader) -> Block:
    columns: Block = dict(run.steps)
    rates = columns.pop("rates")
    return {**columns, **{f"rate_{group}": rates[:, group] for group in range(rates.shape[1])}}


def _batches(run: RunReader) -> Iterator[Block]:
    _, rows = run.query("SELECT step FROM steps WHERE samples IS NOT NULL ORDER BY step")
    for (step,) in rows:
        ids = run.sample_ids(step)
        yield {"step": np.full(len(ids), step), "place": np.arange(len(ids)), "sample": ids}


def _matrices(run: RunReader, layouts: list[Layout]) -> Iterator[Block]:
    columns = list(dict.fromkeys(column for layout in layouts for column in layout.columns))
    known = {signal.id: signal for signal in run.signals()}
    for layout in layouts:
        kinds, names, rows = list[str](), list[str](), list[int]()
        for signal, (first, stop) in layout.places.items():
            kinds += [known[signal].kind] * (stop - first)
            names += [known[signal].name] * (stop - first)
            rows += range(stop - first)
        at_once = max(1, _BLOCK // max(1, len(rows)))
        for steps, numbers in run.matrices.blocks(layout, at_once):
            flat = numbers.reshape(-1, len(layout.columns))
            block: Block = {
                "step": np.repeat(steps, len(rows)),
                "kind": kinds * len(steps),
                "name": names * len(steps),
                "row": np.tile(np.array(rows, np.int64), len(steps)),
            }
            for column in columns:
                there = column in layout.columns
                block[column] = flat[:, layout.columns.index(column)] if there else np.full(len(flat), np.nan)
            yield block
