"""Reading: every quantity as it was recorded, and clear words for what was not."""

from __future__ import annotations

import shutil
import sqlite3
import time

import numpy as np
import pytest

from minigrad import record
from minigrad.errors import ArgumentError, DataError
from minigrad.record import matrices
from tests.record.conftest import FIELDS, STEPS, statistics, write_small_run

EVERY = list(range(1, STEPS + 1))
TENTH = list(range(10, STEPS + 1, 10))


@pytest.fixture(scope="module")
def run(small_run):
    return record.open(small_run)


def test_the_run_as_a_whole(run, small_run):
    assert run.configuration == {"lr": 0.1, "net": {"depth": 2}}
    assert run.meta["model"] == "Linear(4, 3)"
    assert {"schema_version", "started", "finished", "versions"} <= run.meta.keys()
    assert record.open(small_run / "record.sqlite").meta == run.meta


def test_steps(run):
    steps = run.steps
    assert steps["step"].tolist() == EVERY
    assert steps["epoch"].tolist() == [step // 30 for step in EVERY]
    assert steps["batch"].tolist() == [step % 30 for step in EVERY]
    assert steps["time"].tolist() == [1e9 + step for step in EVERY]
    assert steps["seconds"].tolist() == [0.5] * STEPS
    assert steps["memory"].tolist() == [1000 + step for step in EVERY]
    assert np.array_equal(
        steps["loss"], [np.nan if step == 7 else 1 / step for step in EVERY], equal_nan=True
    )
    assert np.array_equal(steps["rates"], [[0.1, step / 1000] for step in EVERY])
    assert run.sample_ids(3).tolist() == [3, 4]
    with pytest.raises(ArgumentError, match="step 4 were not recorded"):
        run.sample_ids(4)


def test_steps_without_particulars(tmp_path):
    with record.RunWriter(tmp_path, {}) as writer:
        assert record.open(tmp_path).steps["rates"].shape == (0, 0)
        writer.step(1)
        writer.step(2, rates=[0.5], epoch=3)
    steps = record.open(tmp_path).steps
    assert np.array_equal(steps["rates"], [[np.nan], [0.5]], equal_nan=True)
    assert steps["epoch"].tolist() == [-1, 3]
    assert abs(steps["time"] - time.time()).max() < 60
    assert np.isnan(steps["loss"]).all()


def test_epochs_and_notes_and_agreement(run):
    assert run.epochs == [{"epoch": 1, "step": 30, "accuracy": 0.5, "loss": None}]
    assert run.notes() == [record.Note(7, 5.0, "warning", "nan loss", "fc", 2, "the loss is no number")]
    assert run.agreement() == [record.Agreement(20, "taylor", 0.75, 12, {"unit": [1, 2]})]


def test_signals(run):
    assert [(s.kind, s.name) for s in run.signals()] == [
        ("weight", "fc.weight"),
        ("gradient", "fc.weight"),
        ("change", "fc.weight"),
        ("output", "fc"),
    ]
    assert run.signals("output") == [record.Signal(4, "output", "fc", (8, 3), 3)]
    assert len(run.signals(pattern="*.weight")) == 3
    assert run.signals("weight", "x*") == []


@pytest.mark.parametrize("row, kind", [(0, "weight"), (1, "gradient"), (2, "change")])
def test_series_of_parameters(run, row, kind):
    for column, name in enumerate(FIELDS):
        steps, values = run.series("fc.weight", name, kind)
        assert steps.tolist() == EVERY
        assert values.dtype == np.float64
        assert values.tolist() == [statistics(step, row)[column] for step in EVERY]


def test_series_of_layers_come_from_every_step_unless_told(run):
    assert run.series("fc", "norm", "output")[0].tolist() == EVERY
    steps, values = run.series("fc", "norm", "output", detail="full")
    assert steps.tolist() == TENTH
    assert values.tolist() == [statistics(step, 6)[10] for step in TENTH]


def test_series_that_are_put_together(run):
    steps, values = run.series("fc.weight", "update_ratio")
    assert steps.tolist() == EVERY
    assert values == pytest.approx([statistics(step, 2)[10] / statistics(step, 0)[10] for step in EVERY])
    assert run.series("fc", "dead")[1].tolist() == [2 / 3] * STEPS


def test_heatmaps(run):
    steps, names, values = run.heatmap("mean", "gradient")
    assert (steps.tolist(), names) == (EVERY, ["fc.weight"])
    assert values.tolist() == [[statistics(step, 1)[6] for step in EVERY]]
    assert run.heatmap("update_ratio")[1] == ["fc.weight"]
    assert run.heatmap("dead")[2].shape == (1, STEPS)


def test_histograms_units_and_samples(run):
    steps, edges, counts = run.histograms("fc.weight", "gradient")
    assert steps.tolist() == TENTH
    assert edges.shape == (6, 65)
    assert np.allclose(edges[2], np.linspace(0, 30, 65))
    assert counts[2].tolist() == [30] * 64
    steps, values = run.units("fc.weight", "change")
    assert steps.tolist() == TENTH
    assert values[0].tolist() == [13, 14, 15]
    assert run.units("fc", "output", "influence.taylor")[1][1].tolist() == [0, 20, 40]
    assert run.units("fc", "output", "dead")[1][9] == pytest.approx([1, 0.1, 1])
    assert run.samples("fc.weight")[1][3].tolist() == [0.04, 1.04, 2.04, 3.04]  # float64, exactly


def test_influence(run):
    assert run.influence()[:2] == [
        record.Influence(10, "fc", 2, 1, 5.0),
        record.Influence(10, "fc.weight", 0, 2, 0.25),
    ]
    assert [i.step for i in run.top_units()] == [60, 60]
    assert run.top_units(39, n=1) == [record.Influence(30, "fc", 2, 1, 15.0)]
    with pytest.raises(ArgumentError, match=r"there is \['taylor'\]"):
        run.top_units(method="ablation")
    with pytest.raises(ArgumentError, match="up to step 5"):
        run.top_units(5)


def test_snapshots(run):
    assert run.snapshot_steps("weights").tolist() == TENTH
    assert run.tensor("fc.weight", 39).tolist() == [[1.0] * 4] * 3
    assert run.tensor("fc.weight").tolist() == [[3.0] * 4] * 3
    assert run.probe()["fc"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert run.graph(50) == {"format": "minigrad-trace-1", "records": []}
    with pytest.raises(ArgumentError, match="the first is at step 50"):
        run.probe(49)
    with pytest.raises(ArgumentError, match=r"did you mean fc\.weight"):
        run.tensor("fc.wieght")


@pytest.mark.parametrize(
    "ask, answer",
    [
        (lambda run: run.series("fc.wieght", "norm"), r"no weight of 'fc.wieght'.*did you mean fc\.weight"),
        (
            lambda run: run.series("fc", "norm", "input"),
            "recorded kinds are weight, gradient, change, output",
        ),
        (lambda run: run.series("fc.weight", "median"), "'median' was not recorded.*statistics .count, nans"),
        (lambda run: run.series("fc.weight", "norm", detail="full"), "'norm' in 'full' was not recorded"),
        (lambda run: run.series("fc.weight", "dead"), "no output of 'fc.weight'"),
        (lambda run: run.histograms("fc", "output"), "'histograms' was not recorded for output 'fc'"),
        (lambda run: run.units("fc", "output", "influence.x"), "influence.taylor"),
        (lambda run: run.heatmap("norm", "input_gradient"), "no signals of kind 'input_gradient'"),
        (lambda run: run.heatmap("median"), "'median' was not recorded"),
    ],
)
def test_what_was_not_recorded_is_said_with_what_was(run, ask, answer):
    with pytest.raises(ArgumentError, match=answer):
        ask(run)


def test_a_layer_that_appears_later(tmp_path):
    with record.RunWriter(tmp_path, {}) as writer:
        a = writer.signal("weight", "a", (2,), 2)
        first = writer.layout("statistics", "float32", ["norm"], [(a, 1)])
        for step in (1, 2, 3):
            writer.matrix(step, first, np.array([[step]]))
        b = writer.signal("weight", "b", (2,), 2)
        second = writer.layout("statistics", "float32", ["norm"], [(b, 1), (a, 1)])
        for step in (3, 4):
            writer.matrix(step, second, np.array([[10 * step], [step + 0.5]]))
    run = record.open(tmp_path)
    assert [part.tolist() for part in run.series("a", "norm")] == [[1, 2, 3, 4], [1, 2, 3.5, 4.5]]
    steps, names, values = run.heatmap("norm")
    assert (steps.tolist(), names) == ([1, 2, 3, 4], ["a", "b"])
    assert np.array_equal(values, [[1, 2, 3.5, 4.5], [np.nan, np.nan, 30, 40]], equal_nan=True)


def test_matrices_above_a_megabyte(tmp_path, rng):
    numbers = rng.standard_normal((3, 300_000))
    with record.RunWriter(tmp_path, {}) as writer:
        ids = [writer.signal("weight", name, (150_000,), 1) for name in "ab"]
        layout = writer.layout("samples", "float64", ["value"], [(s, 150_000) for s in ids])
        for step, row in enumerate(numbers):
            writer.matrix(step, layout, row)
    connection = sqlite3.connect(tmp_path / "record.sqlite")
    assert connection.execute("SELECT max(length(data)), max(piece) FROM matrices").fetchone() <= (1 << 20, 2)
    connection.close()
    assert np.array_equal(record.open(tmp_path).samples("b")[1], numbers[:, 150_000:])


def test_what_does_not_fit_in_memory_is_read_in_parts(small_run, monkeypatch, run):
    expected = run.heatmap("norm", "change")[2]
    monkeypatch.setattr(matrices, "_KEPT", 1000)
    assert np.array_equal(record.open(small_run).heatmap("norm", "change")[2], expected)


def test_a_run_is_read_while_it_is_recorded(tmp_path):
    writer = write_small_run(tmp_path)
    with writer:
        writer.flush()
        run = record.open(tmp_path)
        assert run.series("fc.weight", "norm")[0].tolist() == EVERY
        assert "finished" not in run.meta
        writer.matrix(99, 1, np.zeros((3, 11)))
        writer.step(99)
        writer.flush()
        assert run.series("fc.weight", "norm")[0][-1] == STEPS
        run.refresh()
        assert run.series("fc.weight", "norm")[0][-1] == 99
    # A reader that is open does not keep the writer from leaving one file
    assert not (tmp_path / "record.sqlite-wal").exists()
    assert run.steps["step"][-1] == 99


def changed(small_run, tmp_path, *statements):
    folder = tmp_path / "changed"
    shutil.copytree(small_run, folder)
    connection = sqlite3.connect(folder / "record.sqlite")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return folder


def test_a_later_version_is_refused(small_run, tmp_path):
    folder = changed(small_run, tmp_path, "UPDATE meta SET value = '2' WHERE key = 'schema_version'")
    for opened in (record.open, lambda path: record.RunWriter.resume(path, 1)):
        with pytest.raises(DataError, match=r"later minigrad.*version 2.*knows 1"):
            opened(folder)


def test_what_is_no_record_is_refused(small_run, tmp_path):
    with pytest.raises(DataError, match="there is no recorded run"):
        record.open(tmp_path)
    with pytest.raises(DataError, match="there is no recorded run"):
        record.open(tmp_path / "nowhere")
    (tmp_path / "text.sqlite").write_text("plain text " * 1000)
    with pytest.raises(DataError, match="damaged, or no database"):
        record.open(tmp_path / "text.sqlite")
    sqlite3.connect(tmp_path / "empty.sqlite").execute("CREATE TABLE a(b)").connection.close()
    with pytest.raises(DataError, match="holds no recorded run"):
        record.open(tmp_path / "empty.sqlite")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a" * 63, "A" * 64, "0" * 64 + "\n", "", "0" * 63 + "/"]
)
def test_a_hash_cannot_lead_out_of_the_folder(small_run, tmp_path, name):
    run = record.open(changed(small_run, tmp_path, f"UPDATE snapshots SET hash = '{name}'"))
    for ask in (run.tensor, lambda _: run.graph()):
        with pytest.raises(DataError, match="no SHA-256"):
            ask("fc.weight")


def test_damaged_parts_are_errors(small_run, tmp_path):
    statements = [
        "UPDATE matrices SET data = x'00'",
        "UPDATE signals SET shape = '[' WHERE id = 0",
        "UPDATE epochs SET numbers = 'no JSON'",
        "UPDATE layouts SET columns = '7' WHERE name = 'dead'",
    ]
    run = record.open(changed(small_run, tmp_path, *statements[:3]))
    for ask in (lambda: run.series("fc.weight", "norm"), lambda: run.epochs):
        with pytest.raises(DataError, match="damaged"):
            ask()
    run = record.open(changed(small_run, tmp_path / "2", statements[3]))
    with pytest.raises(DataError, match="damaged"):
        run.series("fc.weight", "norm")


def test_a_damaged_page_or_snapshot_is_an_error(small_run, tmp_path):
    folder = changed(small_run, tmp_path)
    content = bytearray((folder / "record.sqlite").read_bytes())
    content[8192:] = bytes(len(content) - 8192)
    (folder / "record.sqlite").write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        record.open(folder).series("fc.weight", "norm")
    folder = changed(small_run, tmp_path / "2")
    for path in (folder / "snapshots").iterdir():
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        record.open(folder).tensor("fc.weight")


def test_a_snapshot_under_another_ones_name_is_an_error(small_run, tmp_path):
    folder = changed(small_run, tmp_path)
    first, second, *_ = sorted((folder / "snapshots").iterdir())
    content = first.read_bytes()
    for path in (folder / "snapshots").iterdir():
        path.write_bytes(content if path != first else second.read_bytes())
    with pytest.raises(DataError, match="does not have the hash"):
        record.open(folder).tensor("fc.weight")
