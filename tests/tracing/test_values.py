"""The values that a trace of the level "full" holds: as they were, within a budget, of what the filters let in."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.array_utils import byte_bounds

import minigrad as mg
import models
from minigrad import nn
from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.storage import storage_of
from minigrad.tracing import TensorRecord
from minigrad.tracing.held_values import values_of


def bytes_held(trace) -> int:
    """The memory of all held arrays, each byte once."""
    tensors = [x for r in trace for x in (*r.inputs, *r.outputs) if isinstance(x, TensorRecord)]
    arrays = [values_of(h) for x in tensors for h in (x.held, x.held_gradient)]
    bounds = sorted(byte_bounds(array) for array in arrays if array is not None)
    total = end = 0
    for low, high in bounds:
        total += max(high - max(low, end), 0)
        end = max(high, end)
    return total


def test_writing_in_place_changes_no_record():
    x = mg.ones(4)
    with mg.trace("full") as t:
        y = mg.exp(x)
        view = y[1:3]
        x.fill_(5.0)
        view.fill_(0.0)
        y += 1.0
        mg.exp(x)
    np.testing.assert_array_equal(t["exp_1"].inputs[0].value, np.ones(4))
    np.testing.assert_array_equal(t["exp_1"].output().value, np.exp(np.ones(4, np.float32)))
    np.testing.assert_array_equal(t["exp_2"].inputs[0].value, np.full(4, 5))
    assert t.replay() == []
    x.zero_()  # after the trace too
    np.testing.assert_array_equal(t["exp_2"].inputs[0].value, np.full(4, 5))
    assert t.replay() == []


def test_values_outlive_their_trace():
    x = mg.ones(4)
    with mg.trace("full") as t:
        mg.exp(x)
    record = t[0]
    del t
    gc.collect()
    x.zero_()
    np.testing.assert_array_equal(record.inputs[0].value, np.ones(4))


class PlainSGD(mg.optim.SGD):
    """The same rule, without a kernel: an update of its own has none."""

    def _update(self, xp, array, gradient, state, group):
        super()._update(xp, array, gradient, state, group)


@pytest.mark.parametrize("kind", [mg.optim.SGD, PlainSGD, mg.optim.Adam])
def test_optimisers_change_no_record(kind):
    layer = nn.Linear(400, 400)
    optimizer = kind(layer.parameters(), lr=0.1)
    weights, x = [], mg.ones(2, 400)
    with mg.trace("full") as t:
        for _ in range(3):
            weights.append(layer.weight.numpy().copy())
            optimizer.zero_grad()
            mg.tanh(layer(x)).sum().backward()
            optimizer.step()
    for record, weight in zip(t.find(op="linear"), weights, strict=True):
        np.testing.assert_array_equal(record.input("w").value, weight)
    versions = [record.input("w").version for record in t.find(op="linear")]
    assert versions == [versions[0], versions[0] + 1, versions[0] + 2]
    assert not np.array_equal(weights[0], weights[2])
    assert t.replay() == []


def test_the_two_optimisers_take_the_two_ways(monkeypatch):
    """The test above covers an update by a kernel and one without."""
    taken = []
    whole = mg.optim.Optimizer._update_together

    def looked_at(self, params, group):
        left = whole(self, params, group)
        taken.append(len(left))
        return left

    monkeypatch.setattr(mg.optim.Optimizer, "_update_together", looked_at)
    for kind in (mg.optim.SGD, PlainSGD):
        p = mg.ones(400, 400, requires_grad=True)
        optimizer = kind([p], lr=0.1)
        (p * 1.0).sum().backward()
        optimizer.step()
    assert taken == [0, 1]


def test_memory_that_others_write_to_is_copied_at_once():
    array = np.ones(3, np.float32)
    x = mg.from_numpy(array)
    with mg.trace("full") as t:
        mg.exp(x)
        mg.log(x)
        array[:] = 5
        mg.exp(x)
    assert [r.inputs[0].value[0] for r in t] == [1, 1, 5]
    assert t[0].inputs[0].held is t[1].inputs[0].held  # once, while it stays as it is
    assert t.replay() == []


def test_running_statistics_are_kept_as_they_were_read():
    norm = nn.BatchNorm1d(2).eval()
    with mg.trace("full") as t:
        norm(mg.ones(3, 2))
        norm.train()(mg.ones(3, 2) * 3.0)
        norm.eval()(mg.ones(3, 2))
    first, *_, last = [r for r in t if any(getattr(x, "parameter", None) == "running_mean" for x in r.inputs)]
    values = [
        next(x for x in r.inputs if getattr(x, "parameter", None) == "running_mean") for r in (first, last)
    ]
    assert values[0].value.ravel()[0] == 0 != values[1].value.ravel()[0]
    assert t.replay() == []


# ---------------------------------------------------------------- the budget


def test_the_budget_counts_what_is_held_and_each_piece_once():
    x = mg.ones(1000, requires_grad=True)
    with mg.trace("full") as t:
        y = x * x
        y.reshape(10, 100) + 1.0
    assert t.held_bytes == 3 * 4000  # x, y and the sum; the view is y's memory
    assert t.dropped == 0


def test_copies_count_too():
    """A parameter that is changed between two reads is held twice."""
    p = mg.zeros(1000, requires_grad=True)
    optimizer = mg.optim.SGD([p], lr=1.0)
    with mg.trace("full", names="mul") as t:
        for _ in range(5):
            optimizer.zero_grad()
            y = p * 1.0
            y.sum().backward()
            optimizer.step()
    assert t.held_bytes == bytes_held(t)


@pytest.mark.parametrize("budget", [0, 3_999, 4_000, 100_000])
def test_what_goes_beyond_the_budget_is_left_out_and_counted(budget):
    x = mg.ones(1000, requires_grad=True)
    with mg.trace("full", budget=budget) as t:
        for _ in range(30):
            mg.exp(x).sum().backward()
            with mg.no_grad():
                x.add_(1.0)
    assert bytes_held(t) <= t.held_bytes <= budget
    assert t.dropped > 0
    assert f"{t.dropped} arrays left out" in t.summary()
    if budget == 0:
        with pytest.raises(ArgumentError, match=r'level="full", and see that the budget'):
            _ = t[0].output().value
        with pytest.raises(ArgumentError, match="holds no operation's values"):
            t.replay()
    elif budget == 100_000:
        assert t.replay() == []
    assert t[0].output().statistics is not None  # the budget is for values


@given(st.lists(st.sampled_from(["read", "view", "write", "new", "drop"]), max_size=25), st.integers(0, 4000))
def test_held_memory_never_exceeds_the_budget(steps, budget):
    x, kept = mg.ones(100), []
    expected = []
    with mg.trace("full", budget=budget) as t:
        for step in steps:
            if step == "read":
                expected.append(x.numpy().copy())
                kept.append(mg.exp(x))
            elif step == "view":
                kept.append(x[10:50] * 1.0)
            elif step == "write":
                x.add_(1.0)
            elif step == "new":
                x = mg.ones(100) * 2.0
            else:
                kept.clear()
    assert bytes_held(t) <= t.held_bytes <= budget
    for record, value in zip(t.find(op="exp"), expected, strict=True):
        if values_of(record.inputs[0].held) is not None:
            np.testing.assert_array_equal(record.inputs[0].value, value)


def test_traces_that_are_gone_leave_nothing_behind():
    x = mg.ones(3)
    for _ in range(20):
        with mg.trace("full"):
            mg.exp(x)
    gc.collect()
    with mg.trace("full") as t:
        mg.exp(x)
    assert len(storage_of(x).before_write) == 1
    del t


# ---------------------------------------------------------------- filters


def taken(trace) -> list[str]:
    """Names of the records whose statistics and values were taken; those of all others must not have been."""
    for r in trace:
        assert (
            len({y.held is not None for y in r.outputs} | {y.statistics is not None for y in r.outputs}) == 1
        )
    return [r.name for r in trace if r.outputs[0].held is not None]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["linear_1", "relu_1", "linear_2", "relu_2", "sum_1"]),
        ({"names": "relu"}, ["relu_1", "relu_2"]),
        ({"names": "relu_2"}, ["relu_2"]),
        ({"names": ["sum*", "*_1"]}, ["linear_1", "relu_1", "sum_1"]),
        ({"modules": "0"}, ["linear_1", "relu_1"]),
        ({"modules": "0.*"}, ["linear_1", "relu_1"]),
        ({"modules": ["1", "2"]}, ["linear_2", "relu_2"]),
        ({"modules": ""}, []),
        ({"shapes": (4, 3)}, ["linear_1", "relu_1"]),
        ({"shapes": (None, 5)}, ["linear_2", "relu_2"]),
        ({"shapes": [(None, 3), ()]}, ["linear_1", "relu_1", "sum_1"]),
        ({"names": "relu", "shapes": (None, 5)}, ["relu_2"]),
        ({"names": []}, []),
    ],
)
def test_filters_choose_whose_values_are_taken(options, expected):
    net = nn.Sequential(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), nn.Linear(3, 5), nn.ReLU())
    with mg.trace("full", **options) as t:
        net(mg.ones(4, 2)).sum().backward()
    assert taken(t) == expected
    gradients = [r.name for r in t if r.outputs[0].gradient is not None]
    assert gradients == expected
    assert len(t) == 5  # all are there
    for record in t:
        assert record.gradient_seconds > 0


# ---------------------------------------------------------------- what optimisers do


@pytest.mark.parametrize("level", ["meta", "stats", "full"])
@pytest.mark.parametrize("kind", [mg.optim.SGD, PlainSGD])
def test_updates_by_hand(level, kind):
    layer = nn.Linear(2, 1)
    with mg.no_grad():
        layer.weight.copy_(mg.tensor([[3.0, 4.0]]))
    unread = mg.ones(2, requires_grad=True)
    unread.grad = mg.ones(2)
    optimizer = kind([*layer.parameters(), unread], lr=0.5)
    with mg.trace(level, updates=True) as t:
        layer(mg.tensor([[1.0, 2.0]])).sum().backward()
        optimizer.step()
    weight, bias, other = t.updates
    assert [u.parameter for u in t.updates] == ["weight", "bias", None]
    assert (weight.optimizer, weight.shape) == (kind.__name__, (1, 2))
    assert weight.seconds == pytest.approx(2 * bias.seconds)
    assert other.seconds > 0
    if level == "meta":
        assert (weight.weight, weight.gradient, weight.change) == (None, None, None)
        assert np.isnan(weight.update_ratio)
    else:  # (3, 4) - 0.5 (1, 2) = (2.5, 3)
        assert (weight.weight.minimum, weight.weight.maximum) == (2.5, 3.0)
        assert (weight.gradient.minimum, weight.gradient.maximum) == (1.0, 2.0)
        assert (weight.change.minimum, weight.change.maximum) == (-1.0, -0.5)
        assert weight.update_ratio == pytest.approx(np.sqrt(1.25) / np.sqrt(2.5**2 + 9))
        assert other.change.mean == -0.5
    assert len(t.as_dict()["updates"]) == 3


def test_updates_are_recorded_where_asked_for_only():
    p = mg.ones(2, requires_grad=True)
    optimizer = mg.optim.SGD([p], lr=0.5)
    with mg.trace() as t:
        p.sum().backward()
        optimizer.step()
    assert t.updates == []


def test_updates_of_a_network_and_of_half_precision():
    net = models.mlp(3, 1, 4, hidden=(6,))
    half = nn.Linear(3, 3).to(dtype=mg.float16)
    optimizer = mg.optim.Adam([*net.parameters(), *half.parameters()], lr=0.01)
    with mg.trace("stats", updates=True) as t:
        for _ in range(2):
            F.cross_entropy(net(mg.ones(5, 1, 4, 4)), mg.tensor([0, 1, 2, 0, 1])).backward()
            half(mg.ones(1, 3, dtype=mg.float16)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    assert len(t.updates) == 2 * 6
    names = [u.parameter for u in t.updates[:6]]
    assert names[:4] == [name for name, _ in net.named_parameters()]
    assert names[4:] == ["Linear.weight", "Linear.bias"]
    assert all(u.change.count == np.prod(u.shape) and u.change.norm > 0 for u in t.updates)
