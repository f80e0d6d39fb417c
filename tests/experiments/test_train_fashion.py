"""Training on Fashion-MNIST, small; and what all training scripts share: the run, its resumption, its ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments import train_fashion
from minigrad.data import load_fashion_mnist
from minigrad.train import RunFolder
from tests.experiments.conftest import TEST, TRAIN
from tests.experiments.scripts import errors_of, metrics, run, spoil, weights
from tests.html_pages import Page

PICTURES = {"curves.png", "confusion.png", "samples.png", "mistakes.png", "filters.png"}
quickly = pytest.mark.usefixtures("without_pictures")


def quick(data, out, *more) -> list:
    return [
        *("--data", data, "--out", out, "--model", "simple_cnn", "--epochs", 2),
        *("--batch-size", 32, "--lr", 0.02, *more),
    ]


def test_the_script_leaves_a_report(idx_folder, tmp_path):
    """In a process of its own, as a user runs it."""
    out = tmp_path / "made" / "runs"
    script = Path(train_fashion.__file__)
    command = [sys.executable, str(script), *map(str, quick(idx_folder, out))]
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    left = {path.name for path in out.iterdir()} - {"mistakes.png"}  # there may be none
    assert left == {"index.html", "metrics.json", "model.safetensors", "run", *PICTURES} - {"mistakes.png"}
    assert f"report: {out / 'index.html'}" in done.stdout
    assert "206,970 parameters" in done.stdout

    numbers = metrics(out)
    confusion = np.array(numbers["confusion"])
    labels = load_fashion_mnist(idx_folder, "test").targets
    assert confusion.sum(axis=1).tolist() == np.bincount(labels, minlength=10).tolist()
    assert numbers["test_accuracy"] == np.trace(confusion) / TEST > 0.3
    assert numbers["mistakes"] == TEST - np.trace(confusion)
    assert (numbers["test_examples"], numbers["training_examples"]) == (TEST, TRAIN)
    assert numbers["epochs"][-1]["val_accuracy"] == pytest.approx(numbers["test_accuracy"])
    assert numbers["settings"]["schedule"] == "onecycle"
    assert RunFolder.open(out / "run").config["model"] == "simple_cnn"

    page = Page((out / "index.html").read_text(encoding="utf-8"))
    assert {image["src"] for image in page.images} | {"mistakes.png"} == PICTURES
    assert page.text_of("h1") == ["Fashion-MNIST, simple_cnn"]
    rows = {row[0]: row[1:] for row in page.rows}
    recall = confusion[8, 8] / confusion[8].sum()
    assert rows["Bag"][1] == f"{recall:.1%}"


@quickly
@pytest.mark.parametrize("model", ["mlp", "lenet5", "resnet8"])
def test_other_networks(idx_folder, tmp_path, model):
    assert run(train_fashion, *quick(idx_folder, tmp_path, "--model", model, "--train-images", 64)) == 0
    assert metrics(tmp_path)["settings"]["model"] == model


@quickly
@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "step", "constant"])
def test_schedules(idx_folder, tmp_path, schedule):
    seen: list[float] = []

    def note(trainer):
        seen.append(trainer.optimizer.param_groups[0]["lr"])

    with pytest.MonkeyPatch.context() as patch:
        spoil(patch, "on_batch_begin", note)
        more = ("--schedule", schedule, "--train-images", 128, "--epochs", 1, "--batch-size", 16)
        assert run(train_fashion, *quick(idx_folder, tmp_path, *more)) == 0
    assert len(seen) == 8
    t = np.arange(8)
    expected = {
        "cosine": 0.01 * (1 + np.cos(np.pi * t / 8)),
        "step": 0.02 * np.array([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01]),
        "constant": np.full(8, 0.02),
    }
    if schedule == "onecycle":
        assert seen[0] == pytest.approx(0.02 / 25)
        assert 0.018 < max(seen) <= 0.02
        assert seen[-1] < 1e-6
    else:
        np.testing.assert_allclose(seen, expected[schedule], rtol=1e-9)


@quickly
def test_the_best_epoch_on_held_out_images(idx_folder, tmp_path):
    assert run(train_fashion, *quick(idx_folder, tmp_path, "--validate", 0.25, "--epochs", 3)) == 0
    numbers = metrics(tmp_path)
    assert numbers["training_examples"] == TRAIN * 3 // 4
    accuracies = [epoch["val_accuracy"] for epoch in numbers["epochs"]]
    assert numbers["weights_of_epoch"] == 1 + int(np.argmax(accuracies))
    counts = {round(accuracy * TRAIN / 4, 6) % 1 for accuracy in accuracies}
    assert counts == {0}  # measured on the 80 images held out, not on the 120 test images


@quickly
def test_patience_ends_training(idx_folder, tmp_path):
    """A rate too small to change any answer: no epoch after the first is better."""
    more = ("--validate", 0.25, "--patience", 1, "--epochs", 9, "--lr", 1e-12, "--train-images", 64)
    assert run(train_fashion, *quick(idx_folder, tmp_path, *more), "--model", "mlp") == 0
    assert len(metrics(tmp_path)["epochs"]) == 2
    assert metrics(tmp_path)["stopped_early"] == "no"


@quickly
@pytest.mark.parametrize("more", [(), ("--validate", 0.25)])
def test_an_interrupted_run_goes_on_to_the_same_weights(idx_folder, tmp_path, capsys, more):
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    assert run(train_fashion, *quick(idx_folder, whole, *more)) == 0

    def interrupt(trainer):
        if trainer.global_step == 5:
            signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        spoil(patch, "on_step_end", interrupt)
        assert run(train_fashion, *quick(idx_folder, parted, *more)) == 1
    assert "stopped early: interrupted after 5 steps\n" in capsys.readouterr().err
    assert metrics(parted)["stopped_early"] == "interrupted after 5 steps"
    # Everything but the folders is known to the run
    assert run(train_fashion, "--data", idx_folder, "--out", parted, "--resume") == 0
    assert weights(parted) == weights(whole)
    facts = [
        [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in metrics(out)["epochs"]]
        for out in (whole, parted)
    ]
    assert facts[0] == facts[1]
    assert metrics(parted)["confusion"] == metrics(whole)["confusion"]


@quickly
def test_a_rate_that_diverges(idx_folder, tmp_path, capsys):
    assert run(train_fashion, *quick(idx_folder, tmp_path, "--lr", 1e30)) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("stopped early: the loss is ")
    assert metrics(tmp_path)["stopped_early"] in last
    assert all(np.isfinite(value).all() for value in weights(tmp_path).values())


def test_nothing_learnt(idx_folder, tmp_path, monkeypatch, capsys):
    def interrupt(trainer):
        raise KeyboardInterrupt

    spoil(monkeypatch, "on_epoch_begin", interrupt)
    assert run(train_fashion, *quick(idx_folder, tmp_path)) == 1
    assert "nothing was learnt" in capsys.readouterr().err
    assert not (tmp_path / "index.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "vgg"], "argument --model: invalid choice: 'vgg'"),
        (["--schedule", "wavy"], "argument --schedule: invalid choice: 'wavy'"),
        (["--validate", "1"], "argument --validate: expected a number between 0 and 1, not '1'"),
        (["--validate", "-0.1"], "argument --validate: expected a number above 0, not '-0.1'"),
        (["--patience", "3"], "--patience goes with --validate"),
        (["--train-images", "0"], "argument --train-images: expected a whole number from 1, not '0'"),
        (["--device", "tpu"], "unknown device 'tpu'; available here: cpu"),
        (["--seed", "-1"], "a seed is an integer >= 0, not -1"),
        (["--data", "nowhere"], "no Fashion-MNIST train files in nowhere"),
        (["--resume"], "run holds no run"),
    ],
)
def test_wrong_options(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run(train_fashion, "--data", tmp_path, *arguments) == 2
    assert message in errors_of(capsys)


@quickly
def test_a_run_that_is_resumed_with_other_settings(idx_folder, tmp_path, capsys):
    arguments = quick(idx_folder, tmp_path, "--train-images", 64)
    assert run(train_fashion, *arguments) == 0
    capsys.readouterr()
    assert run(train_fashion, *arguments, "--epochs", 3, "--resume") == 2
    assert "was made with other settings: epochs was 2, is 3" in errors_of(capsys)


def test_help_shows_examples(capsys):
    assert run(train_fashion, "--help") == 0
    text = capsys.readouterr().out
    assert "python experiments/train_fashion.py --model lenet5" in text
    for option in (
        "model",
        "epochs",
        "batch-size",
        "lr",
        "schedule",
        "validate",
        "resume",
        "seed",
        "out",
        "data",
    ):
        assert f"--{option}" in text
