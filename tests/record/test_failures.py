"""A recording that cannot go on stops with one clear word, and training does not notice."""

from __future__ import annotations

import errno
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest

from minigrad import record
from minigrad.errors import DataError
from minigrad.record import jobs


def train(writer, steps=2000, snapshot_every=0):
    signal = writer.signal("weight", "w", (1000,), 1)
    layout = writer.layout("samples", "float64", ["value"], [(signal, 1000)])
    rng = np.random.default_rng(0)
    for step in range(1, steps + 1):
        writer.matrix(step, layout, rng.standard_normal(1000))
        writer.step(step, loss=1 / step)
        if snapshot_every and step % snapshot_every == 0:
            writer.snapshot(step, "weights", {"w": rng.standard_normal(100_000)})
        if step % 10 == 0:
            writer.flush()
    return steps


@pytest.fixture
def full_disk(monkeypatch):
    """SQLite's own word for a full disk: a database that must not grow beyond 200 pages."""
    real = jobs.open_for_writing

    def opened(*arguments):
        connection = real(*arguments)
        connection.execute("PRAGMA max_page_count=200")
        return connection

    monkeypatch.setattr(jobs, "open_for_writing", opened)


def test_a_full_disk_stops_the_recording_with_one_warning(tmp_path, full_disk):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with record.RunWriter(tmp_path, {}) as writer:
            assert train(writer) == 2000
            assert writer.failed is not None
            writer.snapshot(1, "weights", {"w": np.zeros(3)})
            writer.graph(1, {})
    assert [str(w.message) for w in told] == [writer.failed]
    assert "the disk is full" in writer.failed
    assert str(tmp_path) in writer.failed
    assert told[0].filename == __file__
    steps = record.open(tmp_path).steps["step"]
    assert 50 < len(steps) < 150  # of 8 kB, on 800 kB
    assert steps.tolist() == list(range(1, len(steps) + 1))


def test_a_disk_too_full_for_a_snapshot(tmp_path, monkeypatch):
    def full(path, content):
        raise DataError("cannot write it") from OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("minigrad.record.snapshots.write_file", full)
    with pytest.warns(RuntimeWarning, match="the disk is full"), record.RunWriter(tmp_path, {}) as writer:
        train(writer, 500, snapshot_every=100)
    run = record.open(tmp_path)
    assert run.steps["step"].tolist() == list(range(1, len(run.steps["step"]) + 1))
    assert len(run.steps["step"]) >= 90
    assert len(run.snapshot_steps("weights")) == 0  # no row names what is not there
    assert "finished" not in run.meta


def test_a_failure_at_the_very_end_is_told_by_close(tmp_path, monkeypatch):
    writer = record.RunWriter(tmp_path, {})
    monkeypatch.setattr(
        "minigrad.record.snapshots.write_file",
        lambda path, content: (_ for _ in ()).throw(OSError(5, "I/O error")),
    )
    writer.snapshot(1, "weights", {"w": np.zeros(3)})
    with pytest.warns(RuntimeWarning, match="I/O error"):
        writer.close()
    writer.close()


def test_a_caller_that_waits_for_room_is_let_go_when_the_writer_fails(tmp_path, monkeypatch, full_disk):
    monkeypatch.setattr("minigrad.record.writer._CAPACITY", 10_000)
    with pytest.warns(RuntimeWarning, match="has stopped"), record.RunWriter(tmp_path, {}) as writer:
        assert train(writer, 1000) == 1000


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_a_limit_of_the_system_on_files(tmp_path):
    """A real error of a real write, in a process that must not write files above 300 kB."""
    script = f"""
        import resource, sys, warnings
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        from minigrad import record
        from tests.record.test_failures import train
        warnings.simplefilter("error")
        warnings.filterwarnings("always", message="the recording")
        with record.RunWriter({str(tmp_path)!r}, {{}}) as writer:
            print(train(writer, 1000), writer.failed)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("1000 the recording of"), result.stdout
    assert result.stderr.count("has stopped") == 1
    steps = record.open(tmp_path).steps["step"]
    assert len(steps) > 0
    assert steps.tolist() == list(range(1, len(steps) + 1))


def test_what_came_before_a_failure_in_the_same_batch_is_kept(tmp_path):
    writer = record.RunWriter(tmp_path, {})
    writer.step(1)
    writer.step(2**70)  # more than SQLite can hold
    with pytest.warns(RuntimeWarning, match="has stopped"):
        writer.close()
    assert record.open(tmp_path).steps["step"].tolist() == [1]
