"""Schedules follow PyTorch's rates and momentum through their whole cycles."""

from __future__ import annotations

import math
import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import minigrad as mg
from minigrad.errors import ArgumentError
from minigrad.optim import SGD, Adagrad, Adam, lr_scheduler
from minigrad.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from tests.optim.cases import SCHEDULES, ident


def _optimizer(library, kind="SGD", lrs=(0.1,)):
    options = {"momentum": 0.9} if kind in ("SGD", "RMSprop") else {}
    params = [{"params": [library.zeros(1, requires_grad=True)], "lr": lr} for lr in lrs]
    return getattr(library.optim, kind)(params, **options)


def _seen(schedule):
    groups = schedule.optimizer.param_groups
    momenta = [group.get("momentum", group.get("betas", (0,))[0]) for group in groups]
    assert schedule.get_last_lr() == [group["lr"] for group in groups]
    return [group["lr"] for group in groups] + momenta


def _course(schedule, steps):
    """Rates and momentum before each of `steps` steps, and after the last."""
    seen = [_seen(schedule)]
    for _ in range(steps):
        schedule.optimizer.step()
        schedule.step()
        seen.append(_seen(schedule))
    return np.array(seen)


@pytest.mark.parametrize(("name", "options", "steps"), SCHEDULES, ids=ident)
@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
def test_a_full_cycle_follows_pytorch(torch, kind, name, options, steps):
    ours, theirs = (
        _course(getattr(lib.optim.lr_scheduler, name)(_optimizer(lib, kind, (0.1, 0.4)), **options), steps)
        for lib in (mg, torch)
    )
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    assert np.ptp(ours) > 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("OneCycleLR", {"max_lr": [0.5, 0.2], "base_momentum": [0.7, 0.8], "max_momentum": (0.9, 0.99)}),
        (
            "CyclicLR",
            {"base_lr": [0.1, 0.2], "max_lr": [0.5, 0.3], "base_momentum": [0.7, 0.8], "max_momentum": 0.95},
        ),
        ("LambdaLR", {"lr_lambda": [lambda t: 0.9**t, lambda t: 1 / (t + 1)]}),
    ],
    ids=ident,
)
@pytest.mark.parametrize("kind", ["RMSprop", "NAdam"])
def test_groups_may_differ(torch, kind, name, options):
    steps = {"OneCycleLR": {"total_steps": 20}, "CyclicLR": {"step_size_up": 4}}.get(name, {})
    ours, theirs = (
        _course(
            getattr(lib.optim.lr_scheduler, name)(_optimizer(lib, kind, (0.1, 0.4)), **options, **steps), 20
        )
        for lib in (mg, torch)
    )
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def _chained(lib):
    s, optimizer = lib.optim.lr_scheduler, _optimizer(lib)
    return s.ChainedScheduler(
        [s.LinearLR(optimizer), s.ExponentialLR(optimizer, 0.9), s.CosineAnnealingLR(optimizer, 9)]
    )


def _chained_with_a_cycle(lib):
    s, optimizer = lib.optim.lr_scheduler, _optimizer(lib)
    cycle = s.CyclicLR(optimizer, 0.1, 0.5, step_size_up=3)
    return s.ChainedScheduler([cycle, s.ConstantLR(optimizer, 0.5, 7), s.MultiStepLR(optimizer, [4, 9])])


def _warm_up_and_cosine(lib):
    s, optimizer = lib.optim.lr_scheduler, _optimizer(lib, "AdamW", (0.1, 0.4))
    parts = [s.LinearLR(optimizer, 0.01, total_iters=6), s.CosineAnnealingLR(optimizer, 20, 1e-3)]
    return s.SequentialLR(optimizer, parts, [6])


def _many_in_sequence(lib):
    s, optimizer = lib.optim.lr_scheduler, _optimizer(lib)
    parts = [
        s.ExponentialLR(optimizer, 0.9),
        s.StepLR(optimizer, 2, 0.5),
        s.CosineAnnealingWarmRestarts(optimizer, 3, 2),
        s.ConstantLR(optimizer, 0.3, 2),
        s.PolynomialLR(optimizer, 4, 2.0),
        s.MultiStepLR(optimizer, [0, 2]),
        s.LambdaLR(optimizer, lambda t: 1 / (t + 2)),
    ]
    return s.SequentialLR(optimizer, parts, [4, 9, 20, 24, 30, 34])


def _sequence_with_cycles(lib):
    s, optimizer = lib.optim.lr_scheduler, _optimizer(lib)
    parts = [
        s.ExponentialLR(optimizer, 0.9),
        s.CyclicLR(optimizer, 0.01, 0.3, step_size_up=4),
        s.OneCycleLR(optimizer, 0.7, total_steps=30),
    ]
    return s.SequentialLR(optimizer, parts, [5, 17])


def _sequence_that_begins_with_the_second(lib):
    s, optimizer = lib.optim.lr_scheduler, _optimizer(lib)
    return s.SequentialLR(optimizer, [s.ConstantLR(optimizer, 0.1), s.ExponentialLR(optimizer, 0.9)], [0])


def _chain_of_a_sequence(lib):
    s, optimizer = lib.optim.lr_scheduler, _optimizer(lib)
    parts = [s.LinearLR(optimizer), s.ExponentialLR(optimizer, 0.9)]
    return s.ChainedScheduler(
        [s.SequentialLR(optimizer, parts, [5]), s.StepLR(optimizer, 3)], optimizer=optimizer
    )


COMPOUND = [
    _chained,
    _chained_with_a_cycle,
    _warm_up_and_cosine,
    _many_in_sequence,
    _sequence_with_cycles,
    _sequence_that_begins_with_the_second,
    _chain_of_a_sequence,
]


@pytest.mark.parametrize("make", COMPOUND, ids=lambda f: f.__name__.strip("_"))
def test_schedules_made_of_schedules_follow_pytorch(torch, make):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch on a form of step() that its own sequences use
        theirs = _course(make(torch), 40)
    np.testing.assert_allclose(_course(make(mg), 40), theirs, rtol=0, atol=1e-12)


def test_a_change_by_hand_stays_where_pytorch_keeps_it(torch):
    """The cosine's recursive form keeps a rate that was lowered on the way; the closed form would not."""
    courses = []
    for lib in (mg, torch):
        schedule = lib.optim.lr_scheduler.CosineAnnealingLR(_optimizer(lib), 10, eta_min=0.02)
        first = _course(schedule, 4)
        schedule.optimizer.param_groups[0]["lr"] /= 2
        courses.append(np.concatenate([first, _course_after_change(schedule, 20)]))
    np.testing.assert_allclose(*courses, rtol=0, atol=1e-12)
    assert courses[0][5, 0] < 0.06


def _course_after_change(schedule, steps):
    schedule.optimizer.step()
    schedule.step()
    return _course(schedule, steps)


@given(
    epochs=st.lists(st.one_of(st.none(), st.floats(0, 60), st.integers(0, 60)), max_size=25),
    t_mult=st.integers(1, 2),
)
def test_warm_restarts_at_fractional_epochs_follow_pytorch(torch, epochs, t_mult):
    courses = []
    for lib in (mg, torch):
        schedule = lib.optim.lr_scheduler.CosineAnnealingWarmRestarts(_optimizer(lib), 3, t_mult, 0.01)
        seen = []
        for epoch in epochs:
            schedule.step() if epoch is None else schedule.step(epoch)
            seen.append(schedule.get_last_lr()[0])
        courses.append(seen)
    np.testing.assert_allclose(*courses, rtol=0, atol=1e-10)


def test_warm_restarts_begin_a_cycle_at_its_first_step():
    """Where a logarithm in floating point may find the step before: 243 = 3^5."""
    schedule = CosineAnnealingWarmRestarts(_optimizer(mg), T_0=2, T_mult=3)
    for epoch in (2, 8, 26, 80, 242, 728):
        schedule.step(epoch)
        assert schedule.get_last_lr() == [0.1]
        assert schedule.T_i == 2 * (epoch + 1)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("StepLR", {"step_size": 3}),
        ("MultiStepLR", {"milestones": [2, 8]}),
        ("ExponentialLR", {"gamma": 0.9}),
        ("LinearLR", {"total_iters": 9}),
        ("ConstantLR", {"total_iters": 9}),
        ("PolynomialLR", {"total_iters": 9}),
        ("CosineAnnealingLR", {"T_max": 9}),
        ("CosineAnnealingWarmRestarts", {"T_0": 3}),
        ("LambdaLR", {"lr_lambda": lambda t: 0.9**t}),
        ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 3}),
        ("OneCycleLR", {"max_lr": 0.5, "total_steps": 30}),
    ],
    ids=ident,
)
def test_last_epoch_goes_on_as_in_pytorch(torch, name, options):
    courses = []
    for lib in (mg, torch):
        make = getattr(lib.optim.lr_scheduler, name)
        optimizer = _optimizer(lib)
        _course(make(optimizer, **options), 4)
        courses.append(_course(make(optimizer, **options, last_epoch=4), 12))
    np.testing.assert_allclose(*courses, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", lr_scheduler.__all__)
def test_arguments_and_defaults_are_pytorchs(torch, name):
    import inspect

    ours, theirs = (
        {
            p.name: p.default
            for p in inspect.signature(getattr(lib.optim.lr_scheduler, name)).parameters.values()
        }
        for lib in (mg, torch)
    )
    assert ours == theirs


def test_by_hand():
    schedule = CosineAnnealingLR(_optimizer(mg, lrs=(1.0,)), T_max=4)
    assert [round(r[0], 12) for r in _course(schedule, 8)] == [
        round((1 + math.cos(math.pi * t / 4)) / 2, 12) for t in range(9)
    ]


def test_a_group_added_later_is_refused():
    optimizer = _optimizer(mg)
    schedule = StepLR(optimizer, 1)
    optimizer.add_param_group({"params": mg.zeros(1, requires_grad=True)})
    with pytest.raises(ArgumentError, match="has 2 groups, StepLR was made for 1"):
        schedule.step()


def test_one_cycle_ends():
    schedule = OneCycleLR(_optimizer(mg), 0.1, total_steps=2)
    schedule.step()
    schedule.step()
    with pytest.raises(ArgumentError, match="made for 2 steps"):
        schedule.step()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: StepLR("o", 1), "takes an optimiser, not str"),
        (lambda o: LambdaLR("o", abs), "takes an optimiser, not str"),
        (lambda o: OneCycleLR(o), "max_lr"),
        (lambda o: OneCycleLR(o, 0.1), "needs total_steps"),
        (lambda o: OneCycleLR(o, 0.1, total_steps=1.5), "whole number from 1"),
        (lambda o: OneCycleLR(o, 0.1, 10, pct_start=2), "pct_start"),
        (lambda o: OneCycleLR(o, 0.1, 10, anneal_strategy="sin"), "cos or linear"),
        (lambda o: OneCycleLR(o, 0.1, 10, div_factor=0), "div_factor"),
        (lambda o: OneCycleLR(o, [0.1, 0.2], 10), "2 values for 1 groups"),
        (lambda o: OneCycleLR(_optimizer(mg, "Adagrad"), 0.1, 10), "Adagrad has no momentum"),
        (lambda o: CyclicLR(_optimizer(mg, "Adagrad"), 0.1, 0.2), "Adagrad has no momentum"),
        (lambda o: CyclicLR(o, 0.1, 0.2, mode="square"), "triangular, triangular2, exp_range"),
        (lambda o: CyclicLR(o, 0.1, 0.2, step_size_up=0), "step_size_up"),
        (lambda o: CyclicLR(o, 0.1, 0.2, scale_fn=abs, scale_mode="step"), "scale_mode"),
        (lambda o: CosineAnnealingLR(o, 0), "T_max"),
        (lambda o: CosineAnnealingWarmRestarts(o, 2.5), "T_0"),
        (lambda o: CosineAnnealingWarmRestarts(o, 2, 0), "T_mult"),
        (lambda o: CosineAnnealingWarmRestarts(o, 2).step(-1), "epoch must be"),
        (lambda o: StepLR(o, 0), "step_size"),
        (lambda o: StepLR(o, 2, last_epoch=3), "knows no initial_lr"),
        (lambda o: MultiStepLR(o, [1.5]), "milestone"),
        (lambda o: LinearLR(o, start_factor=0), "start_factor"),
        (lambda o: LinearLR(o, end_factor=2), "end_factor"),
        (lambda o: LinearLR(o, total_iters=0), "total_iters"),
        (lambda o: ConstantLR(o, factor=0), "factor"),
        (lambda o: PolynomialLR(o, total_iters=0), "total_iters"),
        (lambda o: LambdaLR(o, 0.5), "lr_lambda must be a function"),
        (lambda o: LambdaLR(o, [abs, abs]), "2 values for 1 groups"),
        (lambda o: ReduceLROnPlateau(o, mode="lower"), "mode"),
        (lambda o: ReduceLROnPlateau(o, factor=1), "factor"),
        (lambda o: ReduceLROnPlateau(o, threshold_mode="log"), "threshold_mode"),
        (lambda o: ReduceLROnPlateau(o, min_lr=[1, 2]), "2 values for 1 groups"),
        (lambda o: ReduceLROnPlateau(o, patience=-1), "patience"),
        (lambda o: ChainedScheduler([]), "at least one"),
        (lambda o: ChainedScheduler([ReduceLROnPlateau(o)]), "not ReduceLROnPlateau"),
        (lambda o: ChainedScheduler([StepLR(o, 1), StepLR(_optimizer(mg), 1)]), "same optimiser"),
        (lambda o: SequentialLR(o, [StepLR(o, 1)], [3]), "1 schedules need 0 milestones, not 1"),
        (lambda o: SequentialLR(o, [StepLR(o, 1)] * 3, [3, 2]), "ascend"),
        (lambda o: SequentialLR(o, [ChainedScheduler([StepLR(o, 1)]), StepLR(o, 1)], [3]), "one sequence"),
    ],
)
def test_clear_errors(make, message):
    with pytest.raises((ArgumentError, TypeError), match=message):
        make(_optimizer(mg))


def test_adam_and_adagrad_need_no_momentum_where_it_is_not_cycled():
    for kind in (Adam, Adagrad, SGD):
        optimizer = kind([mg.zeros(1, requires_grad=True)])
        OneCycleLR(optimizer, 0.1, 10, cycle_momentum=False).step()
        assert "momentum" not in optimizer.param_groups[0] or optimizer.param_groups[0]["momentum"] == 0


def test_a_schedule_of_ones_own():
    class Halving(lr_scheduler.LRScheduler):
        def get_lr(self):
            return [base / 2**self.last_epoch for base in self.base_lrs]

    schedule = Halving(_optimizer(mg, lrs=(1.0, 4.0)))
    schedule.step()
    assert schedule.get_last_lr() == [0.5, 2.0]
    assert ExponentialLR(_optimizer(mg, lrs=(1.0,)), 0.5).get_last_lr() == [1.0]
