"""A run's folder: what it keeps, what it tolerates, from where it goes on."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, DataError
from minigrad.optim import SGD
from minigrad.train import History, RunCheckpoint, RunFolder, RunLog, Trainer, save_state
from minigrad.train.environment import differences, environment, git_revision


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "run", {"lr": 0.1, "betas": (0.9, 0.99), "seed": 0})


def position(state) -> tuple[int, int]:
    return state["trainer"]["next_epoch"], state["trainer"]["next_batch"]


def trained(run: RunFolder, epochs: int = 2, **options) -> Trainer:
    """A trainer after some epochs of three steps."""
    model = nn.Linear(2, 2)
    batches = [(mg.ones(2, 2), mg.tensor([0, 1]))] * 3
    callbacks = [History(), RunLog(run), RunCheckpoint(run, **options)]
    trainer = Trainer(model, SGD(model.parameters(), lr=0.1), callbacks=callbacks)
    trainer.fit(batches, epochs, validation=batches)
    return trainer


# ------------------------------------------------ configuration and environment


def test_configuration(run):
    opened = RunFolder.open(run.path)
    assert opened.config == run.config == {"lr": 0.1, "betas": [0.9, 0.99], "seed": 0}
    opened.require_config({"lr": 0.1, "betas": (0.9, 0.99), "seed": 0})
    with pytest.raises(
        ArgumentError, match=r"other settings: epochs was None, is 3; lr was 0\.1, is 0\.2\. Go on with"
    ):
        opened.require_config({"lr": 0.2, "betas": (0.9, 0.99), "seed": 0, "epochs": 3})
    with pytest.raises(
        ArgumentError, match="a configuration holds what JSON can hold: Object of type ndarray"
    ):
        RunFolder.create(run.path.parent / "other", {"lr": np.zeros(2)})
    assert not (run.path.parent / "other").exists()


def test_environment(run):
    (first,) = run.environment()
    assert first["versions"]["numpy"] == np.__version__
    assert first["hardware"]["cores"] >= 1
    assert first["hardware"]["device"] == "cpu"
    assert first["command"][1:] == sys.argv
    RunFolder.resume(run.path)
    assert [set(entry) for entry in run.environment()] == [set(first)] * 2


def test_other_conditions_are_named(run):
    path = run.path / "environment.json"
    entries = json.loads(path.read_text())
    entries[0]["versions"]["numpy"] = "1.0"
    entries[0]["threads"] = {"OMP_NUM_THREADS": "64"}
    path.write_text(json.dumps(entries))
    with pytest.warns(
        UserWarning, match=rf"numpy was 1\.0, is {np.__version__}; .*OMP_NUM_THREADS was 64, is "
    ):
        RunFolder.resume(run.path)
    RunFolder.resume(run.path)  # the second time under the same conditions
    assert differences(environment(), environment()) == []


def test_git_revision(tmp_path):
    assert git_revision(tmp_path / "none") is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    try:
        subprocess.run([*git, "init", "-q"], check=True)
    except FileNotFoundError:
        return  # without git there is nothing to tell
    (tmp_path / "file").write_text("1")
    assert git_revision(tmp_path) is None  # no commit yet
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    head = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    assert git_revision(tmp_path) == {"revision": head, "changed": False}
    (tmp_path / "file").write_text("2")
    assert git_revision(tmp_path) == {"revision": head, "changed": True}


def test_a_new_run_sets_the_old_one_aside(run):
    trained(run)
    old = {path.name for path in run.path.iterdir()}
    new = RunFolder.create(run.path, {"lr": 0.5})
    assert {path.name for path in run.path.iterdir()} == {
        "before",
        "config.json",
        "environment.json",
        "checkpoints",
    }
    assert {path.name for path in (run.path / "before").iterdir()} == old
    assert (new.metrics(), new.checkpoints()) == ([], [])
    assert position(RunFolder.open(run.path / "before").load()) == (2, 0)
    newest = RunFolder.create(run.path, {})
    assert RunFolder.open(newest.path / "before").config == {"lr": 0.5}


def test_folders_that_are_none(tmp_path, run):
    with pytest.raises(DataError, match=r"nowhere holds no run: there is no file .*config\.json"):
        RunFolder.open(tmp_path / "nowhere")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot begin a run in"):
        RunFolder.create(tmp_path / "file", {})
    for text, message in (("[1]", "does not hold a dict"), ("{", "is damaged"), ("\xff", "is damaged")):
        (run.path / "config.json").write_text(text, encoding="latin-1")
        with pytest.raises(DataError, match=rf"config\.json.* {message}"):
            RunFolder.open(run.path)


# ------------------------------------------------ metrics


def test_metrics(run):
    rows = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": math.inf, "confusion": [[1, math.nan]]}]
    for row in rows:
        run.log(row)
    assert run.metrics() == [rows[0], {"step": 2, "loss": None, "confusion": [[1, None]]}]
    text = run.metrics_path.read_text()
    assert [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()] == run.metrics()


def test_a_torn_last_line(run):
    run.log({"step": 1})
    run.log({"step": 2})
    whole = run.metrics_path.read_bytes()
    for cut in range(len(whole)):
        run.metrics_path.write_bytes(whole[:cut])
        lines = whole[:cut].count(b"\n")
        assert [row["step"] for row in run.metrics()] == [1, 2][:lines]
        resumed = RunFolder.resume(run.path)
        resumed.log({"step": 9})
        assert [row["step"] for row in resumed.metrics()] == [*[1, 2][:lines], 9]


def test_damaged_lines(run):
    for line in (b"{", b"[1]", b"\xff", b""):
        run.metrics_path.write_bytes(b'{"step":1}\n' + line + b'\n{"step":3}\n')
        with pytest.raises(DataError, match=r"metrics\.jsonl is damaged: line 2 is no JSON object"):
            run.metrics()


def test_lines_of_steps_and_epochs(run):
    trainer = trained(run)
    assert [row["step"] for row in run.metrics()] == [3, 6]
    assert [row["epoch"] for row in run.metrics()] == [1, 2]
    assert run.metrics() == trainer.callback(History).epochs
    assert RunLog(run).state_dict() == {"size": run.metrics_path.stat().st_size}
    with pytest.raises(ArgumentError, match="every must be a whole number of steps from 1, or None, not 0"):
        RunLog(run, every=0)


# ------------------------------------------------ checkpoints


def test_the_latest_are_kept(run):
    trained(run, 4, every=2, keep=3)
    # steps 2, 4, ... of 12, and the ends of epochs of three steps
    assert run.checkpoints() == [run.checkpoint_path(*p) for p in ((3, 0), (3, 1), (3, 3), (4, 0))[-3:]]
    trained(run, 1, keep=1)
    assert run.checkpoints() == [run.checkpoint_path(1, 0)]  # a new training: what lay ahead of it is gone
    with pytest.raises(ArgumentError, match="keep must be a whole number from 1, not 0"):
        RunCheckpoint(run, keep=0)


def test_checkpoints_are_in_order_beyond_the_digits(run):
    for epoch in (9999, 10000, 2):
        run.checkpoint_path(epoch, 0).write_bytes(b"")
    (run.checkpoints_path / "notes.txt").write_text("not a checkpoint")
    assert run.checkpoints() == [run.checkpoint_path(epoch, 0) for epoch in (2, 9999, 10000)]


def test_the_best_is_kept(run):
    """A model whose validation gets worse from the second epoch on."""
    model, values = nn.Linear(1, 1, bias=False), iter([3.0, 1.0, 2.0, 1.0])
    model.weight.data.fill_(0)

    def loss(output, targets):
        return (output * 0).sum() + (targets.sum() if not model.training else 1.0)

    batches = [(mg.ones(1, 1), mg.ones(1, 1))]

    class Validation:
        def __iter__(self):
            return iter([(mg.ones(1, 1), mg.full((1, 1), next(values)))])

    callbacks = [RunCheckpoint(run, monitor="val_loss")]
    Trainer(model, SGD(model.parameters(), lr=0.1), loss, metrics=[], callbacks=callbacks).fit(
        batches, 4, validation=Validation()
    )
    assert position(run.load("best")) == (2, 0)
    assert position(run.load()) == (4, 0)
    assert run.load()["callbacks"]["RunCheckpoint"] == {"best": 1.0}
    again = RunCheckpoint(run, monitor="val_loss")
    again.load_state_dict(run.load()["callbacks"]["RunCheckpoint"])
    assert not again.monitor.is_better(
        {"val_loss": 1.5}
    )  # nothing worse takes its place once the run goes on
    with pytest.raises(ArgumentError, match='which must be "latest" or "best", not \'worst\''):
        run.load("worst")


def test_the_best_is_written_before_what_says_so(run, monkeypatch):
    """A kill between the two: going on from the checkpoint before, the epoch is the best once more."""
    import minigrad.train.run_folder as module

    def fail_after_an_epoch(state, path):
        if path == run.checkpoint_path(1, 0):
            raise DataError("killed here")
        save_state(state, path)

    monkeypatch.setattr(module, "save_state", fail_after_an_epoch)
    with pytest.raises(DataError, match="killed here"):
        trained(run, 1, monitor="val_loss")
    assert position(run.load("best")) == (1, 0)
    assert run.load()["callbacks"]["RunCheckpoint"]["best"] is None


def test_damaged_checkpoints_are_passed_over(run):
    trained(run, 3)
    latest, before, first = run.checkpoints()[::-1]
    latest.write_bytes(latest.read_bytes()[:-1])
    with pytest.warns(
        UserWarning, match=rf"{latest.name} is damaged .*; going back to the one before, {before.name}"
    ):
        assert position(run.load()) == (2, 0)
    content = bytearray(before.read_bytes())
    content[-1] ^= 1
    before.write_bytes(content)
    with pytest.warns(UserWarning, match=r"does not match its content; going back"):
        assert position(run.load()) == (1, 0)
    first.write_bytes(b"")
    with pytest.raises(
        DataError, match=r"no checkpoint to load: .*0003.* is damaged.*0002.* is damaged.*0001.* is damaged"
    ):
        run.load()
    with pytest.raises(DataError, match=r"no checkpoint to load: there is no file .*best\.safetensors"):
        run.load("best")


def test_what_a_kill_left_unfinished_is_cleared_away(run):
    trained(run)
    with pytest.raises(DataError, match="it has none yet"):
        RunFolder.create(run.path.parent / "empty", {}).load()
    unfinished = run.checkpoints_path / "epoch-0003-batch-000000.safetensors.tmp4711"
    unfinished.write_bytes(b"half")
    assert position(run.load()) == (2, 0)
    RunFolder.resume(run.path)
    assert not unfinished.exists()


def test_a_run_may_move(run, tmp_path):
    trainer = trained(run)
    moved = run.path.rename(tmp_path / "elsewhere")
    state = RunFolder.resume(moved).load()
    assert np.array_equal(state["model"]["weight"].numpy(), trainer.model.weight.numpy())
    assert not Path(run.path).exists()
