"""Early stopping, averages of weights, accumulated and clipped gradients: what is learnt, what is left in the model."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, NonFiniteError
from minigrad.nn import functional as F
from minigrad.optim import SGD, ExponentialMovingAverage
from minigrad.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from minigrad.train import (
    Callback,
    EarlyStopping,
    History,
    RunCheckpoint,
    RunFolder,
    ScheduleEpochs,
    Trainer,
    WeightAverage,
)
from minigrad.train.weights import Monitor

BATCH = (mg.ones(1, 1), mg.ones(1, 1))


class Scripted(Callback):
    """Sets the weight to the epoch's number, and validation's loss to a given one."""

    def __init__(self, losses) -> None:
        self.losses = losses

    def on_validation_begin(self, trainer):
        trainer.model.weight.data.fill_(trainer.epoch + 1)

    def on_epoch_end(self, trainer):
        trainer.logs["val_loss"] = self.losses[trainer.epoch]


def fit(losses, early, *others) -> tuple[Trainer, float]:
    """The trainer, and the weight that is left, after as many epochs as early stopping lets pass."""
    model = nn.Linear(1, 1, bias=False)
    callbacks = [Scripted(losses), early, History(), *others]
    trainer = Trainer(model, SGD(model.parameters(), lr=0.1), F.mse_loss, metrics=[], callbacks=callbacks)
    trainer.fit([BATCH], len(losses), validation=[BATCH])
    return trainer, model.weight.item()


@pytest.mark.parametrize(
    ("options", "losses", "epochs", "best"),
    [
        ({"patience": 2}, [5, 3, 4, 3, 1], 4, 2),  # an equal loss is not better
        ({"patience": 1}, [5, 4, 3, 2, 1], 5, 5),
        ({"patience": 1}, [5, 6, 1], 2, 1),
        ({"patience": 3}, [5, 6, 6, 4, 6, 6, 6, 1], 7, 4),  # the count begins anew
        ({"patience": 2, "min_delta": 1.0}, [5, 4.5, 4, 3.5], 3, 1),
        ({"patience": 2, "mode": "max"}, [1, 2, 1, 1, 9], 4, 2),
        ({"patience": 2}, [math.nan, 3, math.nan, math.nan, 1], 4, 2),
        ({"patience": None}, [1, 2, 2, 2, 2, 2, 2], 7, 1),
    ],
)
def test_early_stopping(options, losses, epochs, best):
    early = EarlyStopping("val_loss", **options)
    trainer, weight = fit(losses, early)
    assert len(trainer.callback(History).epochs) == epochs
    assert (early.best, early.best_epoch, weight) == (losses[best - 1], best, best)


def test_the_last_weights_stay_if_so_wished():
    early = EarlyStopping(patience=1, restore_best=False)
    _, weight = fit([1, 2, 3], early)
    assert (weight, early.best_epoch, early.best_weights) == (2, 1, {})


def test_buffers_are_restored_too(rng):
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    batches = [(mg.tensor(rng.standard_normal((4, 2), dtype=np.float32)), mg.tensor([0, 1, 0, 1]))]
    early, seen = EarlyStopping("train_loss", patience=1, mode="max"), []

    class Note(Callback):
        def on_epoch_end(self, trainer):
            seen.append({name: t.tolist() for name, t in trainer.model.state_dict().items()})

    Trainer(model, SGD(model.parameters(), lr=0.1), callbacks=[Note(), early]).fit(batches, 5)
    assert len(seen) == 2  # the loss falls, which is worse here
    assert {name: t.tolist() for name, t in model.state_dict().items()} == seen[0]
    assert model[1].num_batches_tracked.item() == 1


def test_the_best_weights_come_back_when_training_fails():
    class Diverge(Callback):
        def on_epoch_begin(self, trainer):
            if trainer.epoch == 2:
                trainer.model.weight.data.fill_(math.nan)

    early, model = EarlyStopping(patience=5), nn.Linear(1, 1, bias=False)
    callbacks = [Scripted([2, 1, 3]), early, Diverge()]
    trainer = Trainer(model, SGD(model.parameters(), lr=0.1), F.mse_loss, metrics=[], callbacks=callbacks)
    with pytest.raises(NonFiniteError):
        trainer.fit([BATCH], 3, validation=[BATCH])
    assert model.weight.item() == 2


def test_a_second_training_starts_counting_anew():
    early = EarlyStopping(patience=1)
    trainer, _ = fit([1, 2], early)
    trainer.callbacks[0].losses = [9, 8, 7]
    trainer.fit([BATCH], 3, validation=[BATCH])
    assert (early.best, early.best_epoch) == (7, 3)


def test_a_run_that_was_stopped_stays_stopped(tmp_path):
    run = RunFolder.create(tmp_path, {})
    trainer, _ = fit([1, 2, 3, 4], EarlyStopping(patience=2), RunCheckpoint(run))
    assert trainer.next_epoch == 3
    model, early = nn.Linear(1, 1, bias=False), EarlyStopping(patience=2)
    callbacks = [Scripted([1, 2, 3, 4]), early, History(), RunCheckpoint(run)]
    again = Trainer(model, SGD(model.parameters(), lr=0.1), F.mse_loss, metrics=[], callbacks=callbacks)
    again.fit([BATCH], 4, validation=[BATCH], resume=run.load())
    assert (again.next_epoch, again.global_step, early.best_epoch, model.weight.item()) == (3, 3, 1, 1)


def test_an_epoch_that_is_not_finite_is_never_the_best():
    class Count(Scripted):
        def on_epoch_end(self, trainer):
            super().on_epoch_end(trainer)
            trainer.logs["val_accuracy"] = 1 - trainer.epoch / 10  # weights of NaN give some accuracy, too

    early, model = EarlyStopping("val_accuracy", patience=None), nn.Linear(1, 1, bias=False)
    callbacks = [Count([math.nan, 2, 1]), early]
    trainer = Trainer(model, SGD(model.parameters(), lr=0.1), F.mse_loss, metrics=[], callbacks=callbacks)
    trainer.fit([BATCH], 3, validation=[BATCH])
    assert (early.best, early.best_epoch) == (0.9, 2)


def test_an_epoch_cut_short_does_not_count():
    class Stop(Callback):
        def on_batch_end(self, trainer):
            trainer.stop = True

    model, early = nn.Linear(1, 1), EarlyStopping()
    schedule = ScheduleEpochs(StepLR(SGD(model.parameters(), lr=1.0), 1))
    trainer = Trainer(
        model, SGD(model.parameters(), lr=0.1), F.mse_loss, metrics=[], callbacks=[early, schedule, Stop()]
    )
    trainer.fit([BATCH] * 2, 3, validation=[BATCH])
    assert early.best is None
    assert schedule.scheduler.last_epoch == 0


def test_what_can_be_monitored():
    assert Monitor("val_loss").sign == Monitor("val_perplexity").sign == -1
    assert Monitor("val_accuracy").sign == Monitor("val_loss", "max").sign == 1
    with pytest.raises(
        ArgumentError, match="no number 'val_f1' to monitor; it has epoch, step, train_loss, val_loss, sec"
    ):
        fit([1, 2], EarlyStopping("val_f1"))
    for options, message in (
        ({"patience": 0}, "patience must be a whole number from 1, or None, not 0"),
        ({"mode": "best"}, 'mode must be "auto", "min" or "max", not'),
        ({"min_delta": -1}, "min_delta must be >= 0, not -1"),
    ):
        with pytest.raises(ArgumentError, match=message):
            EarlyStopping(**options)


# ------------------------------------------------ averages


def test_validation_sees_the_average():
    """Weights 1, 2, 3 after the steps: with decay 1/2 the average is 1, 1.5, 2.25."""
    model, seen = nn.Linear(1, 1, bias=False), []
    average = ExponentialMovingAverage(model, decay=0.5)

    class Steps(Callback):
        def on_step_end(self, trainer):
            trainer.model.weight.data.fill_(trainer.global_step)

        def on_validation_begin(self, trainer):
            seen.append(("before", trainer.model.weight.item()))

        def on_validation_end(self, trainer):
            seen.append(("after", trainer.model.weight.item()))

    def loss(output, targets):
        if not model.training:
            seen.append(("validation", model.weight.item()))
        return F.mse_loss(output, targets)

    callbacks = [Steps(), WeightAverage(average)]
    trainer = Trainer(model, SGD(model.parameters(), lr=0.1), loss, metrics=[], callbacks=callbacks)
    trainer.fit([BATCH], 3, validation=[BATCH])
    assert [value for name, value in seen if name == "validation"] == [1, 1.5, 2.25]
    assert [value for name, value in seen if name == "before"] == [1, 2, 3]
    assert model.weight.item() == 3


def test_the_weights_come_back_when_validation_fails():
    model = nn.Linear(1, 1, bias=False)
    average = ExponentialMovingAverage(model, decay=0.5)
    trainer = Trainer(
        model, SGD(model.parameters(), lr=0.1), F.mse_loss, metrics=[], callbacks=[WeightAverage(average)]
    )
    with pytest.raises(ArgumentError, match="nothing to evaluate"):
        trainer.fit([BATCH], 1, validation=[])
    average.update()  # would be refused while the averages are in the model


# ------------------------------------------------ accumulation and clipping


def steps_by_hand(groups, lr, clip=math.inf):
    """The weight of a linear model without bias after steps of mean squared error on groups of batches."""
    w = 0.0
    for group in groups:
        gradient = sum(2 * float(((w * x - y) * x).mean()) for x, y in group) / len(group)
        w -= lr * gradient * min(1.0, clip / abs(gradient))
    return w


@pytest.mark.parametrize(
    ("accumulate", "clip"), [(1, None), (2, None), (3, None), (7, None), (2, 0.1), (1, 0.1)]
)
def test_accumulated_and_clipped_gradients(rng, accumulate, clip):
    """Five batches: the last step takes what is left, and means what a whole one means."""
    arrays = [(rng.standard_normal((3, 1)), rng.standard_normal((3, 1))) for _ in range(5)]
    model, points = nn.Linear(1, 1, bias=False).double(), []
    model.weight.data.fill_(0)

    class Note(Callback):
        def on_backward_end(self, trainer):
            points.append("backward")

        def on_step_end(self, trainer):
            points.append("step")
            if clip is not None:
                assert abs(trainer.model.weight.grad.item()) <= clip

        def on_save_point(self, trainer):
            assert trainer.next_batch in (*range(0, 5, accumulate), 5)

    trainer = Trainer(
        model,
        SGD(model.parameters(), lr=0.3),
        F.mse_loss,
        metrics=[],
        callbacks=[Note()],
        accumulate=accumulate,
        clip_norm=clip,
    )
    trainer.fit([(mg.tensor(x), mg.tensor(y)) for x, y in arrays], 2)
    groups = [arrays[i : i + accumulate] for i in range(0, 5, accumulate)] * 2
    assert model.weight.item() == pytest.approx(steps_by_hand(groups, 0.3, clip or math.inf), abs=1e-6)
    assert trainer.global_step == len(groups) == points.count("step")
    assert points == [p for group in groups for p in (*["backward"] * len(group), "step")]


def test_stopping_waits_for_the_step():
    class Stop(Callback):
        def on_batch_end(self, trainer):
            trainer.stop = True

    model = nn.Linear(1, 1)
    trainer = Trainer(
        model, SGD(model.parameters(), lr=0.1), F.mse_loss, metrics=[], callbacks=[Stop()], accumulate=3
    )
    trainer.fit([BATCH] * 7, 1)
    assert (trainer.next_batch, trainer.global_step) == (3, 1)


def test_gradients_that_are_not_finite_are_never_applied():
    class Spoil(Callback):
        def on_backward_end(self, trainer):
            trainer.model.weight.grad.detach().fill_(math.inf)

    model = nn.Linear(1, 1)
    before = model.weight.item()
    trainer = Trainer(
        model, SGD(model.parameters(), lr=0.1), F.mse_loss, metrics=[], callbacks=[Spoil()], clip_norm=1.0
    )
    with pytest.raises(NonFiniteError, match=r"norm of order 2 is inf"):
        trainer.fit([BATCH], 1)
    assert model.weight.item() == before


def test_wrong_options():
    model = nn.Linear(1, 1)
    optimizer = SGD(model.parameters(), lr=0.1)
    for options, message in (
        ({"accumulate": 0}, "accumulate must be a whole number from 1, not 0"),
        ({"clip_norm": 0}, "clip_norm must be above 0, or None, not 0"),
        (
            {"scheduler": ReduceLROnPlateau(optimizer)},
            "needs a number after each epoch: hand it to ScheduleEpochs",
        ),
    ):
        with pytest.raises(ArgumentError, match=message):
            Trainer(model, optimizer, **options)
    for scheduler, monitor in ((ReduceLROnPlateau(optimizer), None), (StepLR(optimizer, 1), "val_loss")):
        with pytest.raises(ArgumentError, match="a monitor goes with ReduceLROnPlateau"):
            ScheduleEpochs(scheduler, monitor)
    plateau = ScheduleEpochs(ReduceLROnPlateau(optimizer), monitor="val_loss")
    with pytest.raises(
        ArgumentError, match="no number 'val_loss' to monitor; it has epoch, step, train_loss, seconds"
    ):
        Trainer(model, optimizer, F.mse_loss, metrics=[], callbacks=[plateau]).fit([BATCH], 1)


def test_a_callback_is_given_back():
    model, history = nn.Linear(1, 1), History()
    trainer = Trainer(
        model, SGD(model.parameters(), lr=0.1), F.mse_loss, metrics=[], callbacks=[history, EarlyStopping()]
    )
    trainer.fit([BATCH], 1, validation=[BATCH])
    assert trainer.callback(History) is history
    assert trainer.callback(EarlyStopping).best_epoch == 1
    with pytest.raises(
        ArgumentError, match="no callback of the kind WeightAverage; it has History, EarlyStopping"
    ):
        trainer.callback(WeightAverage)
