"""A run that goes on from a checkpoint ends in the same bits as one that was left alone, from wherever it goes on."""

from __future__ import annotations

import os
import resource
import signal
from contextlib import contextmanager

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import DataError, NonFiniteError, StateError
from minigrad.optim import SGD
from minigrad.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from minigrad.train import (
    Callback,
    Checkpoint,
    History,
    ProgressBar,
    RunCheckpoint,
    RunFolder,
    ScheduleEpochs,
    Trainer,
    load_state,
    save_state,
)
from tests.train.kill_and_resume import difference, kill_and_resume, make_job

EPOCHS = 3


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was left alone, with the states of all its save points by position, and the one after its end."""
    folder, states = tmp_path_factory.mktemp("whole"), {}

    class KeepAll(Callback):
        def on_save_point(self, trainer):
            position = trainer.next_epoch, trainer.next_batch
            states[position] = folder / f"{position[0]}-{position[1]}.safetensors"
            save_state(trainer.state_dict(), states[position])

    trainer, loader, validation = make_job(RunFolder.create(folder, {}), EPOCHS, 1, KeepAll())
    trainer.fit(loader, EPOCHS, validation)
    final = folder / "final.safetensors"
    save_state(trainer.state_dict(), final)
    return {position: load_state(path) for position, path in states.items()}, load_state(final)


def test_states_are_taken_at_every_step_and_epoch(whole):
    states, _ = whole
    # 7 batches, two to a step; after the last one an epoch ends twice: before its validation and after it
    assert list(states) == [(0, 0)] + [
        position for e in range(EPOCHS) for position in [(e, 2), (e, 4), (e, 6), (e, 7), (e + 1, 0)]
    ]


def test_going_on_from_anywhere_gives_the_same_bits(whole, tmp_path):
    states, final = whole
    for position, state in states.items():
        run = RunFolder.create(tmp_path / "run", {})
        mg.manual_seed(77)
        trainer, loader, validation = make_job(run, EPOCHS)
        for parameter in trainer.model.parameters():  # nothing may be left of what it began with
            parameter.data.fill_(9.0)
        mg.manual_seed(123)
        trainer.fit(loader, EPOCHS, validation, resume=state)
        assert difference(trainer.state_dict(), final) == "", f"from {position}"
        assert not trainer.resumed


def test_the_comparison_sees_every_part(whole):
    """What the test above rests on: a state that lacks one thing, or has another value there, ends elsewhere."""
    states, final = whole
    state = states[1, 4]
    assert {"momentum_buffer"} == set(state["optimizer"]["state"]["0"])
    other = {**state, "random": states[1, 2]["random"]}
    assert "/random" in difference(other, state)
    moved = {**state, "model": {**state["model"], "1.bias": state["model"]["1.bias"] + 1e-7}}
    assert "/model/1.bias" in difference(moved, state)
    assert difference(state, final)


@pytest.mark.parametrize("part", ["random", "optimizer", "scheduler", "loader", "totals", "callbacks"])
def test_every_part_of_the_state_matters(whole, tmp_path, part):
    """Each part taken from a step before (or with another seed) leads to another end: none is saved in vain."""
    states, final = whole
    trainer, loader, validation = make_job(RunFolder.create(tmp_path, {}), EPOCHS)
    other = {**states[1, 4]["loader"], "seed": 4} if part == "loader" else states[1, 2][part]
    trainer.fit(loader, EPOCHS, validation, resume={**states[1, 4], part: other})
    assert difference(trainer.state_dict(), final) != ""


def test_a_list_of_batches_and_a_load_before_fit(tmp_path):
    """Without a loader that has a state, and through `load_state_dict`."""
    rng = np.random.default_rng(0)
    batches = [(mg.tensor(rng.random((4, 3), dtype=np.float32)), mg.tensor([0, 1, 1, 0])) for _ in range(5)]

    def make(*callbacks):
        mg.manual_seed(1)
        model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 2))
        return Trainer(model, SGD(model.parameters(), lr=0.1), callbacks=[History(), *callbacks])

    trainer = make()
    trainer.fit(batches, 3)
    run = RunFolder.create(tmp_path, {})

    class Stop(Callback):
        def on_batch_end(self, trainer):
            trainer.stop = trainer.global_step == 8

    stopped = make(RunCheckpoint(run), Stop())
    stopped.fit(batches, 3)
    assert run.checkpoints()[-1] == run.checkpoint_path(1, 3)
    other = make()
    state = run.load()
    del state["callbacks"]["RunCheckpoint"]
    other.load_state_dict(state)
    other.fit(batches, 3)
    assert difference(other.state_dict(), trainer.state_dict()) == ""


def test_a_finished_run_stays_finished(tmp_path):
    run = RunFolder.create(tmp_path, {})
    trainer, loader, validation = make_job(run, EPOCHS)
    logs = trainer.fit(loader, EPOCHS, validation)
    files = {path: path.stat().st_mtime_ns for path in run.checkpoints()}
    again, loader, validation = make_job(run, EPOCHS)
    assert again.fit(loader, EPOCHS, validation, resume=run.load()) == logs
    assert again.global_step == trainer.global_step
    assert files == {path: path.stat().st_mtime_ns for path in run.checkpoints()}


def test_schedules_that_count_epochs_go_on():
    batches = [(mg.ones(2, 3), mg.tensor([0, 1]))]

    def make():
        model = nn.Linear(3, 2)
        optimizer = SGD(model.parameters(), lr=1.0)
        watch = ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
        return Trainer(
            model,
            optimizer,
            callbacks=[
                ScheduleEpochs(StepLR(optimizer, 2)),
                ScheduleEpochs(watch, monitor="train_accuracy"),
                History(),
            ],
        )

    def copied(state):
        return {**state, "model": {name: value.clone() for name, value in state["model"].items()}}

    whole = make()
    whole.fit(batches, 5)
    rates = whole.callback(History).steps["lr"]
    # Accuracy stands still: halved each epoch from the second on; and a tenth every second epoch
    assert rates == pytest.approx([1.0, 1.0, 0.05, 0.025, 0.00125])
    first, second = make(), make()
    first.fit(batches, 3)
    second.fit(batches, 5, resume=copied(first.state_dict()))
    assert second.callback(History).steps["lr"] == rates


# ------------------------------------------------ interruptions


class Interrupt(Callback):
    """Presses Ctrl-C at one point, in one step."""

    def __init__(self, point: str, step: int, times: int = 1) -> None:
        self.step, self.times = step, times
        setattr(self, point, self.press)

    def press(self, trainer):
        if trainer.global_step == self.step:
            while self.times:
                self.times -= 1
                signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("point", "step", "position"),
    [
        ("on_fit_begin", 0, (0, 0)),
        ("on_forward_end", 5, (1, 4)),
        ("on_step_end", 6, (1, 4)),
        ("on_save_point", 5, (1, 4)),
        ("on_batch_end", 8, (1, 7)),
        ("on_validation_begin", 8, (2, 0)),
    ],
)
def test_ctrl_c_saves_and_ends(whole, tmp_path, point, step, position, capfd):
    _, final = whole
    run = RunFolder.create(tmp_path, {})
    log: list = []

    class End(Callback):
        def on_epoch_end(self, trainer):
            assert trainer.next_batch == 0  # an epoch that is interrupted has no end

        def on_fit_end(self, trainer):
            log.append("end")

    trainer, loader, validation = make_job(run, EPOCHS, 100, Interrupt(point, step), End())
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(loader, EPOCHS, validation)
    assert log == ["end"]
    assert "press Ctrl-C again" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert run.checkpoints()[-1] == run.checkpoint_path(*position)
    trainer, loader, validation = make_job(run, EPOCHS, 100)
    trainer.fit(loader, EPOCHS, validation, resume=run.load())
    assert difference(trainer.state_dict(), final) == ""
    assert [row["step"] for row in run.metrics()] == [2, 4, 4, 6, 8, 8, 10, 12, 12]


def test_a_second_ctrl_c_ends_at_once(tmp_path):
    run = RunFolder.create(tmp_path, {})
    trainer, loader, validation = make_job(run, EPOCHS, 100, Interrupt("on_forward_end", 5, times=2))
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(loader, EPOCHS, validation)
    assert run.checkpoints()[-1] == run.checkpoint_path(1, 0)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_somebody_elses_handler_stays(loader_of_one):
    caught: list = []
    before = signal.signal(signal.SIGINT, lambda *_: caught.append(1))
    try:
        model = nn.Linear(2, 2)
        Trainer(model, SGD(model.parameters(), lr=0.1), callbacks=[Interrupt("on_step_end", 1)]).fit(
            loader_of_one, 2
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert caught == [1]


@pytest.fixture
def loader_of_one():
    return [(mg.ones(2, 2), mg.tensor([0, 1]))]


# ------------------------------------------------ full disks and divergence


@contextmanager
def no_file_above(size: int):
    """Writing more than so many bytes to a file fails half-way, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_last_checkpoint(whole, tmp_path):
    _, final = whole
    run = RunFolder.create(tmp_path, {})
    trainer, loader, validation = make_job(run, EPOCHS)
    trainer.fit(loader, 1, validation)
    trainer, loader, validation = make_job(run, EPOCHS)
    with no_file_above(20_000), pytest.raises(DataError, match=r"cannot write .*epoch-0001-batch-000002"):
        trainer.fit(loader, EPOCHS, validation, resume=run.load())
    assert sorted(path.name for path in run.checkpoints_path.iterdir()) == [
        "best.safetensors",
        *(f"epoch-000{e}-batch-00000{b}.safetensors" for e, b in ((0, 6), (0, 7), (1, 0))),
    ]
    with (
        no_file_above(run.metrics_size() + 10),
        pytest.raises(DataError, match=r"cannot write .*metrics\.jsonl"),
    ):
        run.log({"step": 1, "loss": 0.123456789})
    trainer, loader, validation = make_job(run, EPOCHS)
    trainer.fit(loader, EPOCHS, validation, resume=run.load())
    assert difference(trainer.state_dict(), final) == ""
    assert [row["step"] for row in run.metrics()] == [2, 4, 4, 6, 8, 8, 10, 12, 12]


def test_a_diverged_run_leaves_the_last_checkpoint(tmp_path):
    class Spoil(Callback):
        """The weights become infinite in an update, of which the loss before it knows nothing."""

        def on_step_end(self, trainer):
            if trainer.global_step == 6:
                trainer.model[1].weight.data[0, 0] = np.inf

    run = RunFolder.create(tmp_path, {})
    trainer, loader, validation = make_job(run, EPOCHS, 1, Spoil())
    with pytest.raises(NonFiniteError, match=r"1\.weight holds NaN or infinity after step 6"):
        trainer.fit(loader, EPOCHS, validation)
    state = run.load()
    assert (state["trainer"]["next_epoch"], state["trainer"]["next_batch"]) == (1, 2)
    assert all(np.isfinite(value.numpy()).all() for value in state["model"].values())


def test_an_epoch_whose_validation_is_not_finite_is_left_out(tmp_path):
    run = RunFolder.create(tmp_path, {})
    model = nn.Linear(2, 2)
    batch, bad = (mg.ones(2, 2), mg.tensor([0, 1])), (mg.full((1, 2), np.inf), mg.tensor([0]))
    Trainer(model, SGD(model.parameters(), lr=0.1), callbacks=[RunCheckpoint(run)]).fit(
        [batch], 2, validation=[bad]
    )
    assert run.checkpoints() == [run.checkpoint_path(0, 0)]


# ------------------------------------------------ states that do not fit


def test_a_state_that_does_not_fit_is_refused(whole, tmp_path):
    states, _ = whole
    state = states[1, 4]

    def resume(state, epochs=EPOCHS, change=None):
        trainer, loader, validation = make_job(RunFolder.create(tmp_path / "run", {}), EPOCHS)
        loader = loader if change is None else change(trainer, loader)
        trainer.fit(loader, epochs, validation, resume=state)

    with pytest.raises(StateError, match=r"parts model, optimizer.*; got model"):
        resume({"model": state["model"]})
    with pytest.raises(StateError, match="got str"):
        resume("runs/mnist")
    with pytest.raises(StateError, match=r"1\.weight has shape \[8, 64\], expected \[16, 64\]"):
        resume({**state, "model": {**state["model"], "1.weight": mg.zeros(8, 64)}})
    with pytest.raises(
        StateError, match=r"with a state were EarlyStopping, History.* here they are EarlyStopping, RunC"
    ):
        resume(state, change=lambda trainer, loader: trainer.callbacks.pop(0) and loader)
    with pytest.raises(
        StateError, match="the run measured accuracy, confusion, f1, loss, the trainer accuracy"
    ):
        resume(state, change=lambda trainer, loader: trainer.totals.metrics.pop("f1") and loader)
    with pytest.raises(StateError, match="the run has a scheduler, the trainer has none"):
        resume(state, change=lambda trainer, loader: setattr(trainer, "scheduler", None) or loader)
    with pytest.raises(StateError, match="epochs had 7 batches, those of this loader have 3"):
        resume(state, change=lambda trainer, loader: list(loader)[:3])
    with pytest.raises(StateError, match="another kind of loader than this list"):
        resume(state, change=lambda trainer, loader: list(loader))
    with pytest.raises(StateError, match="not the state of such a training run: KeyError"):
        resume({**state, "trainer": {}})
    with pytest.raises(StateError, match="not the state of such a training run"):
        resume({**state, "random": {"cpu": {"bit_generator": "MT19937"}}})


def test_callbacks_without_a_state_may_come_and_go(whole, tmp_path):
    states, final = whole
    trainer, loader, validation = make_job(RunFolder.create(tmp_path / "run", {}), EPOCHS)
    with open(os.devnull, "w") as nowhere:
        trainer.callbacks += [ProgressBar(nowhere), Checkpoint(tmp_path / "w.safetensors")]
        trainer.fit(loader, EPOCHS, validation, resume=states[2, 2])
    assert difference(trainer.state_dict(), final) == ""


# ------------------------------------------------ kills


def test_a_few_kills(tmp_path):
    assert kill_and_resume(tmp_path, kills=4, epochs=14, seed=1) == ""
