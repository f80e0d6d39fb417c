"""What tracing costs: the script runs, its ratios are those of its rounds, and its limits are kept to."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import bench_overhead
import bench_trace
import pytest

from minigrad import observe
from minigrad.cli import clear_errors
from minigrad.errors import MinigradError


@pytest.fixture
def quick(monkeypatch):
    """Turns of a step or two, and a made-up cost of looking for observers."""
    monkeypatch.setattr(bench_trace, "TURN", 1e-3)
    monkeypatch.setattr(
        bench_overhead, "observer_cost", lambda rounds, calls: {"off_ns": 50.0, "idle_observer_ns": 1.0}
    )


def run(*arguments) -> int:
    """The exit code of the script with these arguments, in this process."""
    try:
        with clear_errors(Path(bench_trace.__file__).name):
            return bench_trace.main([str(a) for a in arguments])
    except SystemExit as end:
        return int(end.code or 0)


def test_all_ways(quick, tmp_path, capsys):
    out = tmp_path / "results" / "out.json"
    arguments = ["--tiny", "--workloads", "mlp", "--rounds", 2, "--ways", *bench_trace.WAYS]
    assert run(*arguments, "--out", out) == 0
    found = json.loads(out.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert {"processor", "load_after"} <= set(found["machine"])
    assert set(found["versions"]) == {"numpy", "minigrad"}
    assert found["observers"]["off_ns"] == 50
    ways = found["workloads"]["mlp"]
    assert list(ways) == ["untraced", *bench_trace.WAYS]
    assert ways["untraced"]["ratio"] == 1
    assert all(len(way["samples_ms"]) == way["rounds"] == 2 for way in ways.values())
    said = capsys.readouterr().out
    assert "mlp: forward and backward, batch of 16 x 1 x 8 x 8" in said
    assert "50 ns where nobody observes" in said
    assert observe.observers == ()


def test_ratios_are_taken_within_rounds():
    found = bench_trace.compared({"untraced": [1.0, 2.0, 4.0], "meta": [2.0, 2.0, 12.0]}, "untraced")
    assert (found["meta"]["ratio"], found["meta"]["median_ms"]) == (2.0, 2000.0)
    assert found["untraced"]["ratio"] == 1


def test_a_step_is_traced_forward_and_back():
    seen = []

    class Look:
        def before(self, call):
            pass

        def after(self, call):
            seen.append(call.phase)

    step = bench_trace.step_of("mlp", tiny=True)
    step(lambda: observe.observe(Look()))
    assert {"forward", "gradient"} == set(seen)
    count = len(seen)
    step(nullcontext)
    assert len(seen) == count


def test_a_full_trace_is_full(monkeypatch):
    monkeypatch.setattr(bench_trace, "BUDGET", 100)
    step = bench_trace.step_of("mlp", tiny=True)
    with pytest.raises(MinigradError, match="this is no full trace"):
        step(bench_trace.WAYS["full"])


@pytest.mark.parametrize(("seconds", "off", "code"), [(1.0, 50.0, 0), (1.2, 50.0, 1), (1.0, 150.0, 1)])
def test_limits_are_checked_where_asked_for(monkeypatch, capsys, seconds, off, code):
    monkeypatch.setattr(bench_trace, "measure", lambda *_: {"untraced": [1.0] * 3, "meta": [seconds] * 3})
    monkeypatch.setattr(
        bench_overhead, "observer_cost", lambda rounds, calls: {"off_ns": off, "idle_observer_ns": 1.0}
    )
    assert run("--tiny", "--workloads", "mlp", "--check") == code
    assert ("BEYOND its limit" in capsys.readouterr().out) == bool(code)
    assert run("--tiny", "--workloads", "mlp") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workloads", "vgg"], "invalid choice: 'vgg'"),
        (["--ways", "everything"], "invalid choice: 'everything'"),
        (["--rounds", "0"], "whole number from 1"),
        (["--torchlens", "/no/python"], "there is no program"),
        (["--out", "/dev/null/x.json"], "cannot write results"),
    ],
)
def test_bad_arguments_end_in_one_clear_line(arguments, message, capsys):
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert message in said.splitlines()[-1]
    assert "Traceback" not in said


def test_help_shows_examples(capsys):
    assert run("--help") == 0
    assert "python benchmarks/bench_trace.py" in capsys.readouterr().out
