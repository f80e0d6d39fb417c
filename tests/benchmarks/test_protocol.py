"""What a contestant's process and its parent say to each other."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
import types

import numpy as np
import pytest
from peers import worker, workloads
from peers.contestants import CONTESTANTS
from peers.process import THREAD_VARIABLES, Worker, thread_environment

from minigrad.errors import MinigradError

MINIGRAD = CONTESTANTS[0]


@pytest.fixture
def steps(monkeypatch):
    """A contestant whose step counts its calls."""
    module = types.ModuleType("fake_steps")
    module.calls = []

    def make_step(job, weights, inputs, labels):
        case = job.get("case", "first")
        if case == "impossible":
            raise RuntimeError("no such case\nat all")
        return lambda: module.calls.append(case) or float(len(module.calls))

    module.make_step, module.threads = make_step, lambda: 3
    monkeypatch.setitem(sys.modules, "fake_steps", module)
    return module


def converse(*lines: str, **job) -> tuple[int, list[dict]]:
    """The exit code and the answers to these lines."""
    channel = io.StringIO()
    asked = io.StringIO("".join(f"{line}\n" for line in lines))
    code = worker.serve({"framework": "json", "module": "fake_steps", **job}, asked, channel)
    return code, [json.loads(line) for line in channel.getvalue().splitlines()]


def test_a_conversation(steps):
    code, (ready, first, second, turned, third) = converse(
        "step", "step 3", "use other", "step 2", "quit", "step"
    )
    assert code == 0
    assert ready["ready"]["threads"] == 3
    assert set(ready["ready"]) >= {"import_seconds", "build_seconds", "version", "numpy", "python"}
    for burst in (first, second, third):
        assert burst["seconds"] > 0
        assert burst["peak_mb"] > 1
        assert burst["loss"] is None
    assert turned == {"ready": {}}
    assert steps.calls == ["first"] * 4 + ["other"] * 2


def test_the_end_of_the_input_ends_it(steps):
    code, answers = converse()
    assert (code, len(answers)) == (0, 1)


@pytest.mark.parametrize("line", ["step 0", "step -1", "step x", "use", "hello", ""])
def test_a_line_that_means_nothing_ends_it(steps, line):
    code, answers = converse(line, "step")
    assert code == 1
    assert "ValueError: expected 'step'" in answers[-1]["error"]
    assert not steps.calls


def test_an_error_is_one_line(steps):
    code, answers = converse("use impossible")
    assert (code, answers[-1]) == (1, {"error": "RuntimeError: no such case"})


def test_a_library_that_is_not_there_is_an_error(steps):
    code, answers = converse("step", framework="no_such_library")
    assert (code, len(answers)) == (1, 1)
    assert "no_such_library" in answers[0]["error"]


def test_an_inference_reports_its_cross_entropy(rng):
    logits, labels = rng.standard_normal((5, 3)), np.array([0, 1, 2, 1, 0])
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = -np.mean([np.log(softmax[i, label]) for i, label in enumerate(labels)])
    assert worker.cross_entropy(logits, labels) == pytest.approx(expected)
    assert worker.cross_entropy(logits + 1e4, labels) == pytest.approx(expected)


def tiny_job(folder, name: str = "mlp") -> dict:
    file = folder / "arrays.npz"
    np.savez(file, **workloads.arrays_of(name, tiny=True))
    plan = workloads.plan_of(workloads.make(name, tiny=True))
    common = {"workload": name, "tiny": True, "plan": plan, "arrays": str(file)}
    return {**common, "lr": 0.01, "momentum": 0.9, "training": True}


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped, at the latest in a few seconds: the signal was sent a moment ago."""
    for _ in range(100):
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            if file.read().rpartition(")")[2].split()[0] in "Tt":
                return True
        time.sleep(0.05)
    return False


def test_a_process(tmp_path):
    """It trains, is stopped in between, tells what its memory was, and leaves nothing behind."""
    core = sorted(os.sched_getaffinity(0))[:1]
    with Worker(MINIGRAD, tiny_job(tmp_path), sys.executable, core) as process:
        ready = process.ready()
        assert ready["threads"] == 1
        bursts = [process.step(), process.step(2), process.step()]
        assert bursts[2].loss < bursts[0].loss
        assert 10 < bursts[0].peak_mb <= bursts[2].peak_mb < 1000
        assert is_stopped(process._process.pid)
        files = process._files.name
    assert process._process.returncode is not None
    assert not os.path.exists(files)


def test_a_process_that_fails_says_why(tmp_path):
    job = {**tiny_job(tmp_path), "workload": "nothing"}
    with (
        Worker(MINIGRAD, job, sys.executable, [0]) as process,
        pytest.raises(MinigradError, match="minigrad: KeyError: 'nothing'"),
    ):
        process.ready()


def test_a_process_that_dies_says_how(tmp_path):
    with Worker(MINIGRAD, tiny_job(tmp_path), sys.executable, sorted(os.sched_getaffinity(0))) as process:
        process.ready()
        os.kill(process._process.pid, signal.SIGKILL)
        process._process.wait()
        with pytest.raises(MinigradError, match="ended with code -9"):
            process.step()


def test_all_libraries_get_the_same_number_of_threads():
    variables = thread_environment(3)
    assert {variables[name] for name in THREAD_VARIABLES} == {"3"}
    assert {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"} < set(variables)
    assert {"NUMBA_NUM_THREADS", "MINIGRAD_NUM_THREADS"} < set(variables)
