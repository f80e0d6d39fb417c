"""Recording: what a call keeps, refuses and costs; ids; resuming; ends of all kinds."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from minigrad import record
from minigrad.errors import ArgumentError, DataError
from tests.record.conftest import FIELDS, STEPS, write_small_run


def rows(folder, query):
    connection = sqlite3.connect(folder / "record.sqlite")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def begun(folder):
    writer = record.RunWriter(folder, {})
    signal = writer.signal("weight", "w", (2, 2), 2)
    return writer, signal, writer.layout("unit_norms", "float32", ["norm"], [(signal, 2)])


def test_a_closed_run_is_a_single_plain_file(small_run):
    assert sorted(path.name for path in small_run.iterdir()) == ["graphs", "record.sqlite", "snapshots"]
    assert rows(small_run, "PRAGMA journal_mode") == [("delete",)]
    assert rows(small_run, "PRAGMA integrity_check") == [("ok",)]
    assert rows(small_run, "SELECT count(*) FROM steps") == [(STEPS,)]
    assert rows(small_run, "SELECT count(*) FROM meta WHERE key = 'finished'") == [(1,)]


def test_a_run_is_written_with_a_log_and_seen_twice_a_second(tmp_path):
    writer, _, layout = begun(tmp_path)
    with writer:
        for step in range(3):
            writer.matrix(step, layout, np.ones(2))
        until = time.monotonic() + 0.6
        while (
            not (seen := rows(tmp_path, "SELECT count(*) FROM matrices")[0][0]) and time.monotonic() < until
        ):
            time.sleep(0.02)
        assert seen == 3
        assert rows(tmp_path, "PRAGMA journal_mode") == [("wal",)]


def test_what_is_given_is_copied(tmp_path):
    writer, _, layout = begun(tmp_path)
    numbers, weights = np.ones(2, np.float32), {"w": np.ones(1000)}
    writer.matrix(1, layout, numbers)
    writer.snapshot(1, "weights", weights)
    numbers[:], weights["w"][:] = 5, 5
    writer.close()
    run = record.open(tmp_path)
    assert run.units("w", "weight")[1].tolist() == [[1, 1]]
    assert run.tensor("w").tolist() == [1] * 1000


def test_strided_arrays_and_tensors_are_recorded_as_they_read(tmp_path):
    import minigrad as mg

    writer, signal, _ = begun(tmp_path)
    layout = writer.layout("statistics", "float64", ["a", "b", "c"], [(signal, 2)])
    strided = np.arange(12.0).reshape(3, 4).T[::2]
    writer.matrix(1, layout, strided)
    writer.snapshot(1, "weights", {"w": strided, "t": mg.ones(2, 3).T})
    writer.close()
    run = record.open(tmp_path)
    assert run.series("w", "c")[1].tolist() == [8]
    assert np.array_equal(run.tensor("w"), strided)
    assert run.tensor("t").shape == (3, 2)


def test_signals_and_layouts_are_made_once(tmp_path):
    writer, signal, layout = begun(tmp_path)
    with writer:
        assert writer.signal("weight", "w", (2, 9), 2) == signal
        assert writer.signal("gradient", "w", (2, 2), 2) != signal
        assert writer.layout("unit_norms", "<f4", ["norm"], [(signal, 2)]) == layout
        assert writer.layout("unit_norms", "float64", ["norm"], [(signal, 2)]) != layout


def test_arguments_that_do_not_fit_are_refused(tmp_path):
    writer, signal, layout = begun(tmp_path)
    with writer:
        for call in (
            lambda: writer.signal("weight", "w", (2, 2), 3),
            lambda: writer.signal("weight", "v", (2, 2), -1),
            lambda: writer.layout("x", "float32", ["norm"], [(signal + 1, 1)]),
            lambda: writer.layout("x", "float32", [], [(signal, 1)]),
            lambda: writer.layout("x", "float32", ["a", "a"], [(signal, 1)]),
            lambda: writer.layout("x", "float32", ["a"], []),
            lambda: writer.layout("x", "float32", [str(i) for i in range(300_000)], [(signal, 1)]),
            lambda: writer.matrix(1, layout + 1, np.ones(2)),
            lambda: writer.matrix(1, layout, np.ones(3)),
            lambda: writer.matrix(1, layout, np.ones((1, 2))),
            lambda: writer.matrix(1.5, layout, np.ones(2)),
            lambda: writer.step(-1),
            lambda: writer.note(1, "shout", "rule", "text"),
            lambda: writer.influence(1, "taylor", [(signal + 1, 1, 0, 0.5)]),
            lambda: writer.epoch(1, 1, {"a": object()}),
            lambda: writer.graph(1, {"a": {1, 2}}),
            lambda: writer.snapshot(1, "graph", {}),
        ):
            with pytest.raises(ArgumentError):
                call()
    assert writer.failed is None
    with pytest.raises(ArgumentError, match="closed"):
        writer.step(1)
    with pytest.raises(ArgumentError, match="JSON"):
        record.RunWriter(tmp_path / "other", {"a": object()})


def test_infinities_and_nans_are_values(tmp_path):
    writer, signal, _ = begun(tmp_path)
    layout = writer.layout("statistics", "float32", ["a", "b"], [(signal, 2)])
    writer.matrix(1, layout, np.array([[np.nan, np.inf], [1e300, -np.inf]]))  # 1e300 is infinite in float32
    writer.close()
    assert rows(tmp_path, "SELECT count(*) FROM matrices") == [(1,)]
    assert record.open(tmp_path).series("w", "b")[1].tolist() == [np.inf]


def test_equal_snapshots_are_one_file(tmp_path):
    writer, *_ = begun(tmp_path)
    for step in (1, 2, 3):
        writer.snapshot(step, "weights", {"w": np.zeros(3) + (step == 3)})
    writer.close()
    assert len(list((tmp_path / "snapshots").iterdir())) == 2
    assert record.open(tmp_path).snapshot_steps("weights").tolist() == [1, 2, 3]


def test_a_folder_with_a_run_is_not_written_over(small_run):
    with pytest.raises(DataError, match=r"holds a recorded run.*resume"):
        record.RunWriter(small_run, {})


def test_two_writers_at_once_are_refused(tmp_path):
    with record.RunWriter(tmp_path, {}), pytest.raises(DataError, match="being recorded into"):
        record.RunWriter.resume(tmp_path, 0)
    record.RunWriter.resume(tmp_path, 0).close()


def test_a_folder_that_cannot_be_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot record into"):
        record.RunWriter(tmp_path / "file", {})
    with pytest.raises(DataError, match="no recorded run"):
        record.RunWriter.resume(tmp_path, 0)
    (tmp_path / "record.sqlite").write_bytes(b"this is no database, but it is there" * 100)
    with pytest.raises(DataError, match="not a database"):
        record.RunWriter(tmp_path, {})
    assert (tmp_path / "record.sqlite").read_bytes().startswith(b"this is no database")


def test_resuming_takes_back_what_came_after(tmp_path):
    write_small_run(tmp_path).close()
    files = len(list((tmp_path / "snapshots").iterdir()))
    (tmp_path / "snapshots" / f"{'0' * 64}.safetensors.tmp17").write_bytes(b"unfinished")
    (tmp_path / "snapshots" / "mine.txt").write_text("not ours to remove")
    with record.RunWriter.resume(tmp_path, 25) as writer:
        signal = writer.signal("gradient", "fc.weight", (3, 4), 3)
        assert signal == 2
        assert writer.signal("input", "fc", (8, 4), 4) == 5
        layout = writer.layout("unit_norms", "float32", ["norm"], [(2, 3), (3, 3)])  # as the small run has it
        assert rows(tmp_path, f"SELECT name FROM layouts WHERE id = {layout}") == [("unit_norms",)]
        for step in range(26, 29):
            writer.step(step, loss=0.5)
        writer.matrix(26, layout, np.full(6, 9.0))
    run = record.open(tmp_path)
    assert run.steps["step"].tolist() == list(range(1, 29))
    assert run.units("fc.weight", "gradient")[0].tolist() == [10, 20, 26]
    assert run.series("fc.weight", "norm")[0].tolist() == list(range(1, 26))
    assert [i.step for i in run.influence()] == [10, 10, 20, 20]
    assert run.snapshot_steps("weights").tolist() == [10, 20]
    assert run.epochs == []
    assert [note.step for note in run.notes()] == [7]
    assert [entry["step"] for entry in json.loads(run.meta["resumed"])] == [25]
    left = {path.name for path in (tmp_path / "snapshots").iterdir()}
    assert "mine.txt" in left
    assert (files, len(left)) == (5, 3)  # the weights of 10, and those of 20 and 30, which are equal


def test_close_and_flush_may_be_called_again(tmp_path):
    writer, *_ = begun(tmp_path)
    writer.flush()
    writer.close()
    writer.close()
    writer.flush()
    assert writer.failed is None


def test_a_writer_that_is_forgotten_loses_nothing(tmp_path):
    writer, _, layout = begun(tmp_path)
    writer.matrix(1, layout, np.ones(2))
    writer.snapshot(1, "weights", {"w": np.ones(2)})
    threads = threading.active_count()
    del writer
    assert threading.active_count() == threads - 2
    assert rows(tmp_path, "SELECT count(*) FROM matrices") == [(1,)]
    assert not (tmp_path / "record.sqlite-wal").exists()


@pytest.mark.parametrize("end", ["pass", "raise SystemExit(3)", "1 / 0", "writer.note(1, 'stop', 'r', 't')"])
def test_a_script_that_forgets_to_close_loses_nothing(tmp_path, end):
    script = f"""
        from minigrad import record
        writer = record.RunWriter({str(tmp_path)!r}, {{}})
        for step in range(200):
            writer.step(step)
        writer.graph(199, {{"a": 1}})
        {end}
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], stderr=subprocess.DEVNULL, timeout=60)
    assert rows(tmp_path, "SELECT count(*) FROM steps") == [(200,)]
    assert not (tmp_path / "record.sqlite-wal").exists()
    assert record.open(tmp_path).graph(199) == {"a": 1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_leaves_the_record_alone(tmp_path):
    script = f"""
        import os, sys
        from minigrad import record
        writer = record.RunWriter({str(tmp_path)!r}, {{}})
        for step in range(100):
            writer.step(step)
        child = os.fork()
        if not child:
            for step in range(1000, 1100):
                writer.step(step)
            writer.flush()
            writer.close()
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        for step in range(100, 200):
            writer.step(step)
        writer.flush()
        assert os.path.exists({str(tmp_path / "record.sqlite-wal")!r})
    """
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)], capture_output=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert rows(tmp_path, "SELECT count(*), max(step) FROM steps") == [(200, 199)]


def test_calls_from_several_threads_are_all_kept(tmp_path):
    writer, _, layout = begun(tmp_path)

    def work(first):
        for step in range(first, first + 500):
            writer.matrix(step, layout, np.full(2, step))

    threads = [threading.Thread(target=work, args=(500 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    steps, values = record.open(tmp_path).units("w", "weight")
    assert steps.tolist() == list(range(2000))
    assert values[:, 1].tolist() == list(range(2000))


def test_a_full_queue_makes_the_caller_wait_and_loses_nothing(tmp_path, monkeypatch, rng):
    monkeypatch.setattr("minigrad.record.writer._CAPACITY", 10_000)
    writer, signal, _ = begun(tmp_path)
    layout = writer.layout("samples", "float64", ["value"], [(signal, 1000)])
    numbers = rng.standard_normal(1000)
    for step in range(300):
        writer.matrix(step, layout, numbers + step)
    assert writer.waited > 0
    writer.close()
    steps, values = record.open(tmp_path).samples("w")
    assert steps.tolist() == list(range(300))
    assert np.array_equal(values, numbers + np.arange(300)[:, None])


def test_a_network_file_system_gets_a_rollback_journal(tmp_path, monkeypatch):
    monkeypatch.setattr("minigrad.record.database.on_shared_file_system", lambda path: True)
    writer, _, layout = begun(tmp_path)
    writer.matrix(1, layout, np.ones(2))
    writer.flush()
    assert rows(tmp_path, "PRAGMA journal_mode") == [("delete",)]
    assert not (tmp_path / "record.sqlite-wal").exists()
    assert record.open(tmp_path).units("w", "weight")[1].tolist() == [[1, 1]]
    writer.close()


def test_file_systems_are_told_by_the_systems_list(tmp_path):
    from minigrad.record.database import on_shared_file_system

    root = tmp_path.resolve()
    mounts = root / "mounts"
    spaced = str(root / "a b").replace(" ", "\\040")
    mounts.write_text(
        f"x / ext4 rw 0 0\ny {root}/far nfs4 rw 0 0\nz {root}/far/near tmpfs rw 0 0\nw {spaced} cifs rw\n"
    )
    found = {
        name: on_shared_file_system(root / name, str(mounts))
        for name in ("far", "far/x", "farther", "far/near/x")
    }
    assert found == {"far": True, "far/x": True, "farther": False, "far/near/x": False}
    assert on_shared_file_system(root / "a b" / "c", str(mounts))
    assert not on_shared_file_system(root, str(root / "no such list"))


def test_a_training_thread_is_hardly_held_up(tmp_path):
    writer = record.RunWriter(tmp_path, {})
    signals = [writer.signal("weight", f"w{i}", (2,), 2) for i in range(186)]
    layout = writer.layout("statistics", "float32", FIELDS, [(s, 1) for s in signals])
    numbers, times = np.zeros((186, 11), np.float32), []
    for step in range(500):
        since = time.perf_counter()
        writer.matrix(step, layout, numbers)
        times.append(time.perf_counter() - since)
    writer.close()
    assert np.median(times) < 200e-6  # some 3 microseconds; a machine may be busy
