"""Opening a run's database to read it: while it is written, after a kill, closed, in a read-only folder."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from minigrad.errors import DataError
from minigrad.record.database import require_version

Connect = Callable[[Path], sqlite3.Connection]

_PATIENCE = 30.0  # seconds
_TRIES = 20  # to copy a database at which somebody writes
_PARTS = ("", "-wal", "-journal")


class ReadableDatabase:
    """Finds the way to read a database that this process must not, or may not, write.

    path: of the database file.
    ways: tried in order, until one can read; each takes the path and returns a connection.

    A connection lives for one use: while it does, the writer cannot put its log away. Raises DataError where no way
    leads, and for what is no record.
    """

    def __init__(self, path: Path, ways: Sequence[Connect] | None = None) -> None:
        self.path = path
        self._copy: Path | None = None
        self._remove: Callable[[], object] | None = None
        self._ways = (read_only, unchanging, self.copied) if ways is None else tuple(ways)
        self._way: Connect | None = None

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for some queries, all of which see the same state; SQLite's errors become DataError."""
        try:
            opened = self._open()
            try:
                opened.execute("BEGIN")
                yield opened
            finally:
                opened.close()
        except sqlite3.Error as error:
            raise DataError(f"{self.path} is damaged, or cannot be read: {error}") from error

    def forget(self) -> None:
        """Look at the files anew: what was copied may have grown."""
        self._way = None
        if self._remove is not None:
            self._remove()
        self._copy = self._remove = None

    def _open(self) -> sqlite3.Connection:
        if self._way is not None:
            return self._way(self.path)
        if not self.path.is_file():
            raise DataError(f"there is no recorded run {self.path}")
        problems = []
        for way in self._ways:
            try:
                connection = way(self.path)
            except (sqlite3.OperationalError, OSError) as error:
                problems.append(str(error))
                continue
            try:
                require_version(connection, self.path)
            except (
                sqlite3.OperationalError
            ) as error:  # it cannot be opened in this way; damage is another error
                connection.close()
                problems.append(str(error))
                continue
            except BaseException:
                connection.close()
                raise
            self._way = way
            return connection
        raise DataError(f"cannot read {self.path}: {'; '.join(dict.fromkeys(problems))}")

    def copied(self, path: Path) -> sqlite3.Connection:
        """Open a copy, in a temporary folder, of the database and the log that belongs to it."""
        if self._copy is None:
            folder = Path(tempfile.mkdtemp(prefix="minigrad-record-"))
            self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            copy_whole(path, folder)
            self._copy = folder
        return _connect(self._copy / path.name, "mode=rw")


def read_only(path: Path) -> sqlite3.Connection:
    """The usual way. It needs a log's index beside the log, or a folder where one can be made."""
    return _connect(path, "mode=ro")


def unchanging(path: Path) -> sqlite3.Connection:
    """Read the file alone, without locks. Raises OSError if a log lies beside it: the file is not all, then."""
    for ending in _PARTS[1:]:
        beside = path.with_name(path.name + ending)
        if beside.exists() and beside.stat().st_size > 0:
            raise OSError(f"{beside.name} lies beside it")
    return _connect(path, "mode=ro&immutable=1")


def copy_whole(path: Path, folder: Path) -> None:
    """Copy a database and its log as they are at one moment. Raises OSError if a writer never leaves them alone."""
    for _ in range(_TRIES):
        before = _marks(path)
        for ending in _PARTS:
            (folder / (path.name + ending)).unlink(missing_ok=True)
            with suppress(FileNotFoundError):  # a log that is not there
                shutil.copyfile(path.with_name(path.name + ending), folder / (path.name + ending))
        if _marks(path) == before:
            return
    raise OSError(f"{path} is being written all the time; read it where its folder can be written")


def _marks(path: Path) -> list[object]:
    """What changes when pages move from the log to the file, or the log starts anew; not when it grows."""
    found: list[object] = []
    with suppress(FileNotFoundError):
        state = os.stat(path)
        found += [state.st_mtime_ns, state.st_size]
    for ending in _PARTS[1:]:
        try:
            with open(path.with_name(path.name + ending), "rb") as log:
                found.append(log.read(32))
        except FileNotFoundError:
            found.append(None)
    return found


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    address = f"file:{quote(str(path.absolute()))}?{mode}"
    return sqlite3.connect(address, uri=True, timeout=_PATIENCE, isolation_level=None)
