"""The database of a run, opened by the one who writes it, and left behind as a single plain file."""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from minigrad.errors import DataError
from minigrad.record.schema import TABLES, VERSION

# File systems, by the names Linux has for them, on which several computers may see a file but not one another's memory,
# which is what a write-ahead log's index needs
_SHARED = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "gluster", "fuse.sshfs")
_PATIENCE = (
    60.0  # seconds to wait for a reader's lock: without a write-ahead log readers and the writer take turns
)
_PATIENCE_AT_CLOSE = 1000  # milliseconds


def open_for_writing(
    path: Path, new: bool, begin: Callable[[sqlite3.Connection], None]
) -> sqlite3.Connection:
    """A connection without implicit transactions; a new database gets its tables.

    begin: called in the first transaction, which makes the tables, too: a run is there as a whole, or not.

    It keeps a write-ahead log, where the file system can: readers never wait, and what was committed outlives the
    process. Elsewhere a rollback journal does, and readers take turns with the writer.

    Raises DataError if the database cannot be opened, is damaged, was written by a later version, or holds a run
    although it should be new.
    """
    try:
        connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
        try:
            if not new:
                require_version(connection, path)
            elif connection.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
                raise DataError(
                    f"{path.parent} holds a recorded run; go on with it by RunWriter.resume, or name another folder"
                )
            keep_journal(connection, write_ahead=not on_shared_file_system(path))
            connection.execute("BEGIN IMMEDIATE")
            if new:
                for statement in TABLES.split(";\n")[:-1]:
                    connection.execute(statement)
                connection.execute("INSERT INTO meta VALUES ('schema_version', ?)", (str(VERSION),))
            begin(connection)
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise DataError(f"cannot write {path}: {error}") from error
    return connection


def keep_journal(connection: sqlite3.Connection, write_ahead: bool) -> str:
    """Choose how the database survives a kill; returns the journal's mode, "wal" or "delete"."""
    mode = "delete"
    if write_ahead:
        with suppress(sqlite3.OperationalError):  # no shared memory here, or a lock that is refused
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("PRAGMA synchronous=FULL")
        return "delete"
    # With a log, NORMAL loses nothing to a killed process; a power failure may take the latest commits, no more
    connection.execute("PRAGMA synchronous=NORMAL")
    return "wal"


def require_version(connection: sqlite3.Connection, path: Path) -> None:
    """Raise DataError unless the database is a record, of a version known here."""
    try:
        row = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        row = None
    except sqlite3.DatabaseError as error:
        raise DataError(f"{path} is damaged, or no database: {error}") from error
    if row is None or not str(row[0]).isdigit():
        raise DataError(f"{path} holds no recorded run")
    if int(row[0]) > VERSION:
        raise DataError(
            f"{path} was recorded by a later minigrad (tables of version {row[0]}; this one knows {VERSION}): update it"
        )


def close_as_one_file(connection: sqlite3.Connection) -> None:
    """Bring everything into the database file, and leave no log beside it.

    While somebody reads, or on a full disk, the log stays: then the files move together, and nothing is lost.
    """
    try:
        with suppress(sqlite3.Error):
            connection.execute(f"PRAGMA busy_timeout={_PATIENCE_AT_CLOSE}")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute("PRAGMA journal_mode=DELETE")
    finally:
        connection.close()


def on_shared_file_system(path: Path, mounts: str = "/proc/self/mounts") -> bool:
    """Whether the file lies on a network file system, as far as the system tells."""
    target = os.path.realpath(path)
    if target.startswith("\\\\"):  # Windows: another computer's name
        return True
    best, kind = "", ""
    with suppress(OSError), open(mounts, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            fields = line.split()
            if len(fields) < 3:
                continue
            point = fields[1].replace("\\040", " ").rstrip("/")
            if (target == point or target.startswith(point + "/")) and len(point) >= len(best):
                best, kind = point, fields[2]
    return kind.startswith(_SHARED)


class FolderLock:
    """Holds a folder against a second writer, where the system has such locks; ends with the process, however it ends.

    Raises DataError if somebody records into the folder now, or it cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self._held: int | None = None
        try:
            import fcntl
        except ImportError:  # Windows: SQLite's own locks keep the file whole
            return
        try:
            self._held = os.open(folder, os.O_RDONLY)
            _locks.add(self)
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.release()
            raise DataError(
                f"a run is being recorded into {folder} already; close it first, or name another folder"
            ) from error
        except OSError as error:
            if self._held is None:
                raise DataError(f"cannot record into {folder}: {error.strerror or error}") from error
            # else a file system without locks

    def release(self) -> None:
        """Let others in."""
        held, self._held = self._held, None
        if held is not None:
            os.close(held)


_locks: weakref.WeakSet[FolderLock] = weakref.WeakSet()


def _after_fork() -> None:
    for lock in list(_locks):  # a child that outlives us must not hold the folder
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
