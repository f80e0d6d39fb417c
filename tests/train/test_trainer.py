"""The training loop: what is learnt, what callbacks see and when, what ends it, what it refuses."""

from __future__ import annotations

import math

import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, NonFiniteError, ShapeError
from minigrad.optim import SGD
from minigrad.optim.lr_scheduler import OneCycleLR
from minigrad.train import Callback, History, Trainer, accuracy


def make_trainer(*callbacks, lr: float = 0.5, model: nn.Module | None = None, **options) -> Trainer:
    model = nn.Linear(2, 2) if model is None else model
    return Trainer(model, SGD(model.parameters(), lr=lr), callbacks=callbacks, **options)


class Recorder(Callback):
    """Notes every call, as (name of the recorder, point, facts)."""

    def __init__(self, name: str, log: list) -> None:
        self.name, self.log = name, log

    def note(self, point, *facts):
        self.log.append((self.name, point, *facts))

    def on_fit_begin(self, trainer):
        self.note("fit_begin", trainer.epochs)

    def on_epoch_begin(self, trainer):
        self.note("epoch_begin", trainer.epoch, trainer.model.training)

    def on_batch_begin(self, trainer):
        self.note("batch_begin", trainer.batch_index, len(trainer.batch[1]))

    def on_forward_end(self, trainer):
        assert math.isfinite(trainer.loss)
        self.note("forward_end", trainer.model.weight.grad is None)

    def on_backward_end(self, trainer):
        assert trainer.model.weight.grad is not None
        self.note("backward_end", trainer.global_step, trainer.output.shape)

    def on_step_end(self, trainer):
        assert trainer.model.weight.grad is not None
        self.note("step_end", trainer.global_step)

    def on_batch_end(self, trainer):
        assert math.isfinite(trainer.loss)
        self.note("batch_end", trainer.global_step)

    def on_validation_begin(self, trainer):
        self.note("validation_begin", "val_loss" in trainer.logs)

    def on_validation_end(self, trainer):
        self.note("validation_end")

    def on_epoch_end(self, trainer):
        self.note("epoch_end", trainer.logs["epoch"])

    def on_save_point(self, trainer):
        self.note("save_point", trainer.next_epoch, trainer.next_batch)

    def on_fit_end(self, trainer):
        self.note("fit_end")


# ------------------------------------------------ the loop


def test_a_small_problem_is_learnt(loader):
    trainer = make_trainer()
    first = trainer.evaluate(loader)
    logs = trainer.fit(loader, 40, validation=loader)
    assert logs["val_accuracy"] >= 0.95 > first["accuracy"]
    assert logs["val_loss"] < 0.5 * first["loss"]
    assert list(logs) == [
        "epoch",
        "step",
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_accuracy",
        "seconds",
    ]
    assert (logs["epoch"], logs["step"]) == (40, 120)


def test_one_step_by_hand():
    """Means over examples, not over batches: the loss (w - t)^2 with w = 0 is 1 for two examples, and 9 for one."""
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(0)
    ones, three = (mg.ones(2, 1), mg.ones(2, 1)), (mg.ones(1, 1), mg.full((1, 1), 3.0))
    trainer = make_trainer(model=model, lr=0.0, loss=mg.nn.functional.mse_loss, metrics={})
    assert trainer.evaluate([ones, three])["loss"] == pytest.approx(11 / 3)
    logs = trainer.fit([ones, three], 1)
    assert logs["train_loss"] == pytest.approx(11 / 3)
    assert [name for name in logs if "accuracy" in name] == []
    trainer = make_trainer(model=model, lr=0.25, loss=mg.nn.functional.mse_loss, metrics={})
    trainer.fit([ones], 1)
    assert model.weight.item() == pytest.approx(0.5)  # 0 - 0.25 * the gradient 2 (w - 1)


def test_callbacks_are_called_in_order():
    log: list = []
    batches = [(mg.ones(3, 2), mg.tensor([0, 1, 0])), (mg.ones(1, 2), mg.tensor([1]))]
    make_trainer(Recorder("a", log), Recorder("b", log)).fit(batches, 2, validation=batches)

    def epoch(i):
        return [
            ("epoch_begin", i, True),
            ("batch_begin", 0, 3),
            ("forward_end", True),
            ("backward_end", 2 * i, (3, 2)),
            ("step_end", 2 * i + 1),
            ("batch_end", 2 * i + 1),
            ("save_point", i, 1),
            ("batch_begin", 1, 1),
            ("forward_end", True),
            ("backward_end", 2 * i + 1, (1, 2)),
            ("step_end", 2 * i + 2),
            ("batch_end", 2 * i + 2),
            ("save_point", i, 2),
            ("validation_begin", False),
            ("validation_end",),
            ("epoch_end", i + 1),
            ("save_point", i + 1, 0),
        ]

    points = [("fit_begin", 2), ("save_point", 0, 0), *epoch(0), *epoch(1), ("fit_end",)]
    assert log == [(name, *point) for point in points for name in "ab"]


def test_history_and_schedule(loader):
    history, model = History(), nn.Linear(2, 2)
    optimizer = SGD(model.parameters(), lr=1.0, momentum=0.9)
    scheduler = OneCycleLR(optimizer, 0.5, epochs=2, steps_per_epoch=len(loader))
    logs = Trainer(model, optimizer, scheduler=scheduler, callbacks=[history]).fit(
        loader, 2, validation=loader
    )
    assert [e["step"] for e in history.epochs] == [3, 6]
    assert history.epochs[-1] == logs
    rates = history.steps["lr"]
    assert rates[0] == pytest.approx(0.5 / 25)
    assert max(rates) <= 0.5
    assert scheduler.last_epoch == len(rates) == len(history.steps["loss"]) == 6
    losses = history.steps["loss"]
    assert history.epochs[0]["train_loss"] == pytest.approx(
        (16 * losses[0] + 16 * losses[1] + 8 * losses[2]) / 40
    )


def test_each_epoch_has_its_own_order():
    class Loader(list):
        epochs: list = []

        def set_epoch(self, epoch):
            self.epochs.append(epoch)

    batches = Loader([(mg.ones(1, 2), mg.tensor([0]))])
    make_trainer().fit(batches, 3)
    assert batches.epochs == [0, 1, 2]


def test_a_callback_stops_training():
    log: list = []

    class Stop(Callback):
        def on_batch_end(self, trainer):
            trainer.stop = trainer.global_step == 3

    batches = [(mg.ones(1, 2), mg.tensor([0]))] * 2
    trainer = make_trainer(Stop(), Recorder("a", log))
    logs = trainer.fit(batches, 5, validation=batches)
    assert trainer.global_step == 3
    # The step is a moment to save; the epoch, cut short, is none
    assert [entry[1] for entry in log][-4:] == ["batch_end", "save_point", "epoch_end", "fit_end"]
    assert logs["epoch"] == 2
    assert "val_loss" not in logs
    trainer.fit(batches, 1)  # may be taken up again
    assert trainer.global_step == 5


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_on_fit_end_is_called_when_training_fails(error):
    log: list = []

    class Fail(Callback):
        def on_backward_end(self, trainer):
            raise error("here")

    trainer = make_trainer(Recorder("a", log), Fail())
    with pytest.raises(error, match="here"):
        trainer.fit([(mg.ones(1, 2), mg.tensor([0]))], 2)
    assert [entry[1] for entry in log] == [
        "fit_begin",
        "save_point",
        "epoch_begin",
        "batch_begin",
        "forward_end",
        "backward_end",
        "fit_end",
    ]
    assert trainer.output is None  # and with it the graph


def test_the_graph_of_a_batch_is_gone_before_the_next(loader):
    outputs: list = []

    class Look(Callback):
        def on_batch_begin(self, trainer):
            outputs.append(trainer.output)

    make_trainer(Look()).fit(loader, 1)
    assert outputs == [None] * 3


# ------------------------------------------------ evaluation


def test_evaluation_leaves_every_mode_as_it_was():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
    model[1].eval()  # frozen by the user
    batch = (mg.randn(4, 2), mg.tensor([0, 1, 1, 0]))
    seen: list = []
    model[2].register_forward_hook(lambda m, args, y: seen.append((m.training, y.requires_grad)))
    trainer = make_trainer(model=model)
    before = {name: value.tolist() for name, value in model.state_dict().items()}
    assert trainer.evaluate([batch]) == trainer.evaluate([batch])  # nothing dropped
    assert seen == [(False, False)] * 2
    assert [m.training for m in model.modules()] == [True, True, False, True]
    assert {name: value.tolist() for name, value in model.state_dict().items()} == before
    with pytest.raises(ShapeError):
        trainer.evaluate([(mg.ones(4, 3), batch[1])])
    assert [m.training for m in model.modules()] == [True, True, False, True]
    model.eval()
    trainer.evaluate([batch])
    assert not any(m.training for m in model.modules())


def test_accuracy():
    logits = mg.tensor([[3.0, 1.0, 2.0], [0.0, 0.0, 1.0], [0.0, 5.0, 1.0], [1.0, 1.0, 0.0]])
    assert accuracy(logits, mg.tensor([0, 1, 1, 0])) == 0.75  # of equals the first
    assert accuracy(mg.zeros(2, 3, 4), mg.zeros(2, 4).long()) == 1
    for targets in (mg.zeros(4, 1), mg.zeros(3)):
        with pytest.raises(ShapeError, match=r"targets \(N, \.\.\.\); got shapes \[4, 3\] and"):
            accuracy(logits, targets)


# ------------------------------------------------ errors


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_leaves_the_weights(bad):
    model, log = nn.Linear(2, 2), []
    good = (mg.ones(1, 2), mg.tensor([0]))
    trainer = make_trainer(Recorder("a", log), model=model, lr=0.1)
    states: list = []
    trainer.callbacks.append(Snapshots(states))
    with pytest.raises(NonFiniteError, match=r"the loss is nan at epoch 1, batch 3: .* lower learning rate"):
        trainer.fit([good, good, (mg.full((1, 2), bad), mg.tensor([0])), good], 2)
    assert len(states) == 2
    assert {name: value.tolist() for name, value in model.state_dict().items()} == states[-1]
    assert log[-2:] == [("a", "batch_begin", 2, 1), ("a", "fit_end")]


class Snapshots(Callback):
    """The model's state after every step."""

    def __init__(self, states: list) -> None:
        self.states = states

    def on_batch_end(self, trainer):
        self.states.append({name: value.tolist() for name, value in trainer.model.state_dict().items()})


def test_a_rate_that_is_too_high_is_named(loader):
    with pytest.raises(NonFiniteError, match="epoch 1, batch 2: training diverged"):
        make_trainer(lr=1e30, model=nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 2))).fit(loader, 1)


def test_there_must_be_something_to_do(loader):
    trainer = make_trainer()
    with pytest.raises(ArgumentError, match="at least one epoch and one batch, not 0 and 3"):
        trainer.fit(loader, 0)
    with pytest.raises(ArgumentError, match="at least one epoch and one batch, not 1 and 0"):
        trainer.fit([], 1)
    with pytest.raises(ArgumentError, match="loader with a length, or a list of batches, not generator"):
        trainer.fit((batch for batch in loader), 1)
    with pytest.raises(ArgumentError, match="nothing to evaluate"):
        trainer.evaluate([])

    class Liar:
        def __len__(self):
            return 3

        def __iter__(self):
            return iter(())

    with pytest.raises(ArgumentError, match="nothing to train on"):
        trainer.fit(Liar(), 1)
