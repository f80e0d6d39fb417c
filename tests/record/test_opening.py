"""Ways to read a run where the usual one is closed: no log's index, a folder that cannot be written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from minigrad import record
from minigrad.errors import DataError
from minigrad.record.opening import ReadableDatabase, copy_whole, read_only, unchanging
from tests.record.conftest import STEPS, write_small_run

# Takes away what lets root write where permissions say no; for others they hold anyway
POWERLESS = """
import ctypes, os, struct
if os.geteuid() == 0:
    header, none = struct.pack("Ii", 0x20080522, 0), struct.pack("6I", *[0] * 6)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.capset(header, none) == 0, os.strerror(ctypes.get_errno())
"""


@pytest.fixture
def killed(tmp_path):
    """A run whose writer was killed: most of it lies in the log."""
    live, left = tmp_path / "live", tmp_path / "killed"
    with write_small_run(live) as writer:
        writer.flush()
        shutil.copytree(live, left)  # at rest since the flush: what a kill would leave
    (left / "record.sqlite-shm").unlink()
    assert (left / "record.sqlite-wal").stat().st_size > 0
    return left


def refused(path):
    raise sqlite3.OperationalError("unable to open database file")


def steps(database):
    with database.connection() as connection:
        return connection.execute("SELECT count(*) FROM steps").fetchone()[0]


def test_each_way_reads_what_is_there(killed, small_run):
    for path in (killed, small_run):
        database = ReadableDatabase(path / "record.sqlite")
        assert steps(database) == STEPS
        only_copy = ReadableDatabase(path / "record.sqlite", [refused])
        only_copy._ways = (refused, only_copy.copied)
        assert steps(only_copy) == STEPS
        only_copy.forget()
    assert steps(ReadableDatabase(small_run / "record.sqlite", [refused, unchanging])) == STEPS


def test_a_log_is_never_passed_over(killed):
    with pytest.raises(DataError, match=r"record\.sqlite-wal lies beside it"):
        steps(ReadableDatabase(killed / "record.sqlite", [unchanging]))


def test_the_first_way_that_can_is_taken(killed):
    tried = []

    def way(path):
        tried.append(path)
        return read_only(path)

    assert steps(ReadableDatabase(killed / "record.sqlite", [refused, way, refused])) == STEPS
    assert len(tried) == 1
    with pytest.raises(DataError, match="unable to open"):
        steps(ReadableDatabase(killed / "record.sqlite", [refused]))


def test_a_copy_is_of_one_moment(killed, tmp_path, monkeypatch):
    """A log that is put away while it is being copied would leave a copy with half of it."""
    database, to = killed / "record.sqlite", tmp_path / "copy"
    to.mkdir()
    real, calls = shutil.copyfile, []

    def meanwhile(source, target):
        if str(source).endswith("-wal") and not calls:  # the file is copied; now its log moves into it
            calls.append(source)
            connection = sqlite3.connect(database)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
        return real(source, target)

    monkeypatch.setattr("minigrad.record.opening.shutil.copyfile", meanwhile)
    copy_whole(database, to)
    assert calls
    assert steps(ReadableDatabase(to / "record.sqlite")) == STEPS
    monkeypatch.setattr("minigrad.record.opening._marks", lambda path: [object()])
    with pytest.raises(OSError, match="written all the time"):
        copy_whole(database, to)


@pytest.mark.skipif(sys.platform == "win32", reason="folders there have no such permissions")
@pytest.mark.parametrize("state", ["killed", "closed"])
def test_a_read_only_folder(killed, small_run, tmp_path, state):
    folder = tmp_path / "read-only"
    shutil.copytree(killed if state == "killed" else small_run, folder)
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = sorted(path.name for path in folder.iterdir())
    script = f"""
        folder = {str(folder)!r}
        try:
            open(folder + "/new", "w")
        except PermissionError:
            pass
        else:
            raise AssertionError("the folder can be written: this test would show nothing")
        from minigrad import record
        run = record.open(folder)
        assert len(run.series("fc.weight", "norm")[0]) == {STEPS}
        assert run.tensor("fc.weight").shape == (3, 4)
        run.refresh()
        assert len(run.steps["step"]) == {STEPS}
    """
    try:
        result = subprocess.run(
            [sys.executable, "-c", POWERLESS + textwrap.dedent(script)],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert result.returncode == 0, result.stderr
        assert sorted(path.name for path in folder.iterdir()) == before
    finally:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755)


def test_a_hot_journal_is_rolled_back(tmp_path):
    """A kill amid a transaction without a write-ahead log: the reader sees the state before it."""
    live, left = tmp_path / "live", tmp_path / "left"
    write_small_run(live).close()
    connection = sqlite3.connect(live / "record.sqlite", isolation_level=None)
    connection.execute("PRAGMA cache_size=1")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM steps")
    connection.execute("DELETE FROM matrices")
    shutil.copytree(live, left)
    assert (left / "record.sqlite-journal").stat().st_size > 0
    connection.close()
    only_copy = ReadableDatabase(left / "record.sqlite", [refused])
    only_copy._ways = (refused, only_copy.copied)
    assert steps(only_copy) == STEPS
    assert len(record.open(left).steps["step"]) == STEPS


def test_a_name_with_marks_that_mean_something_in_addresses(tmp_path):
    folder = tmp_path / "a b?mode=rw#100%"
    write_small_run(folder, steps=3).close()
    assert len(record.open(folder).steps["step"]) == 3
