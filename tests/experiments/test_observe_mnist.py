"""A small residual network on images, recorded: what is measured, and that a run and its record go on."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
import models
from common.findings import findings
from experiments import observe_mnist
from minigrad.data import load_mnist
from tests.experiments.conftest import TEST, TRAIN
from tests.experiments.fake_run import leave_out_pictures
from tests.experiments.scripts import check_page, errors_of, metrics, run, spoil, weights
from tests.html_pages import Page

SMALL = ["--width", 4, "--batch-size", 64, "--lr", 0.05]


def test_it_learns_and_its_record_tells_how(tmp_path, idx_folder, capsys, monkeypatch):
    leave_out_pictures(monkeypatch, page=True)
    out = tmp_path / "out"
    assert run(observe_mnist, "--data", idx_folder, *SMALL, "--epochs", 4, "--out", out) == 0
    numbers, printed = metrics(out), capsys.readouterr().out
    test = load_mnist(idx_folder, "test", download=False)
    assert (numbers["training_examples"], numbers["test_examples"]) == (TRAIN, TEST)
    assert np.sum(numbers["confusion"]) == len(test) == TEST
    assert numbers["test_accuracy"] == pytest.approx(np.trace(numbers["confusion"]) / TEST)
    assert numbers["epochs"][-1]["train_loss"] < numbers["epochs"][0]["train_loss"]
    recorded = mg.record.open(out / "run")
    assert recorded.configuration["settings"]["rules"]
    network = models.small_resnet(8, 10, 1, widths=(4, 8, 16), stem="strided")
    paths = {name for name, module in network.named_modules() if isinstance(module, mg.nn.Conv2d)}
    assert paths | {"fc"} == {signal.name for signal in recorded.signals("output")}
    answers = {finding.name: finding for finding in findings(recorded)}
    assert sum(answer.told for answer in answers.values()) >= 6
    gradients = str(answers["shrinking_gradients"])
    # The mean over 4 x 4 pixels hands each a sixteenth of its gradient
    assert "from fc to layer3.0.conv2, in reshape and adaptive_avg_pool2d" in gradients
    assert "spread over 16 times as many elements" in gradients
    (passed,) = (
        row["left_through_what_follows"]
        for row in answers["shrinking_gradients"].rows
        if "left_through_what_follows" in row
    )
    assert passed == pytest.approx(1 / 16, rel=0.2)  # from 256 elements of each
    words = " ".join(printed.split())
    assert all(f"{answer.title} {answer}" in words for answer in answers.values())
    texts = Page((out / "index.html").read_text(encoding="utf-8")).text_of("p")
    assert {str(answer) for answer in answers.values()} <= set(texts)
    check_page(out)


def test_a_run_that_was_stopped_goes_on_with_its_record(tmp_path, idx_folder, monkeypatch, capsys):
    leave_out_pictures(monkeypatch)
    whole, out = tmp_path / "whole", tmp_path / "out"
    arguments = ["--data", idx_folder, *SMALL, "--epochs", 2]
    assert run(observe_mnist, *arguments, "--out", whole) == 0

    def interrupt(trainer):
        if trainer.global_step == 7:  # of 10
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        spoil(patch, "on_step_end", interrupt)
        assert run(observe_mnist, *arguments, "--out", out) == 1
    assert mg.record.open(out / "run").steps["step"][-1] < 10
    assert "what the record tells" in capsys.readouterr().out
    assert run(observe_mnist, "--data", idx_folder, "--resume", "--out", out) == 0
    assert weights(out) == weights(whole)
    before, after = (mg.record.open(folder / "run") for folder in (whole, out))
    assert after.steps["step"].tolist() == list(range(1, 11))
    assert after.steps["loss"].tolist() == before.steps["loss"].tolist()
    told = [{f.name: str(f) for f in findings(reader)} for reader in (before, after)]
    for answers in told:  # rules do not remember what they told before a resume
        del answers["noticed"]
    assert told[0] == told[1]


def test_a_run_goes_on_with_its_own_images(tmp_path, idx_folder, monkeypatch, capsys):
    leave_out_pictures(monkeypatch)
    arguments = ["--data", idx_folder, *SMALL, "--epochs", 1, "--out", tmp_path]
    assert run(observe_mnist, *arguments) == 0
    part = mg.data.load_mnist_part
    monkeypatch.setattr(observe_mnist, "load_mnist", lambda root, split: part(split))
    capsys.readouterr()
    assert run(observe_mnist, "--resume", "--out", tmp_path) == 2
    assert f"made with other settings: images was {TRAIN}, is 8000" in errors_of(capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--depth", "9"], "depth must be 6n + 2"),
        (["--width", "0"], "argument --width: expected a whole number from 1"),
        (["--patience", "3"], "--patience goes with --validate"),
    ],
)
def test_wrong_options(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run(observe_mnist, *arguments) == 2
    assert message in errors_of(capsys)
    assert not (tmp_path / "runs").exists()
