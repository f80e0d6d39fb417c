"""The schedule that watches a measurement follows PyTorch's, whatever is measured."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

import minigrad as mg
from minigrad.optim.lr_scheduler import ReduceLROnPlateau


def _rates(lib, metrics, options):
    params = [{"params": [lib.zeros(1, requires_grad=True)], "lr": lr} for lr in (1.0, 0.5)]
    schedule = lib.optim.lr_scheduler.ReduceLROnPlateau(lib.optim.SGD(params), **options)
    seen = []
    for metric in metrics:
        schedule.step(metric)
        seen.append(schedule.get_last_lr())
    return seen


@given(
    metrics=st.lists(
        st.one_of(st.integers(-4, 4).map(float), st.sampled_from([float("nan"), float("inf"), 1.05]))
    ),
    options=st.fixed_dictionaries(
        {},
        optional={
            "mode": st.sampled_from(["min", "max"]),
            "factor": st.sampled_from([0.0, 0.1, 0.5]),
            "patience": st.integers(0, 3),
            "threshold": st.sampled_from([0.0, 0.1, 1.0]),
            "threshold_mode": st.sampled_from(["rel", "abs"]),
            "cooldown": st.integers(0, 3),
            "min_lr": st.sampled_from([0, 0.2, [0.3, 0.01]]),
            "eps": st.sampled_from([1e-8, 0.2]),
        },
    ),
)
def test_rates_follow_pytorch(torch, metrics, options):
    metrics = metrics * 3  # long enough to lose patience more than once
    np.testing.assert_allclose(
        _rates(mg, metrics, options), _rates(torch, metrics, options), rtol=0, atol=1e-12
    )


def test_by_hand():
    seen = _rates(mg, [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5], {"factor": 0.5, "patience": 1, "cooldown": 1})
    assert [rates[0] for rates in seen] == [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert _rates(mg, [1.0] * 8, {"factor": 0.5, "patience": 1, "cooldown": 1})[-1] == [0.25, 0.125]


def test_a_tensor_is_a_measurement_and_a_new_group_joins():
    optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    schedule = ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    schedule.step(mg.tensor(1.0))
    optimizer.add_param_group({"params": mg.zeros(1, requires_grad=True), "lr": 2.0})
    schedule.step(mg.tensor([2.0]))
    assert schedule.get_last_lr() == [0.5, 1.0]


def test_a_change_too_small_is_not_made():
    assert _rates(mg, [1.0, 1.0], {"factor": 0.5, "patience": 0, "eps": 0.3})[-1] == [0.5, 0.5]
