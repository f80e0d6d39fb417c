"""Schedules go on from a saved state bit for bit, and a state that does not fit changes nothing."""

from __future__ import annotations

import json

import pytest

import minigrad as mg
from minigrad.errors import StateError
from minigrad.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from tests.optim.cases import SCHEDULES, ident
from tests.optim.test_schedules import COMPOUND, _optimizer, _seen


def _goes_on(make, steps=40):
    """Rates and momentum of a schedule without a break, against those taken up in a new process at every third step."""
    through = make()
    saved = None
    for number in range(steps):
        through.step()
        if number % 3 == 0:
            resumed = make()
            if saved is not None:
                resumed.optimizer.load_state_dict(json.loads(saved[0]))
                resumed.load_state_dict(json.loads(saved[1]))
        resumed.step()
        assert _seen(resumed) == _seen(through)
        assert resumed.state_dict() == through.state_dict()
        saved = [json.dumps(part.state_dict(), allow_nan=False) for part in (resumed.optimizer, resumed)]


@pytest.mark.parametrize(("name", "options", "steps"), SCHEDULES, ids=ident)
def test_schedules_go_on(name, options, steps):
    make = getattr(mg.optim.lr_scheduler, name)
    _goes_on(lambda: make(_optimizer(mg, lrs=(0.1, 0.4)), **options), steps)


@pytest.mark.parametrize("make", COMPOUND, ids=lambda f: f.__name__.strip("_"))
def test_schedules_made_of_schedules_go_on(make):
    _goes_on(lambda: make(mg))


def test_fractional_epochs_go_on():
    first = CosineAnnealingWarmRestarts(_optimizer(mg), 3, 2)
    first.step(4.75)
    second = CosineAnnealingWarmRestarts(_optimizer(mg), 3, 2)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for _ in range(10):
        first.step()
        second.step()
        assert second.get_last_lr() == first.get_last_lr()


def test_reduce_on_plateau_goes_on():
    metrics = [
        3.0,
        2.0,
        2.5,
        float("nan"),
        2.1,
        1.0,
        1.5,
        1.5,
        1.5,
        1.5,
        0.5,
        0.6,
        0.6,
        0.6,
        float("inf"),
        0.6,
    ]

    def make():
        return ReduceLROnPlateau(_optimizer(mg), factor=0.5, patience=1, cooldown=1)

    through, resumed = make(), make()
    for metric in metrics:
        states = [json.dumps(part.state_dict(), allow_nan=False) for part in (resumed.optimizer, resumed)]
        resumed = make()
        resumed.optimizer.load_state_dict(json.loads(states[0]))
        resumed.load_state_dict(json.loads(states[1]))
        through.step(metric)
        resumed.step(metric)
        assert resumed.state_dict() == through.state_dict()
    assert through.get_last_lr()[0] < 0.05


def test_the_arguments_are_not_in_the_state():
    """So that a run may be taken up with another course of rates."""
    first, second = ExponentialLR(_optimizer(mg), 0.5), ExponentialLR(_optimizer(mg), 0.1)
    first.step()
    second.load_state_dict(first.state_dict())
    assert (second.gamma, second.last_epoch, second.get_last_lr()) == (0.1, 1, [0.05])


def test_a_loaded_state_is_a_copy():
    schedule = StepLR(_optimizer(mg), 1)
    state = schedule.state_dict()
    schedule.load_state_dict(state)
    state["base_lrs"][0] = 7
    assert schedule.base_lrs == [0.1]


def _chain(*gammas):
    optimizer = _optimizer(mg)
    return ChainedScheduler([ExponentialLR(optimizer, gamma) for gamma in gammas])


def _sequence():
    optimizer = _optimizer(mg)
    return SequentialLR(optimizer, [StepLR(optimizer, 1), StepLR(optimizer, 1)], [3])


@pytest.mark.parametrize(
    ("schedule", "state", "message"),
    [
        (lambda: StepLR(_optimizer(mg), 1), lambda: {"last_epoch": 3}, "has the keys"),
        (lambda: StepLR(_optimizer(mg), 1), lambda: None, "not NoneType"),
        (
            lambda: StepLR(_optimizer(mg), 1),
            lambda: StepLR(_optimizer(mg, lrs=(0.1, 0.2)), 1).state_dict(),
            "base_lrs in the state of StepLR must be 1 numbers",
        ),
        (
            lambda: StepLR(_optimizer(mg), 1),
            lambda: CosineAnnealingWarmRestarts(_optimizer(mg), 2).state_dict(),
            "T_cur",
        ),
        (lambda: _chain(0.5, 0.5), lambda: _chain(0.5).state_dict(), "holds 2 states"),
        (lambda: _chain(0.5, 0.5), lambda: StepLR(_optimizer(mg), 1).state_dict(), "holds 2 states"),
        (
            _sequence,
            lambda: {**_sequence().state_dict(), "_schedulers": [StepLR(_optimizer(mg), 1).state_dict(), {}]},
            "has the keys",
        ),
        (
            lambda: ReduceLROnPlateau(_optimizer(mg)),
            lambda: StepLR(_optimizer(mg), 1).state_dict(),
            "num_bad_epochs",
        ),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(schedule, state, message):
    own = schedule()
    before = own.state_dict()
    with pytest.raises(StateError, match=message):
        own.load_state_dict(state())
    assert own.state_dict() == before
