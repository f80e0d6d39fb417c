"""What the page is told of a run: against the reader, and against numbers that can be foreseen."""

import base64

import numpy as np
import pytest

from minigrad import record
from minigrad.errors import ArgumentError
from minigrad.record import RunWriter
from minigrad.viz.page.data import PICTURES, RunData
from minigrad.viz.page.numbers import json_bytes
from tests.viz_page.runs import Hand


def unpacked(told):
    return np.frombuffer(base64.b64decode(told["f32"]), "<f4").reshape(told["shape"])


def test_heat_maps_are_the_readers(recorded):
    run, data = record.open(recorded), RunData(recorded)
    for what, kind in [
        ("norm", "gradient"),
        ("update_ratio", "weight"),
        ("dead", "output"),
        ("mean", "output"),
    ]:
        steps, names, values = run.heatmap(what, kind)
        told = data.heat(what, kind)
        assert told["width"] == 1
        assert told["names"] == names
        place = np.searchsorted(told["steps"], steps)
        np.testing.assert_allclose(unpacked(told["values"])[:, place], values, rtol=2e-6)


def test_histograms_and_units_are_the_readers(recorded):
    run, data = record.open(recorded), RunData(recorded)
    steps, edges, counts = run.histograms("conv.weight")
    told = data.histograms("weight", "conv.weight")
    assert told["steps"] == steps.tolist()
    assert told["steps"][0] == 0, "the weights before the first step"
    np.testing.assert_allclose(unpacked(told["lower"]), edges[:, 0])
    np.testing.assert_allclose(unpacked(told["upper"]), edges[:, -1])
    np.testing.assert_array_equal(unpacked(told["counts"]), counts.astype(np.float32))
    steps, values = run.units("conv", "output", "dead")
    told = data.units("output", "conv", "dead")
    assert told["steps"] == steps.tolist()
    np.testing.assert_array_equal(unpacked(told["values"]), values.astype(np.float32))


def test_influence_is_the_readers(recorded):
    run, told = record.open(recorded), RunData(recorded).influence("taylor")
    for step, list_ in zip(told["steps"], told["ranks"], strict=True):
        ranked = run.top_units(step)
        assert [(told["layers"][layer], unit) for layer, unit, _ in list_] == [
            (i.layer, i.unit) for i in ranked
        ]
        np.testing.assert_allclose([score for *_, score in list_], [i.score for i in ranked], rtol=1e-6)


def test_the_state_and_the_structure(recorded):
    data = RunData(recorded)
    state, structure = data.state(), data.structure()
    assert (state["first"], state["last"], state["count"], state["epoch"]) == (0, 60, 60, 2)
    assert state["finished"]
    assert structure["graphs"] == [1, 31]
    assert [note[:3] for note in structure["notes"]] == [[7, "warning", "rate"], [40, "note", "dead"]]
    assert structure["epochs"][1] == {
        "epoch": 2,
        "step": 60,
        "val_accuracy": 0.6,
        "val_loss": structure["epochs"][1]["val_loss"],
    }
    assert structure["configuration"]["settings"]["lr"] == 0.1
    assert (
        "unit_norms"
        in next(s for s in structure["kinds"]["gradient"] if s["name"] == "conv.weight")["by_unit"]
    )


@pytest.fixture
def long_run(tmp_path):
    hand = Hand(tmp_path / "long")
    hand.steps(1, 3001)
    hand.writer.close()
    return hand.folder


def test_a_long_run_is_told_in_short_and_its_peak_is_kept(long_run):
    data = RunData(long_run)
    told = data.lines()
    steps, losses = told["series"]["loss"]
    assert len(steps) <= 2048
    assert max(losses) == 1000
    assert steps[losses.index(1000)] == 777
    assert told["series"]["rate 1"][1][0] == 0.1
    heat = data.heat("norm", "gradient")
    assert heat["width"] == 8
    expected = np.mean([10 / step for step in range(800, 808)])
    column = heat["steps"].index(800)
    assert unpacked(heat["values"])[0, column] == pytest.approx(expected, rel=1e-6)
    pictures = data.histograms("weight", "fc.weight")
    assert len(pictures["steps"]) <= PICTURES + 1
    assert (pictures["steps"][0], pictures["steps"][-1], pictures["recorded"]) == (1, 3000, 3000)
    assert all(len(json_bytes(answer)) < 2_000_000 for answer in (told, heat, pictures))


def test_only_what_is_new_is_told_and_fits_what_was(tmp_path):
    hand = Hand(tmp_path / "live")
    hand.steps(1, 40)
    data = RunData(hand.folder)
    first_heat, first_lines, first_units = (
        data.heat("norm", "gradient"),
        data.lines(),
        data.units("gradient", "fc.weight", "unit_norms"),
    )
    assert not data.refresh()
    hand.steps(40, 60)
    assert data.refresh()
    assert data.state()["last"] == 59
    heat = data.heat("norm", "gradient", after=39, width=first_heat["width"])
    assert heat["from"] == 39
    assert heat["steps"] == list(range(39, 60))
    lines = data.lines(after=39, width=first_lines["width"])
    assert lines["series"]["loss"][0] == list(range(39, 60))
    units = data.units("gradient", "fc.weight", "unit_norms", after=39, every=first_units["every"])
    assert units["from"] == 40
    assert units["steps"] == list(range(40, 60))
    np.testing.assert_array_equal(unpacked(units["values"])[0], np.arange(6) + 40)
    hand.steps(60, 1500)  # the bins have become wider: all is told anew
    data.refresh()
    assert data.heat("norm", "gradient", after=59, width=1)["from"] == 0
    assert data.lines(after=59, width=1)["from"] == 0
    assert data.units("gradient", "fc.weight", "unit_norms", after=59, every=1)["from"] == 0
    hand.writer.close()


def test_training_that_goes_back_makes_another_generation(tmp_path):
    hand = Hand(tmp_path / "back")
    hand.steps(1, 50)
    hand.writer.close()
    data = RunData(hand.folder)
    data.heat("norm", "gradient")
    again = Hand(hand.folder, RunWriter.resume(hand.folder, 20))
    again.steps(21, 30)
    assert data.refresh()
    assert data.generation == 1
    assert data.state()["last"] == 29
    assert data.heat("norm", "gradient")["steps"][-1] == 29
    again.writer.close()


def test_a_run_without_steps(tmp_path):
    writer = RunWriter(tmp_path / "empty", {})
    writer.flush()
    data = RunData(tmp_path / "empty")
    assert data.state()["last"] is None
    assert data.lines()["series"] == {}
    assert data.structure()["kinds"] == {}
    with pytest.raises(ArgumentError, match="not recorded"):
        data.heat("norm", "gradient")
    with pytest.raises(ArgumentError, match="not recorded"):
        data.influence("taylor")
    writer.close()


def test_what_is_no_number_becomes_null(tmp_path):
    with RunWriter(tmp_path / "nan", {}) as writer:
        signal = writer.signal("gradient", "w", (3,), 3)
        layout = writer.layout("statistics", "float32", ("norm", "nans", "infs"), [(signal, 1)])
        for step in range(1, 4):
            writer.matrix(step, layout, np.array([[np.inf if step == 2 else 1.0, 2, 1]]))
            writer.step(step, loss=float("nan") if step == 3 else 1.0)
    data = RunData(tmp_path / "nan")
    assert data.lines()["series"]["loss"][1] == [1, 1, None]
    assert b"NaN" not in json_bytes(data.state())
    assert data.heat("norm", "gradient")["steps"] == [1, 3]
    np.testing.assert_array_equal(unpacked(data.heat("not_finite", "gradient")["values"]), [[3, 3, 3]])
