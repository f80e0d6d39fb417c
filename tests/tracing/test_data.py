"""A trace as data, as a table, and as text."""

from __future__ import annotations

import json
import sys
import types

import numpy as np
import pytest

import minigrad as mg
import models
from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.tracing.statistics import FIELDS
from minigrad.tracing.trace_data import plain

RECORD = {
    "number", "name", "op", "modules", "module", "source", "params", "inputs", "outputs", "children", "inside",
    "forward_seconds", "gradient_seconds", "bytes_allocated", "bytes_saved", "bytes_freed", "flops", "intensity",
    "random", "formula", "gradient_formula", "reference", "batch",
}  # fmt: skip
TENSOR = {"name", "shape", "dtype", "device", "strides", "tensor", "bytes"}
READ = TENSOR | {"parent", "parameter", "version"}
WRITTEN = TENSOR | {"statistics", "gradient"}


@pytest.fixture(scope="module")
def traces():
    """A step of a network at each level, the last one with parts of composites."""
    mg.manual_seed(0)
    found = {}
    for level in ("meta", "stats", "full"):
        net = models.resnet8(4, 1)
        optimizer = mg.optim.SGD(net.parameters(), lr=0.1)
        with mg.trace(level, updates=True, expand=level == "full") as t:
            loss = F.cross_entropy(net(mg.ones(2, 1, 8, 8)), mg.tensor([0, 3]))
            loss.backward()
            optimizer.step()
            mg.softmax(mg.zeros(2, 3).masked_fill(mg.tensor([[True], [False]]), -float("inf")), 1)
        found[level] = t
    return found


@pytest.mark.parametrize("level", ["meta", "stats", "full"])
def test_it_is_json_as_agreed(traces, level):
    data = traces[level].as_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert set(data) == {"format", "level", "modules", "records", "updates"}
    assert (data["format"], data["level"]) == ("minigrad-trace-1", level)
    assert data["modules"][""] == "ResNet"
    numbers = range(len(data["records"]))
    assert [r["number"] for r in data["records"]] == list(numbers)
    for record in data["records"]:
        assert set(record) == RECORD
        assert set(record["source"]) == {"file", "line", "function", "text"}
        assert (record["module"] is None) == (record["modules"] == [])
        for x in record["inputs"]:
            assert set(x) == {"name", "value"} or set(x) >= READ
            if x.get("parent") is not None:
                assert record["number"] in data["records"][x["parent"]]["children"]
        for y in record["outputs"]:
            assert set(y) >= WRITTEN
            if level == "meta":
                assert y["statistics"] is y["gradient"] is None
            elif y["dtype"] != "bool":
                assert set(y["statistics"]) == {*FIELDS, "quantiles", "histogram"}
                assert set(y["statistics"]["quantiles"]) == {"0.01", "0.25", "0.5", "0.75", "0.99"}
        assert all(child in numbers for child in record["children"])
    assert {r["inside"] for r in data["records"]} == {None} or level == "full"
    for update in data["updates"]:
        assert set(update) >= {"optimizer", "parameter", "seconds", "weight", "gradient", "change"}
        assert (update["weight"] is None) == (level == "meta")
    read = {x["parameter"] for r in data["records"] for x in r["inputs"] if x.get("parameter")}
    assert {u["parameter"] for u in data["updates"]} <= read


def test_numbers_that_json_lacks_are_null(traces):
    (fill,) = [r for r in traces["stats"].as_dict()["records"] if r["op"] in ("masked_fill", "where")]
    assert -float("inf") not in [x.get("value") for x in fill["inputs"]]
    y = fill["outputs"][0]["statistics"]
    assert (y["infs"], y["count"], y["skewness"]) == (3, 6, None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        (None, None),
        (3, 3),
        (2.5, 2.5),
        (float("nan"), None),
        (float("-inf"), None),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.array(1.5), 1.5),
        (np.array([1, 2]), "array of shape [2]"),
        (np.dtype("float16"), "float16"),
        ((1, (2, None)), [1, [2, None]]),
        ({"a": [1.0], 2: "b"}, {"a": [1.0], "2": "b"}),
        (slice(0, None, 2), "slice(0, None, 2)"),
        (Ellipsis, "Ellipsis"),
    ],
)
def test_options_as_plain_data(value, expected):
    found = plain(value)
    assert (found, type(found)) == (expected, type(expected))
    json.dumps(found, allow_nan=False)


def test_indexing_and_casting_are_plain_data_too():
    x = mg.ones(3, 4)
    with mg.trace() as t:
        x[1:, None, ..., 2]
        x[mg.tensor([0, 2])]
        x.to(dtype=mg.float64)
        x.expand(2, 3, 4)
    data = t.as_dict()
    json.dumps(data, allow_nan=False)
    assert data["records"][2]["params"] == {"dtype": "float64"}


# ---------------------------------------------------------------- tables


def test_the_summary_has_a_line_for_each_operation(traces):
    for level, t in traces.items():
        head, *lines, totals = t.summary().splitlines()
        assert len(lines) == len(t)
        assert head.split()[:4] == ["#", "operation", "module", "output"]
        assert ("|grad|" in head) == (level != "meta")
        for line, record in zip(lines, t, strict=True):
            assert line.split()[:2] == [str(record.number), record.name]
        assert totals.startswith(f"{len(t.find(where=lambda r: r.inside is None))} operations: forward")
    assert "of values held" in totals
    assert str(t) == t.summary()
    assert repr(t) == f"<Trace of {len(t)} operations, level 'full'>"


def test_a_summary_by_hand():
    x = mg.tensor([[3.0, -4.0]], requires_grad=True)
    with mg.trace() as t:
        mg.relu(x).sum().backward()
    first = t.summary().splitlines()[1].split()
    assert first[:3] == ["0", "relu_1", "1x2"]
    assert first[-5:] == ["0.0", "1.5", "1.5", "50%", "1.41"]  # MFLOP, mean, std, zeros, norm of the gradient


def test_the_summary_says_how_much_it_leaves_out(traces):
    t = traces["full"]
    assert f"... {len(t) - 3} more" in t.summary(limit=3)
    assert "more" not in t.summary(limit=len(t))
    sortable = len(t.find(where=lambda r: r.inside is None))
    assert f"... {sortable - 2} more" in t.summary(limit=2, sort="time")


@pytest.mark.parametrize("sort", ["time", "memory", "flops"])
def test_the_summary_is_sorted(traces, sort):
    t = traces["stats"]
    keys = {
        "time": lambda r: r.forward_seconds + (r.gradient_seconds or 0),
        "memory": lambda r: r.bytes_allocated + r.bytes_saved,
        "flops": lambda r: r.flops,
    }
    lines = t.summary(sort=sort).splitlines()[1:-1]
    values = [keys[sort](t[line.split()[1]]) for line in lines]
    assert values == sorted(values, reverse=True)
    with pytest.raises(ArgumentError, match="sorted by time, memory, flops, not 'name'"):
        t.summary(sort="name")


def test_an_empty_trace():
    with mg.trace() as t:
        pass
    assert t.summary().splitlines()[-1].startswith("0 operations")
    assert t.as_dict()["records"] == []
    with pytest.raises(ArgumentError, match="there are none"):
        t["x"]


def test_a_record_can_be_read(traces):
    text = str(traces["full"]["fc"])
    for part in (
        "linear_1   y = ",
        "gradient  ",
        "module    fc",
        "line      ",
        "fc.weight",
        "FLOPs",
        "source    ",
    ):
        assert part in text
    assert "3 not finite" in str(traces["stats"].find(where=lambda r: r.outputs[0].statistics.infs == 3)[0])


# ---------------------------------------------------------------- pandas


class Frame(list):
    """What we ask of a DataFrame."""

    def set_index(self, name):
        self.index = [row[name] for row in self]
        return self


def test_pandas_gets_a_row_for_each_record(traces, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=Frame))
    for level, t in traces.items():
        frame = t.to_pandas()
        assert frame.index == list(range(len(t)))
        assert [row["name"] for row in frame] == [r.name for r in t]
        assert ("gradient_norm" in frame[0]) == (level != "meta")


def test_pandas_is_asked_for_only_then(traces, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)  # as if it were not installed
    with pytest.raises(ArgumentError, match="pip install pandas"):
        traces["meta"].to_pandas()
