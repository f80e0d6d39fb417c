"""A run in other formats, read back by other means."""

from __future__ import annotations

import csv
import json
import math
import struct
import sys
import types

import numpy as np
import pytest

from minigrad import record
from minigrad.errors import ArgumentError
from minigrad.record.event_file import crc32c
from minigrad.record.export import main
from tests.record.conftest import STEPS, statistics


@pytest.fixture(scope="module")
def run(small_run):
    return record.open(small_run)


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_csv(run, tmp_path):
    paths = record.export_csv(run, tmp_path / "new" / "folder")
    tables = {path.stem: read_csv(path) for path in paths}
    assert set(tables) == {
        *("steps", "batches", "epochs", "signals", "influence", "agreement", "snapshots", "notes", "samples"),
        *("statistics", "sampled", "full", "unit_norms", "dead", "influence_taylor", "histograms"),
    }
    assert len(tables["steps"]) == STEPS
    assert float(tables["steps"][3]["loss"]) == 0.25
    assert math.isnan(float(tables["steps"][6]["loss"]))
    assert [float(tables["steps"][3][f"rate_{group}"]) for group in (0, 1)] == [0.1, 0.004]
    rows = [r for r in tables["statistics"] if r["kind"] == "change" and r["name"] == "fc.weight"]
    assert [float(row["norm"]) for row in rows] == [statistics(step, 2)[10] for step in range(1, STEPS + 1)]
    rows = [r for r in tables["unit_norms"] if r["kind"] == "gradient" and r["step"] == "20"]
    assert [(r["row"], float(r["norm"])) for r in rows] == [("0", 20), ("1", 21), ("2", 22)]
    assert tables["influence"][0] == {
        **{"step": "10", "method": "taylor", "rank": "1", "kind": "output", "name": "fc", "unit": "2"},
        "score": "5.0",
    }
    assert [row["sample"] for row in tables["batches"][:4]] == ["1", "2", "3", "4"]
    assert json.loads(tables["epochs"][0]["numbers"]) == {"accuracy": 0.5, "loss": None}
    assert tables["notes"][0]["text"] == "the loss is no number"


def test_csv_of_many_blocks_is_that_of_one(run, tmp_path, monkeypatch):
    whole = [path.read_bytes() for path in record.export_csv(run, tmp_path / "a")]
    monkeypatch.setattr("minigrad.record.tables._BLOCK", 7)
    assert [path.read_bytes() for path in record.export_csv(run, tmp_path / "b")] == whole


class Parquet:
    """What pyarrow is asked for, remembered: pyarrow itself is no part of the tests."""

    def __init__(self, monkeypatch):
        self.files = {}
        files = self.files

        class Table:
            def __init__(self, columns, schema):
                self.columns = {name: list(column) for name, column in columns.items()}
                self.schema = schema or tuple(columns)
                assert self.schema == tuple(columns)
                self.num_rows = len(next(iter(self.columns.values()), []))
                assert {len(column) for column in self.columns.values()} <= {self.num_rows}

        class ParquetWriter:
            def __init__(self, path, schema):
                self.schema, self.tables = schema, files.setdefault(path, [])
                open(path, "wb").close()

            def write_table(self, table):
                self.tables.append(table)

            def close(self):
                self.tables.append("closed")

        parquet = types.SimpleNamespace(ParquetWriter=ParquetWriter)
        pyarrow = types.SimpleNamespace(table=lambda columns, schema: Table(columns, schema), parquet=parquet)
        monkeypatch.setitem(sys.modules, "pyarrow", pyarrow)
        monkeypatch.setitem(sys.modules, "pyarrow.parquet", parquet)


def test_parquet_gets_the_tables(run, tmp_path, monkeypatch):
    monkeypatch.setattr("minigrad.record.tables._BLOCK", 50)
    written = Parquet(monkeypatch).files
    paths = record.export_parquet(run, tmp_path)
    assert [str(path) for path in paths] == list(written)
    *blocks, end = written[str(tmp_path / "statistics.parquet")]
    assert end == "closed"
    assert len(blocks) > 1
    assert sum(block.num_rows for block in blocks) == 3 * STEPS
    first = blocks[0].columns
    assert (first["step"][1], first["kind"][1], first["name"][1]) == (1, "gradient", "fc.weight")
    assert first["norm"][1] == statistics(1, 1)[10]


def test_parquet_without_pyarrow_is_a_clear_error(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ArgumentError, match="pip install pyarrow"):
        record.export_parquet(run, tmp_path)


# ------------------------------------------------ TensorBoard: a decoder of its own


def slow_crc32c(data):
    """Polynomial division bit by bit."""
    value = 0xFFFFFFFF
    for byte in data:
        for bit in range(8):
            odd = (value ^ byte >> bit) & 1
            value = (value >> 1) ^ (0x82F63B78 if odd else 0)
    return value ^ 0xFFFFFFFF


def records(path):
    content, at = path.read_bytes(), 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        data = content[at + 12 : at + 12 + length]
        for part, place in ((content[at : at + 8], at + 8), (data, at + 12 + length)):
            (stored,) = struct.unpack_from("<I", content, place)
            unmasked = (stored - 0xA282EAD8) & 0xFFFFFFFF
            assert (unmasked << 15 | unmasked >> 17) & 0xFFFFFFFF == slow_crc32c(part)
        yield data
        at += 16 + length


def fields(message):
    """(number, value) of each field of a message."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            value = varint()
        else:
            size = {1: 8, 5: 4}.get(kind) or varint()
            value = message[at : at + size]
            assert len(value) == size
            at += size
            value = struct.unpack("<d", value)[0] if kind == 1 else value
            value = struct.unpack("<f", value)[0] if kind == 5 else value
        yield key >> 3, value


def values(path):
    """(tag, step, time, number or histogram) of every value."""
    first, *rest = records(path)
    assert dict(fields(first))[3] == b"brain.Event:2"
    for data in rest:
        event = dict(fields(data))
        for number, value in fields(event[5]):
            assert number == 1
            value = dict(fields(value))
            yield value[1].decode(), event[2], event[1], value.get(2, value.get(5))


@pytest.mark.parametrize(
    "data, crc",
    [
        (bytes(32), 0x8A9136AA),  # RFC 3720, appendix B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_checksums(data, crc):
    assert crc32c(data) == slow_crc32c(data) == crc


def test_tensorboard(run, tmp_path):
    (path,) = record.export_tensorboard(run, tmp_path)
    assert path.name.startswith("events.out.tfevents.")
    found = {}
    for tag, step, time, value in values(path):
        assert time == 1e9 + step
        found.setdefault(tag, {})[step] = value
    assert found["loss"] == {step: np.float32(1 / step) for step in range(1, STEPS + 1) if step != 7}
    assert found["rate/1"][9] == np.float32(0.009)
    assert found["epoch/accuracy"] == {30: 0.5}
    expected = {step: statistics(step, 1)[6] for step in range(1, STEPS + 1)}
    assert found["gradient/mean/fc.weight"] == expected
    assert found["output/dead/fc"][4] == np.float32(2 / 3)
    assert set(found["weight/fc.weight"]) == set(range(10, STEPS + 1, 10))
    histogram = dict(fields(found["gradient/fc.weight"][30]))
    assert [histogram[i] for i in (1, 2, 3)] == [0, 30, 30 * 64]
    middles = (np.arange(64) + 0.5) * 30 / 64
    assert histogram[4] == pytest.approx(30 * middles.sum())
    assert histogram[5] == pytest.approx(30 * (middles**2).sum())
    assert np.allclose(np.frombuffer(histogram[6]), np.arange(1, 65) * 30 / 64)
    assert np.frombuffer(histogram[7]).tolist() == [30] * 64


def test_a_run_without_anything_can_be_exported(tmp_path):
    record.RunWriter(tmp_path / "run", {}).close()
    run = record.open(tmp_path / "run")
    assert record.export_csv(run, tmp_path / "csv") == []
    (path,) = record.export_tensorboard(run, tmp_path / "events")
    assert list(values(path)) == []


def test_the_command(small_run, tmp_path, capsys):
    assert main([str(small_run), "--format", "csv", "--out", str(tmp_path / "csv")]) == 0
    assert "steps.csv: " in capsys.readouterr().out
    assert main([str(small_run), "--format", "tensorboard", "--out", str(tmp_path / "events")]) == 0
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path / "nowhere"), "--format", "csv", "--out", str(tmp_path)])
    assert end.value.code == 2
    assert "there is no recorded run" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit):
        main([str(small_run), "--format", "csv", "--out", str(tmp_path / "file")])
