"""What recording costs: the script runs, and its numbers belong together."""

from __future__ import annotations

import json
from pathlib import Path

import bench_recorder
import pytest

from minigrad.cli import clear_errors


def run(*arguments) -> int:
    """The exit code of the script with these arguments, in this process."""
    try:
        with clear_errors(Path(bench_recorder.__file__).name):
            return bench_recorder.main([str(a) for a in arguments])
    except SystemExit as end:
        return int(end.code or 0)


def test_the_table_and_the_file(tmp_path, capsys):
    out = tmp_path / "out.json"
    assert run("--tiny", "--workloads", "mlp", "--rounds", 3, "--steps", 4, "--out", out) == 0
    found = json.loads(out.read_text(encoding="utf-8"))["workloads"]["mlp"]
    assert found["steps"] == 13  # three rounds of four, and one to begin with
    assert found["ratio"] == sorted(found["ratios"])[1] > 0
    assert found["database_kb_per_step"] > 0
    assert found["snapshots_mb"] > 0
    assert f"{found['ratio']:.3f}" in capsys.readouterr().out


def test_limits_are_kept_to(monkeypatch, capsys):
    monkeypatch.setattr(bench_recorder, "RATIO", 0.0)
    assert run("--tiny", "--workloads", "mlp", "--rounds", 1, "--steps", 2, "--check") == 1
    assert "BEYOND" in capsys.readouterr().out
    monkeypatch.setattr(bench_recorder, "RATIO", 1e9)
    monkeypatch.setattr(bench_recorder, "KILOBYTES", 1e9)
    assert run("--tiny", "--workloads", "mlp", "--rounds", 1, "--steps", 2, "--check") == 0


@pytest.mark.parametrize("wrong", [["--rounds", "0"], ["--workloads", "alexnet"], ["--steps", "x"]])
def test_wrong_options_are_refused(wrong, capsys):
    assert run(*wrong) == 2
    assert "error" in capsys.readouterr().err
