"""What the writer's two threads do: rows into the database, files into the snapshot folders."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.record.coding import pieces
from minigrad.record.database import FolderLock, close_as_one_file, open_for_writing
from minigrad.record.schema import DATABASE
from minigrad.record.snapshots import SnapshotStore

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


class DatabaseJob:
    """Owns the connection. An item is (action, arguments...): action(connection, *arguments) writes rows.

    begin: called with the connection in the first transaction, before anything else is written.
    """

    def __init__(self, folder: Path, new: bool, begin: Callable[[sqlite3.Connection], None]) -> None:
        self._lock = FolderLock(folder)
        try:
            self._connection = open_for_writing(folder / DATABASE, new, begin)
        except BaseException:
            self._lock.release()
            raise

    def handle(self, item: tuple[Any, ...]) -> None:
        """Write one item's rows, in the transaction of the batch."""
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")
        item[0](self._connection, *item[1:])

    def commit(self) -> None:
        """End the transaction."""
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")

    def close(self, failed: bool) -> None:
        """Leave a single file behind; after an error, what was committed."""
        try:
            if failed:  # what is whole is kept, if there is room for it
                with suppress(sqlite3.Error):
                    self.commit()
                with suppress(sqlite3.Error):
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
            close_as_one_file(self._connection)
        finally:
            self._lock.release()


class SnapshotJob:
    """Writes files. An item is (step, kind, content); `named(step, kind, hash)` hears of each when it is safe."""

    def __init__(self, store: SnapshotStore, named: Callable[[int, str, str], None]) -> None:
        self._store, self._named = store, named

    def handle(self, item: tuple[int, str, Mapping[str, np.ndarray] | bytes]) -> None:
        """Write one file."""
        step, kind, content = item
        self._named(step, kind, self._store.write(kind, content))

    def commit(self) -> None:
        """Nothing: a file is safe when it is written."""

    def close(self, failed: bool) -> None:
        """Nothing is held."""


def insert(connection: sqlite3.Connection, table: str, row: tuple[Any, ...]) -> None:
    """Write a row, in place of one with the same key."""
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", row)


def insert_matrix(
    connection: sqlite3.Connection, layout: int, step: int, data: bytes, dtype: np.dtype, columns: int
) -> None:
    """Write a matrix, in pieces; it takes the place of an earlier one of this step."""
    matrix = np.frombuffer(data, dtype).reshape(-1, columns)
    connection.executemany(
        "INSERT OR REPLACE INTO matrices VALUES (?, ?, ?, ?)",
        [(layout, step, number, blob) for number, blob in enumerate(pieces(matrix))],
    )


def insert_influence(
    connection: sqlite3.Connection, step: int, method: str, rows: list[tuple[Any, ...]]
) -> None:
    """Write the top units of a step, in place of earlier ones."""
    connection.execute("DELETE FROM influence WHERE step = ? AND method = ?", (step, method))
    connection.executemany(
        "INSERT INTO influence VALUES (?, ?, ?, ?, ?, ?)", [(step, method, *row) for row in rows]
    )


def reason(error: BaseException) -> str:
    """What stopped a recording, in words."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if (isinstance(cause, OSError) and cause.errno in _FULL) or "disk is full" in str(error):
        return f"the disk is full ({error})"
    return str(error) or type(error).__name__
