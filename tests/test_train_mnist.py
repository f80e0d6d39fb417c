"""The main job, small: what it leaves behind, that it can be repeated, and how it ends when something is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from experiments import train_mnist
from minigrad.cli import clear_errors
from minigrad.data import idx_bytes, load_mnist_part
from tests.html_pages import Page

SCRIPT = Path(train_mnist.__file__)
TRAIN, TEST = 512, 200
PICTURES = {"curves.png", "confusion.png", "mistakes.png", "filters.png"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with MNIST's four files, some images in each."""
    folder = tmp_path_factory.mktemp("mnist")
    for split, prefix, n in (("train", "train", TRAIN), ("test", "t10k", TEST)):
        part = load_mnist_part(split)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(part.inputs[:n, 0]))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(part.targets[:n].astype(np.uint8)))
    return folder


@pytest.fixture
def without_pictures(monkeypatch):
    """Drawing takes longer than so little training: only some tests look at the figures."""
    monkeypatch.setattr(train_mnist, "report_sections", lambda *_: [])


quickly = pytest.mark.usefixtures("without_pictures")


def run(*arguments) -> int:
    """The exit code of the script with these arguments, in this process."""
    try:
        with clear_errors(SCRIPT.name):
            return train_mnist.main([str(a) for a in arguments])
    except SystemExit as end:
        return int(end.code or 0)


def quick(data, out, *more) -> list:
    return [
        *("--data", data, "--out", out, "--model", "cnn", "--epochs", 1, "--train-images", 256),
        *("--batch-size", 32, "--lr", 0.1, *more),
    ]


def metrics(out) -> dict:
    return json.loads((out / "metrics.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)


# ------------------------------------------------ the report


def test_the_script_leaves_a_report(data, tmp_path):
    """In a process of its own, as a user runs it."""
    out = tmp_path / "made" / "runs"
    command = [sys.executable, str(SCRIPT), *map(str, quick(data, out))]
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    files = {"index.html", "metrics.json", "model.safetensors", "run", *PICTURES}
    assert {p.name for p in out.iterdir()} == files
    assert f"report: {out / 'index.html'}" in done.stdout
    assert "153,722 parameters" in done.stdout
    assert "epoch 1/1  train_loss" in done.stderr

    numbers = metrics(out)
    confusion = np.array(numbers["confusion"])
    assert confusion.shape == (10, 10)
    labels = load_mnist_part("test").targets[:TEST]
    assert (
        confusion.sum(axis=1).tolist() == np.bincount(labels, minlength=10).tolist()
    )  # rows are true digits
    assert numbers["test_accuracy"] == np.trace(confusion) / TEST
    assert numbers["mistakes"] == TEST - np.trace(confusion)
    assert (numbers["test_images"], numbers["training_images"]) == (TEST, 256)
    assert (numbers["parameters"], numbers["stopped_early"]) == (153_722, "no")
    assert 0 < numbers["training_seconds"] < 60
    (epoch,) = numbers["epochs"]
    assert (epoch["epoch"], epoch["step"]) == (1, 8)
    assert epoch["val_accuracy"] == pytest.approx(numbers["test_accuracy"])
    settings = numbers["settings"]
    assert {name: settings[name] for name in ("model", "crop", "epochs", "batch_size", "seed", "device")} == {
        "model": "cnn",
        "crop": 24,
        "epochs": 1,
        "batch_size": 32,
        "seed": 0,
        "device": "cpu",
    }
    assert str(data) in settings["data"]

    page = Page((out / "index.html").read_text(encoding="utf-8"))
    assert {image["src"] for image in page.images} == PICTURES
    assert page.text_of("h1") == ["MNIST, cnn"]
    assert page.text_of("p")[0].startswith(f"{numbers['test_accuracy']:.2%} of {TEST} test images recognised")


@quickly
def test_the_weights_are_those_that_were_measured(data, tmp_path):
    assert run(*quick(data, tmp_path)) == 0
    model = train_mnist.build_model("cnn", 8, crop=24)
    model.load_state_dict(mg.load(tmp_path / "model.safetensors"))
    images, labels = (array[:TEST] for array in load_mnist_part("test")[:])
    x = (images[:, :, 2:26, 2:26] / np.float32(255) - 0.1307) / 0.3081
    with mg.no_grad():
        predicted = model.eval()(mg.tensor(x.astype(np.float32))).argmax(1).numpy()
    numbers = metrics(tmp_path)
    assert (predicted != labels).sum() == numbers["mistakes"]
    first = model.bn1.num_batches_tracked.item()
    assert first == 8


@quickly
def test_the_same_seed_gives_the_same_run(data, tmp_path):
    outs = [tmp_path / name for name in "abc"]
    for out, seed in zip(outs, (3, 3, 4)):
        assert run(*quick(data, out, "--seed", seed)) == 0

    def facts(out):
        numbers = metrics(out)
        epochs = [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in numbers["epochs"]]
        return numbers["confusion"], epochs, (out / "model.safetensors").read_bytes()

    assert facts(outs[0]) == facts(outs[1])
    assert facts(outs[0])[2] != facts(outs[2])[2]


@quickly
@pytest.mark.parametrize("model", ["resnet", "plain"])
def test_residual_and_plain_networks(data, tmp_path, model):
    arguments = ["--data", data, "--out", tmp_path, "--model", model, "--epochs", 1, "--train-images", 64]
    assert run(*arguments, "--depth", 8) == 0
    numbers = metrics(tmp_path)
    weights = mg.load(tmp_path / "model.safetensors")
    assert any("downsample" in name for name in weights) == (model == "resnet")
    assert sum("conv" in name for name in weights) == 7  # with the linear layer the depth, 8
    learnt = {name: t for name, t in weights.items() if not name.endswith(("mean", "var", "tracked"))}
    assert numbers["parameters"] == sum(t.numel() for t in learnt.values())
    assert numbers["settings"]["depth"] == 8
    assert f"<h1>MNIST, {model} of depth 8</h1>" in (tmp_path / "index.html").read_text(encoding="utf-8")


@quickly
@pytest.mark.parametrize("smoothing", [0, 0.5])
def test_it_learns(data, tmp_path, smoothing):
    """Three epochs on 512 images: far above the tenth that guessing gives."""
    arguments = ["--data", data, "--out", tmp_path, "--model", "cnn", "--epochs", 3, "--batch-size", 16]
    assert run(*arguments, "--lr", 0.02, "--label-smoothing", smoothing) == 0
    numbers = metrics(tmp_path)
    assert numbers["test_accuracy"] > 0.7
    # No loss is below the entropy of the smoothed labels: 0.55 for the digit, 0.05 for each of the others
    entropy = -(0.55 * np.log(0.55) + 9 * 0.05 * np.log(0.05))
    assert (numbers["epochs"][-1]["val_loss"] > entropy) == (smoothing == 0.5)
    assert [epoch["step"] for epoch in numbers["epochs"]] == [32, 64, 96]


def test_no_mistakes_make_no_grid():
    test = load_mnist_part("test").subset(slice(20))
    model = train_mnist.build_model("cnn", 8)
    history = train_mnist.History()
    history.steps = {"loss": [1.0], "lr": [0.1]}
    probabilities = np.eye(10)[test.targets]
    confusion = train_mnist.count_confusions(test.targets, test.targets)
    sections = train_mnist.report_sections(model, history, probabilities, test, confusion)
    assert [section.name for section in sections if section.figure is None] == ["mistakes"]


def test_the_most_confident_mistakes_come_first():
    test = load_mnist_part("test").subset(slice(50))
    wrong = (test.targets + 1) % 10
    confidence = np.linspace(0.5, 0.99, 50)
    probabilities = np.zeros((50, 10))
    probabilities[np.arange(50), wrong] = confidence
    confusion = train_mnist.count_confusions(test.targets, wrong)
    assert np.trace(confusion) == 0
    assert confusion[3, 4] == (test.targets == 3).sum()  # rows true, columns predicted
    history = train_mnist.History()
    history.steps = {"loss": [1.0], "lr": [0.1]}
    model = train_mnist.build_model("cnn", 8)
    sections = train_mnist.report_sections(model, history, probabilities, test, confusion)
    figure = next(section.figure for section in sections if section.name == "mistakes")
    first = figure.axes[0]
    assert first.get_title() == f"{test.targets[-1]} taken for {wrong[-1]}\n99.0%"
    assert np.array_equal(first.images[0].get_array(), test.inputs[-1, 0])
    assert len([axes for axes in figure.axes if axes.images]) == 32


@quickly
def test_a_profile_on_request(data, tmp_path, capsys):
    assert run(*quick(data, tmp_path, "--profile")) == 0
    table = capsys.readouterr().out
    assert "conv_bn_act" in table
    assert "gradient" in table


# ------------------------------------------------ wrong use: one clear line, and no traceback


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--wat"], "unrecognized arguments: --wat"),
        (["--depth", "9"], "depth must be 6n + 2 (8, 14, 20, 26, ...), not 9"),
        (["--depth", "0"], "argument --depth: expected a whole number from 1, not '0'"),
        (["--device", "tpu"], "unknown device 'tpu'; available here: cpu"),
        (["--lr", "0"], "argument --lr: expected a number above 0, not '0'"),
        (["--lr", "nan"], "argument --lr: expected a number above 0, not 'nan'"),
        (["--lr", "high"], "argument --lr: expected a number above 0, not 'high'"),
        (["--epochs", "0"], "argument --epochs: expected a whole number from 1, not '0'"),
        (["--batch-size", "1.5"], "argument --batch-size: expected a whole number from 1, not '1.5'"),
        (["--crop", "29"], "argument --crop: expected a whole number from 8 to 28, not '29'"),
        (["--crop", "7"], "argument --crop: expected a whole number from 8 to 28, not '7'"),
        (
            ["--label-smoothing", "1"],
            "argument --label-smoothing: expected a number from 0 and below 1, not '1'",
        ),
        (["--label-smoothing", "-1"], "argument --label-smoothing: expected a number from 0, not '-1'"),
        (["--seed", "-1"], "a seed is an integer >= 0, not -1"),
        (["--model", "vgg"], "argument --model: invalid choice: 'vgg'"),
        (["--data", "nowhere"], "no MNIST train files in nowhere"),
    ],
)
def test_wrong_options(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run("--data", tmp_path, *arguments) == 2
    errors = capsys.readouterr().err
    *usage, last = errors.strip().splitlines()
    assert f"error: {message}" in last
    assert all(line.startswith(("usage:", " ")) for line in usage)
    assert "Traceback" not in errors


@pytest.mark.parametrize("arguments", [["--depth", "9"], ["--device", "tpu"], ["--seed", "-1"]])
def test_wrong_options_leave_no_folder(tmp_path, arguments):
    assert run("--out", tmp_path / "out", *arguments) == 2
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(data, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        assert run(*quick(data, out)) == 2
        output = capsys.readouterr()
        assert output.err.startswith(f"train_mnist.py: error: cannot write results to {out}: ")
        assert output.err.strip().endswith("name another folder with --out")
        assert output.err.count("\n") == 1
        assert output.out == ""  # before anything was computed


@pytest.mark.parametrize("damage", [lambda c: c[:-5], lambda c: b"\x1f\x8b" + c[2:], lambda c: b""])
def test_a_corrupt_data_file(data, tmp_path, capsys, damage):
    for path in data.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    images = tmp_path / "train-images-idx3-ubyte"
    images.write_bytes(damage(images.read_bytes()))
    assert run(*quick(tmp_path, tmp_path / "out")) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"train_mnist.py: error: {images} ")
    assert errors.count("\n") == 1


def test_the_script_ends_without_a_traceback(tmp_path):
    """The same in a process of its own: the exit code and the one line are what the shell sees."""
    command = [sys.executable, str(SCRIPT), "--data", str(tmp_path / "none"), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("train_mnist.py: error: no MNIST train files in ")
    assert done.stderr.count("\n") == 1


# ------------------------------------------------ training that ends before its time: nothing learnt is lost


def test_a_rate_that_diverges(data, tmp_path, capsys):
    assert run(*quick(data, tmp_path, "--lr", 1e30)) == 1
    errors = capsys.readouterr().err
    last = errors.strip().splitlines()[-1]
    assert last.startswith(
        "stopped early: the loss is nan at epoch 1, batch 2: training diverged (try a lower"
    )
    assert "Traceback" not in errors
    assert "Warning" not in errors
    numbers = metrics(tmp_path)
    assert numbers["stopped_early"] in last
    assert numbers["epochs"] == []
    weights = mg.load(tmp_path / "model.safetensors")
    assert all(np.isfinite(tensor.numpy()).all() for tensor in weights.values())
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert "Stopped early: the loss is nan" in page.text_of("p")[0]
    assert {image["src"] for image in page.images} == PICTURES


def spoil(monkeypatch, point, action):
    """Let `action(trainer)` happen at a point of training, before the script's own callbacks."""

    class Spoiler(mg.train.Callback):
        pass

    setattr(Spoiler, point, lambda self, trainer: action(trainer))
    original = mg.train.Trainer.__init__

    def patched(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.callbacks.insert(0, Spoiler())

    monkeypatch.setattr(mg.train.Trainer, "__init__", patched)


@quickly
def test_what_was_learnt_before_training_diverged_is_kept(data, tmp_path, monkeypatch, capsys):
    seen: list = []

    def break_in_the_second_epoch(trainer):
        if trainer.epoch == 1 and trainer.batch_index == 3:
            trainer.model.fc2.weight.data.fill_(np.nan)
        if trainer.epoch == 1 and trainer.batch_index == 0:
            seen.append({name: value.tolist() for name, value in trainer.model.state_dict().items()})

    spoil(monkeypatch, "on_batch_begin", break_in_the_second_epoch)
    assert run(*quick(data, tmp_path, "--epochs", 3)) == 1
    assert "epoch 2, batch 4" in capsys.readouterr().err
    kept = {name: value.tolist() for name, value in mg.load(tmp_path / "model.safetensors").items()}
    assert kept == seen[0]  # the state at the end of the first epoch
    numbers = metrics(tmp_path)
    assert [epoch["epoch"] for epoch in numbers["epochs"]] == [1]
    assert numbers["test_accuracy"] == pytest.approx(numbers["epochs"][0]["val_accuracy"])


@quickly
def test_a_network_spoilt_by_its_last_step(data, tmp_path, monkeypatch, capsys):
    """No batch follows that would show it: the loss on the test images does."""

    def break_at_the_end(trainer):
        if trainer.epoch == 1 and trainer.batch_index == 7:
            trainer.model.fc2.weight.data.fill_(np.nan)

    spoil(monkeypatch, "on_batch_end", break_at_the_end)
    assert run(*quick(data, tmp_path, "--epochs", 2)) == 1
    assert "the loss on the test images is not finite" in capsys.readouterr().err
    numbers = metrics(tmp_path)
    assert [epoch["val_loss"] is None for epoch in numbers["epochs"]] == [False, True]
    assert numbers["test_accuracy"] == pytest.approx(numbers["epochs"][0]["val_accuracy"])


@quickly
def test_an_interrupted_run_is_reported(data, tmp_path, monkeypatch, capsys):
    def interrupt(trainer):
        if trainer.global_step == 5:
            raise KeyboardInterrupt

    spoil(monkeypatch, "on_batch_begin", interrupt)
    assert run(*quick(data, tmp_path)) == 1
    assert "stopped early: interrupted after 5 steps" in capsys.readouterr().err
    assert metrics(tmp_path)["stopped_early"] == "interrupted after 5 steps"
    assert mg.load(tmp_path / "model.safetensors")["bn1.num_batches_tracked"].item() == 5


def test_an_interrupt_before_the_first_step(data, tmp_path, monkeypatch, capsys):
    def interrupt(trainer):
        raise KeyboardInterrupt

    spoil(monkeypatch, "on_epoch_begin", interrupt)
    assert run(*quick(data, tmp_path)) == 1
    assert "nothing was learnt" in capsys.readouterr().err
    assert not (tmp_path / "index.html").exists()


def test_an_interrupt_elsewhere(data, tmp_path, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(train_mnist, "load_mnist", interrupt)
    assert run(*quick(data, tmp_path)) == 130
    assert capsys.readouterr().err == "train_mnist.py: interrupted\n"


def test_help_shows_examples(capsys):
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert "python experiments/train_mnist.py --epochs 1" in text
    for option in ("model", "depth", "epochs", "batch-size", "lr", "crop", "device", "seed", "out", "data"):
        assert f"--{option}" in text
