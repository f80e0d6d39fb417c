"""--record: any training script leaves a record, which --resume goes on with, and learns the same with it."""

from __future__ import annotations

import pytest

import minigrad as mg
from experiments import train_tabular
from tests.experiments.scripts import run, spoil, weights


@pytest.mark.filterwarnings("ignore::minigrad.errors.RuleWarning")
def test_a_recorded_training_is_the_same_and_goes_on(tmp_path, monkeypatch, capsys):
    quick = ("--dataset", "wine", "--hidden", 8, "--epochs", 3)
    assert run(train_tabular, *quick, "--out", tmp_path / "bare") == 0
    assert "minigrad view" not in capsys.readouterr().out
    assert not (tmp_path / "bare" / "run" / "record.sqlite").exists()
    assert run(train_tabular, *quick, "--record", "--out", tmp_path / "whole") == 0
    assert "python -m minigrad view" in capsys.readouterr().out
    assert weights(tmp_path / "whole") == weights(tmp_path / "bare")
    whole = mg.record.open(tmp_path / "whole" / "run")
    assert [epoch["epoch"] for epoch in whole.epochs] == [1, 2, 3]
    assert whole.snapshot_steps("probe").tolist() == whole.snapshot_steps("weights").tolist()

    def interrupt(trainer):
        if trainer.global_step == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        spoil(patched, "on_save_point", interrupt)
        run(train_tabular, *quick, "--record", "--out", tmp_path / "parts")
    assert run(train_tabular, "--resume", "--out", tmp_path / "parts") == 0
    parts = mg.record.open(tmp_path / "parts" / "run")
    assert parts.steps["step"].tolist() == whole.steps["step"].tolist()
    assert parts.steps["loss"].tolist() == whole.steps["loss"].tolist()
