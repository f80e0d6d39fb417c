"""The matrices of a recorded run as arrays over steps."""

from __future__ import annotations

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from minigrad.errors import DataError
from minigrad.record.coding import decode
from minigrad.record.opening import ReadableDatabase

_KEPT = 256 << 20  # bytes of decoded matrices that stay in memory


@dataclass(frozen=True)
class Layout:
    """What rows and columns mean: rows `first` to `last` of a matrix belong to the signal in places[signal]."""

    id: int
    name: str
    dtype: np.dtype
    columns: tuple[str, ...]
    places: dict[int, tuple[int, int]]


class Matrices:
    """Reads matrices, and keeps the latest in memory until `forget`."""

    def __init__(self, database: ReadableDatabase) -> None:
        self._database = database
        self._layouts: list[Layout] | None = None
        self._kept: OrderedDict[int, tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def forget(self) -> None:
        """Read everything anew."""
        self._layouts = None
        self._kept.clear()

    def layouts(self, name: str | None = None) -> list[Layout]:
        """All layouts, or those of a name: it has several if its signals changed."""
        if self._layouts is None:
            with self._database.connection() as connection:
                query = "SELECT id, name, dtype, columns, signals FROM layouts ORDER BY id"
                self._layouts = [_layout(row) for row in connection.execute(query)]
        return [layout for layout in self._layouts if name in (None, layout.name)]

    def rows(self, layout: Layout, first: int = 0, last: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Rows `first` to `last` of all matrices of a layout: steps (S,) and numbers (S, rows, columns), read-only."""
        kept = self._kept.get(layout.id)
        if kept is not None:
            self._kept.move_to_end(layout.id)
            return kept[0], kept[1][:, first:last]
        with self._database.connection() as connection:
            query = "SELECT count(DISTINCT step) FROM matrices WHERE layout = ?"
            (count,) = connection.execute(query, (layout.id,)).fetchone()
            total = max((stop for _, stop in layout.places.values()), default=0)
            size = count * total * len(layout.columns) * layout.dtype.itemsize
            part = slice(0, total) if size <= _KEPT else slice(first, total if last is None else last)
            steps = np.zeros(count, np.int64)
            values = np.zeros(
                (count, part.stop - part.start, len(layout.columns)), layout.dtype.newbyteorder("=")
            )
            for index, (step, matrix) in enumerate(each(connection, layout, total)):
                steps[index], values[index] = step, matrix[part]
        steps.flags.writeable = values.flags.writeable = False
        if size > _KEPT:
            return steps, values
        self._kept[layout.id] = steps, values
        while sum(array.nbytes for _, array in self._kept.values()) > _KEPT:
            self._kept.popitem(last=False)
        return steps, values[:, first:last]

    def blocks(self, layout: Layout, at_once: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All matrices of a layout, `at_once` steps at a time: steps (S,) and numbers (S, rows, columns)."""
        total = max((stop for _, stop in layout.places.values()), default=0)
        with self._database.connection() as connection:
            matrices = each(connection, layout, total)
            while some := list(islice(matrices, at_once)):
                yield np.array([step for step, _ in some], np.int64), np.stack([matrix for _, matrix in some])

    def of(self, signal: int, name: str) -> list[tuple[Layout, np.ndarray, np.ndarray]]:
        """A signal's rows in the layouts of a name: for each, itself, steps (S,), and numbers (S, rows, columns)."""
        found = [layout for layout in self.layouts(name) if signal in layout.places]
        return [(layout, *self.rows(layout, *layout.places[signal])) for layout in found]


def each(connection: sqlite3.Connection, layout: Layout, total: int) -> Iterator[tuple[int, np.ndarray]]:
    """The matrices of a layout in order of steps, pieces put together: (step, (rows, columns))."""
    query = "SELECT step, piece, data FROM matrices WHERE layout = ? ORDER BY step, piece"
    pieces: list[np.ndarray] = []
    have = 0
    for step, number, data in connection.execute(query, (layout.id,)):
        if number == 0:
            pieces, have = [], 0
        pieces.append(decode(data, layout.dtype, len(layout.columns)))
        have += len(pieces[-1])
        if number != len(pieces) - 1 or have > total:
            raise DataError(f"a matrix of the record is damaged: layout {layout.name}, step {step}")
        if have == total:
            yield step, pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _layout(row: tuple[int, str, str, str, str]) -> Layout:
    try:
        places, first = {}, 0
        for signal, rows in json.loads(row[4]):
            places[signal] = (first, first + rows)
            first += rows
        return Layout(row[0], row[1], np.dtype(row[2]), tuple(json.loads(row[3])), places)
    except (TypeError, ValueError) as error:
        raise DataError(f"a layout of the record is damaged: {error}") from error
