"""What training shows while it runs, and the weights it keeps in a file."""

from __future__ import annotations

import io
import math

import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import NonFiniteError
from minigrad.train import Callback, Checkpoint, ProgressBar
from tests.train.test_trainer import make_trainer


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_in_a_log_file(loader):
    file = io.StringIO()
    make_trainer(ProgressBar(file, lines_per_epoch=3)).fit(loader, 2, validation=loader)
    lines = file.getvalue().splitlines()
    assert [line.split("  ")[:2] for line in lines[:2]] == [
        ["epoch 1/2", "batch 1/3"],
        ["epoch 1/2", "batch 2/3"],
    ]
    assert lines[2].startswith("epoch 1/2  train_loss ")
    assert lines[5].startswith("epoch 2/2  train_loss ")
    assert len(lines) == 6
    assert "val_accuracy" in lines[2]
    assert "\r" not in file.getvalue()


def test_a_bar_on_a_terminal(loader):
    file = Terminal()
    bar = ProgressBar(file)
    make_trainer(bar).fit(loader, 2)
    text = file.getvalue()
    assert "epoch 1/2:   0%" in text
    assert "epoch 2/2: " in text
    finished = [line for part in text.split("\n") for line in part.split("\r") if "train_loss" in line]
    assert len(finished) == 2
    assert bar.bar is None


def test_progress_of_a_resumed_epoch(loader):
    """Two of three batches were done before: bar and lines begin behind them."""
    saved: list = []

    class Stop(Callback):
        def on_save_point(self, trainer):
            if trainer.global_step == 2:
                saved.append(trainer.state_dict())
                trainer.stop = True

    make_trainer(Stop()).fit(loader, 1)
    terminal, log = Terminal(), io.StringIO()
    make_trainer(ProgressBar(terminal), ProgressBar(log, lines_per_epoch=3)).fit(loader, 1, resume=saved[0])
    assert "epoch 1/1:  67%" in terminal.getvalue()
    assert "epoch 1/1:   0%" not in terminal.getvalue()
    assert [line.split("  ")[1].split()[0] for line in log.getvalue().splitlines()] == ["train_loss"]


def test_the_bar_is_closed_when_training_fails(loader):
    class Fail(Callback):
        def on_backward_end(self, trainer):
            raise RuntimeError

    bar = ProgressBar(Terminal())
    with pytest.raises(RuntimeError):
        make_trainer(bar, Fail()).fit(loader, 1)
    assert bar.bar is None


def test_checkpoints_hold_the_last_good_state(loader, tmp_path):
    path, model, states = tmp_path / "w.safetensors", nn.Linear(2, 2), []
    start = {name: value.tolist() for name, value in model.state_dict().items()}

    class Peek(Callback):
        def on_epoch_begin(self, trainer):
            states.append({name: value.tolist() for name, value in mg.load(path).items()})

        def on_epoch_end(self, trainer):
            if trainer.epoch == 1:
                trainer.model.weight.data.fill_(math.nan)

    trainer = make_trainer(Checkpoint(path), Peek(), model=model)
    with pytest.raises(NonFiniteError):
        trainer.fit(loader, 4, validation=loader)
    assert states[0] == start
    assert states[1] != start
    assert len(states) == 3
    kept = {name: value.tolist() for name, value in mg.load(path).items()}
    assert kept == states[2] != states[1]


def test_a_checkpoint_leaves_out_an_epoch_that_is_not_finite(loader, tmp_path):
    path, model = tmp_path / "w.safetensors", nn.Linear(2, 2)
    start = model.weight.tolist()
    validation = [(mg.full((1, 2), math.inf), mg.tensor([0]))]
    logs = make_trainer(Checkpoint(path), model=model).fit(loader, 1, validation=validation)
    assert math.isnan(logs["val_loss"])
    assert mg.load(path)["weight"].tolist() == start != model.weight.tolist()
