"""The scripts: what they leave behind, and how they end when something is wrong. Nothing is timed in earnest."""

from __future__ import annotations

import json
from pathlib import Path

import bench_ops
import bench_startup
import bench_train_step
import pytest
from op_cases import CALLS, GROUPS, cases

from minigrad.cli import clear_errors
from minigrad.errors import MinigradError


def run(script, *arguments) -> int:
    """The exit code of a script with these arguments, in this process."""
    try:
        with clear_errors(Path(script.__file__).name):
            return script.main([str(a) for a in arguments])
    except SystemExit as end:
        return int(end.code or 0)


def numbers(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)


QUARTILES = {"median_ms", "q1_ms", "q3_ms", "rounds", "samples_ms"}


def test_a_comparison_with_nobody(tmp_path, capsys):
    out, chart = tmp_path / "results" / "out.json", tmp_path / "chart.png"
    arguments = ["--tiny", "--workloads", "mlp", "cnn-inference", "--peers", "--rounds", 2, "--threads", 1]
    assert run(bench_train_step, *arguments, "--out", out, "--chart", chart) == 0
    found = numbers(out)
    assert found["machine"]["threads"] == 1
    assert {
        "processor",
        "cores",
        "load",
        "load_after",
        "python",
        "cores_used_by_others",
        "cores_used_by_others_after",
    } <= set(found["machine"])
    assert set(found["versions"]) == {"numpy", "minigrad"}
    assert list(found["workloads"]) == ["mlp", "cnn-inference"]
    own = found["workloads"]["mlp"]["contestants"]["minigrad"]
    assert set(own) >= QUARTILES | {"peak_mb", "cores_used", "first_step_ms", "losses", "times_minigrad"}
    assert own["times_minigrad"] == 1
    assert len(own["samples_ms"]) == own["rounds"] == 2
    assert own["losses"][2] < own["losses"][0]
    assert chart.read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert "mlp: one training step, batch of 16 x 1 x 8 x 8, 1 threads" in said
    assert "cnn-inference: one inference" in said


@pytest.mark.oracle
def test_pytorch_takes_part_and_agrees(monkeypatch, capsys):
    names = ("minigrad", "PyTorch, NCHW")
    monkeypatch.setattr(
        bench_train_step, "CONTESTANTS", [c for c in bench_train_step.CONTESTANTS if c.name in names]
    )
    assert run(bench_train_step, "--tiny", "--workloads", "mlp", "--rounds", 1, "--peers", "pytorch") == 0
    assert "x as fast" in capsys.readouterr().out


def canned(monkeypatch, agrees: bool, failed: dict) -> None:
    contestant = {"median_ms": 1.0, "q1_ms": 1.0, "q3_ms": 1.0, "rounds": 1, "times_minigrad": 1.0}
    contestant |= {
        "cores_used": 1.0,
        "peak_mb": 1.0,
        "first_step_ms": 1.0,
        "losses": [2.0],
        "losses_agree": agrees,
    }
    result = {"batch": 4, "shape": [1, 8, 8], "contestants": {"JAX": contestant}, "failed": failed}
    monkeypatch.setattr(bench_train_step, "measure", lambda *_: result)


@pytest.mark.parametrize(
    ("agrees", "failed", "code", "said"),
    [
        (True, {}, 0, "2.00000\n"),
        (False, {}, 1, "2.00000 DIFFERS"),
        (True, {"tinygrad": "no"}, 1, "tinygrad FAILED: no"),
    ],
)
def test_a_comparison_of_different_networks_fails(monkeypatch, capsys, agrees, failed, code, said):
    canned(monkeypatch, agrees, failed)
    assert run(bench_train_step, "--workloads", "mlp", "--peers") == code
    assert said in capsys.readouterr().out


def test_losses_must_agree_at_the_start_and_after_training():
    assert bench_train_step.agree([2.0, 1.5, 1.0], [2.0005, 9.0, 1.005])
    assert not bench_train_step.agree([2.0, 1.5, 1.0], [2.002, 1.5, 1.0])  # another forward
    assert not bench_train_step.agree([2.0, 1.5, 1.0], [2.0, 1.5, 1.05])  # another gradient or optimiser


class Fails:
    """A contestant whose process dies in the second round."""

    def __init__(self, name: str, peer: str, dies_at: int) -> None:
        self.contestant = bench_train_step.Contestant(name, peer, "", "", "")
        self.turns, self.dies_at = 0, dies_at

    def rounds(self, rounds: int, budget: float) -> int:
        return rounds

    def take_turn(self) -> None:
        self.turns += 1
        if self.turns == self.dies_at:
            raise MinigradError("gone")


def test_others_go_on_when_a_peer_dies():
    options = bench_train_step.arguments_of(["--rounds", "4"])
    own, peer, failed = Fails("minigrad", "minigrad", 99), Fails("JAX", "jax", 2), {}
    bench_train_step.take_turns("mlp", [own, peer], failed, options)
    assert (own.turns, peer.turns, failed) == (4, 2, {"JAX": "gone"})
    with pytest.raises(MinigradError, match="gone"):
        bench_train_step.take_turns("mlp", [Fails("minigrad", "minigrad", 1)], {}, options)


def test_a_slow_contestant_gets_fewer_rounds():
    entry = object.__new__(bench_train_step.Entry)
    entry.estimate, entry.steps = 3.0, 1
    assert entry.rounds(15, budget=30.0) == 10
    assert entry.rounds(15, budget=1.0) == bench_train_step.LEAST_ROUNDS
    entry.estimate, entry.steps = 0.002, 100
    assert entry.rounds(15, budget=30.0) == 15


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        (bench_train_step, ["--workloads", "vgg"], "invalid choice: 'vgg'"),
        (bench_train_step, ["--peers", "theano"], "invalid choice: 'theano'"),
        (bench_train_step, ["--python", "jax=/no/python"], "there is no program"),
        (bench_train_step, ["--threads", "9999"], "this process may use"),
        (bench_train_step, ["--rounds", "0"], "whole number from 1"),
        (bench_train_step, ["--budget", "-1"], "number above 0"),
        (bench_train_step, ["--out", "/dev/null/x.json"], "cannot write results"),
        (bench_ops, ["--ops", "fft"], "invalid choice: 'fft'"),
        (bench_ops, ["--match", "no such row"], "no row of"),
        (bench_ops, ["--out", "/dev/null/x.json"], "cannot write results"),
        (bench_startup, ["--workloads", "mlp-inference"], "invalid choice"),
        (bench_startup, ["--out", "/dev/null/x.json"], "cannot write results"),
    ],
)
def test_bad_arguments_end_in_one_clear_line(script, arguments, message, capsys):
    assert run(script, *arguments) == 2
    said = capsys.readouterr().err
    assert message in said.splitlines()[-1]
    assert "Traceback" not in said


@pytest.mark.parametrize("script", [bench_train_step, bench_ops, bench_startup])
def test_help_shows_examples(script, capsys):
    assert run(script, "--help") == 0
    assert f"python benchmarks/{Path(script.__file__).name}" in capsys.readouterr().out


def test_operations_without_pytorch(alone, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench_ops, "measured_peaks", lambda cores: {"flops": 1e11, "bandwidth": 1e10})
    out = tmp_path / "ops.json"
    assert (
        run(bench_ops, "--tiny", "--ops", "relu", "linear", "--rounds", 1, "--threads", 1, "--out", out) == 0
    )
    found = numbers(out)
    assert found["peaks"] == {"gflops": 100, "gb_per_second": 10}
    assert {row["group"] for row in found["rows"]} == {"relu", "linear"}
    for row in found["rows"]:
        own = row["contestants"]["minigrad"]
        assert row["times_minigrad"] is None
        least = max(row["flops"] / 1e11, row["bytes"] / 1e10)
        assert own["share_of_peak"] == pytest.approx(1e6 * least / own["median_us"])
    assert len(found["call_us"]) == len(CALLS)
    assert "relu: microseconds a call" in capsys.readouterr().out


def test_rows_of_operations_have_names_of_their_own():
    names = [case.name for case in [*cases(), *CALLS]]
    assert len(set(names)) == len(names)
    assert {case.group for case in cases()} | {"optimizer"} == set(GROUPS)


def test_starting_cold_and_warm(alone, monkeypatch, tmp_path):
    """A cold start finds an empty folder for kernels, a warm one the folder that was filled before."""
    found = []

    def start(contestant, job, python, cores, cache):
        folder = Path(cache)
        found.append((cache, folder.is_dir() and not any(folder.iterdir())))
        folder.mkdir(exist_ok=True)
        (folder / "kernel").touch()
        return bench_startup.Sample(0.1, 0.5, 100.0)

    monkeypatch.setattr(bench_startup, "start", start)
    assert run(bench_startup, "--workloads", "mlp", "--rounds", 2, "--out", tmp_path / "out.json") == 0
    first, *turns = found
    assert [empty for _, empty in turns] == [True, False, True, False]
    assert turns[1][0] == turns[3][0] == first[0]
    assert turns[0][0] != turns[2][0]
    assert set(numbers(tmp_path / "out.json")["workloads"]["mlp"]) == {"minigrad, cold", "minigrad, warm"}


def test_a_start(alone, tmp_path, capsys):
    """In earnest, once: processes are started and their first step is trained."""
    out = tmp_path / "out.json"
    assert (
        run(bench_startup, "--tiny", "--workloads", "mlp", "--rounds", 1, "--threads", 1, "--out", out) == 0
    )
    for sample in numbers(out)["workloads"]["mlp"].values():
        assert 0 < sample["import_seconds"]["median"] < sample["first_step_seconds"]["median"]
        assert sample["peak_mb"]["median"] > 10
    assert "minigrad, cold" in capsys.readouterr().out
