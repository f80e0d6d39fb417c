"""The main job's schedules, its held-out images, and going on with it after it was killed or interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import minigrad as mg
from common.options import settings_of
from experiments import train_mnist
from minigrad.train import RunFolder
from tests.test_train_mnist import SCRIPT, data, metrics, quick, run, spoil, without_pictures  # noqa: F401
from tests.train.kill_and_resume import difference

pytestmark = pytest.mark.usefixtures("without_pictures")


@pytest.fixture
def job(data, tmp_path):  # noqa: F811
    """The arguments of a small job of two epochs of 8 steps, for a folder."""
    return lambda name, *more: quick(data, tmp_path / name, "--epochs", 2, *more)


def rates(out) -> list[float]:
    state = RunFolder.open(out / "run").load()
    return state["callbacks"]["History"]["steps"]["lr"].tolist()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("constant", [0.1] * 16),
        ("step", [0.1] * 8 + [0.01] * 4 + [0.001] * 4),
        ("cosine", [0.05 * (1 + np.cos(np.pi * t / 16)) for t in range(16)]),
    ],
)
def test_schedules(job, tmp_path, name, expected):
    assert run(*job(name, "--schedule", name)) == 0
    assert rates(tmp_path / name) == pytest.approx(expected)
    assert metrics(tmp_path / name)["settings"]["schedule"] == name


def test_one_cycle_is_the_default(job, tmp_path):
    assert run(*job("a")) == 0
    found = rates(tmp_path / "a")
    assert found[0] == pytest.approx(0.1 / 25)
    assert max(found) == pytest.approx(0.1, rel=0.05)
    assert found[-1] < 1e-4


def test_held_out_images(job, tmp_path, monkeypatch):
    """A quarter of the 256 images is held out; the weights of the epoch that is best on them are reported."""
    seen: list = []

    def spoil_the_second_epoch(trainer):
        seen.append({name: value.tolist() for name, value in trainer.model.state_dict().items()})
        if trainer.epoch == 1:
            trainer.logs["val_accuracy"] = -1.0

    spoil(monkeypatch, "on_epoch_end", spoil_the_second_epoch)
    assert run(*job("a", "--validate", "0.25")) == 0
    numbers = metrics(tmp_path / "a")
    assert (numbers["training_images"], numbers["test_images"], numbers["best_epoch"]) == (192, 200, 1)
    assert [epoch["step"] for epoch in numbers["epochs"]] == [6, 12]
    kept = {name: value.tolist() for name, value in mg.load(tmp_path / "a" / "model.safetensors").items()}
    assert kept == seen[0] != seen[1]
    assert numbers["settings"]["validate"] == 0.25


@pytest.mark.parametrize("value", ["0", "1", "-0.5", "half"])
def test_a_wrong_fraction(job, capsys, value):
    assert run(*job("a", f"--validate={value}")) == 2
    assert "argument --validate: expected a number" in capsys.readouterr().err


def facts(out):
    """All that must be the same: the report's numbers and the weights."""
    numbers = {
        name: value
        for name, value in metrics(out).items()
        if name not in ("training_seconds", "stopped_early")
    }
    return {**numbers, "weights": dict(mg.load(out / "model.safetensors"))}


@pytest.mark.parametrize("more", [(), ("--validate", "0.25", "--schedule", "cosine")])
def test_going_on_after_an_interruption(job, tmp_path, monkeypatch, capsys, more):
    assert run(*job("whole", *more)) == 0
    with monkeypatch.context() as patch:
        pressed: list = []

        def press(trainer):
            if trainer.global_step == 10 and not pressed:
                pressed.append(signal.raise_signal(signal.SIGINT))

        spoil(patch, "on_forward_end", press)
        assert run(*job("cut", *more)) == 1
    errors = capsys.readouterr().err
    assert "stopped early: interrupted after 11 steps" in errors
    assert "to go on, give the same command with --resume" in errors
    assert len(metrics(tmp_path / "cut")["epochs"]) == 1
    before = metrics(tmp_path / "cut")["training_seconds"]
    assert run(*job("cut", "--resume")) == 0  # the other settings are those of the run
    assert difference(facts(tmp_path / "whole"), facts(tmp_path / "cut")) == ""
    assert metrics(tmp_path / "cut")["training_seconds"] > 0.5 * before
    states = [RunFolder.open(tmp_path / name / "run").load() for name in ("whole", "cut")]
    assert difference(*states) == ""


def test_going_on_after_a_kill(job, tmp_path):
    assert run(*job("whole")) == 0
    command = [sys.executable, str(SCRIPT), *map(str, job("cut"))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    first = RunFolder(tmp_path / "cut" / "run", {}).checkpoint_path(1, 0)
    deadline = time.monotonic() + 60
    while not first.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert first.exists()
    assert run(*job("cut", "--resume")) == 0
    assert difference(facts(tmp_path / "whole"), facts(tmp_path / "cut")) == ""


def test_a_finished_run_is_reported_again(job, tmp_path):
    assert run(*job("a")) == 0
    before = facts(tmp_path / "a")
    (tmp_path / "a" / "index.html").unlink()
    assert run(*job("a", "--resume")) == 0
    assert difference(before, facts(tmp_path / "a")) == ""
    assert (tmp_path / "a" / "index.html").exists()


def test_nothing_to_go_on_from(job, tmp_path, capsys):
    assert run(*job("none", "--resume")) == 2
    assert f"error: {tmp_path / 'none' / 'run'} holds no run" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    RunFolder.create(tmp_path / "empty" / "run", {"epochs": 2, "batch_size": 32})
    assert run(*job("empty", "--resume")) == 2
    assert "was made with other settings" in capsys.readouterr().err


def test_other_settings_are_named(job, tmp_path, capsys):
    assert run(*job("a")) == 0
    capsys.readouterr()
    assert run(*job("a", "--resume", "--lr", "0.3", "--seed", "7")) == 2
    errors = capsys.readouterr().err
    assert "other settings: lr was 0.1, is 0.3; seed was 0, is 7. Go on with the settings it has" in errors
    assert errors.count("\n") == 1


def test_a_run_that_starts_anew_keeps_the_one_before(job, tmp_path):
    assert run(*job("a", "--seed", "1")) == 0
    assert run(*job("a", "--seed", "2")) == 0
    folder = tmp_path / "a" / "run"
    assert (RunFolder.open(folder).config["seed"], RunFolder.open(folder / "before").config["seed"]) == (2, 1)


def test_wrong_data_leave_the_run_before(job, tmp_path):
    assert run(*job("a")) == 0
    assert run(*job("a", "--data", tmp_path / "nowhere")) == 2
    assert not (tmp_path / "a" / "run" / "before").exists()


def test_the_settings_are_all_there_are():
    """An option that changes the result and is not among the settings could differ unnoticed when a run goes on."""
    options = train_mnist.parse_arguments([])
    given = {name for name, value in vars(options).items() if value is not None}
    assert given - set(settings_of(options)) == {"out", "resume", "profile", "distributed"}
