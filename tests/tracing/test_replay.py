"""Replay: every operation gives again what was recorded, and a difference is seen."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
import models
from minigrad import nn
from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.op import REGISTRY
from minigrad.testing.samples import all_samples
from minigrad.tracing import replaying


def operations_of(trace, name):
    found = trace.find(op=name)
    assert found
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("name", REGISTRY)
def test_every_operation_replays_forward_and_backward(name, dtype):
    """On its own samples: values and gradients give the same bits again, with and without create_graph."""
    op = REGISTRY[name]
    for call in all_samples(op):
        if dtype == "float16" and call.floating and op.gradient_fn is None:
            continue
        for create_graph in (False, True) if dtype != "float16" else (False,):
            inputs = call.tensors(np.dtype(dtype))
            with mg.trace("full") as t:
                outputs, gradients = call.run_back(inputs, create_graph)
            record = operations_of(t, name)[0]
            for kept, y in zip(record.outputs, outputs, strict=True):
                np.testing.assert_array_equal(kept.value, y.numpy())
            if op.gradient_fn is not None and any(g is not None for g in gradients):
                assert record.gradient_seconds is not None
            assert t.replay() == []


def step(model, x, labels):
    F.cross_entropy(model(x), labels).backward()


def networks():
    rng = np.random.default_rng(0)
    images = mg.tensor(rng.standard_normal((4, 1, 12, 12), dtype=np.float32))
    labels = mg.tensor(rng.integers(0, 5, 4))
    tokens = mg.tensor(rng.integers(0, 7, (3, 6)))
    text = models.CharTransformer(7, 6, n_layer=2, n_head=2, n_embd=8, dropout=0.2)
    return {
        "resnet8": (models.resnet8(5, 1), images, labels),
        "mlp": (models.mlp(5, 1, 12, hidden=(9, 8)), images, labels),
        "transformer": (nn.Sequential(text, nn.Flatten(0, 1)), tokens, tokens.flatten()),
    }


@pytest.mark.parametrize("expand", [False, True])
@pytest.mark.parametrize("name", ["resnet8", "mlp", "transformer"])
def test_networks_replay_after_training_went_on(name, expand):
    model, x, labels = networks()[name]
    optimizer = mg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with mg.trace("full", expand=expand) as t:
        for _ in range(2):
            optimizer.zero_grad()
            step(model, x, labels)
            optimizer.step()
    for p in model.parameters():
        p.detach().zero_()
    assert t.dropped == 0
    assert t.replay() == []
    assert all(x.held is not None for r in t for x in r.outputs)


def test_a_forward_that_computes_otherwise_is_named(monkeypatch):
    """A kernel that was right when it was traced, and adds 1 to one element since."""
    x = mg.tensor([[1.0, -2.0], [3.0, 4.0]], requires_grad=True)
    with mg.trace("full") as t:
        mg.relu(mg.exp(x) - 3.0).sum().backward()
    assert t.replay() == []
    op, right = REGISTRY["exp"], REGISTRY["exp"].forward

    def wrong(xp, x):
        y = right(xp, x).copy()
        y[1, 0] += 1
        return y

    backend = x.backend
    monkeypatch.setattr(op, "forward", wrong)
    monkeypatch.setattr(backend, "kernels", {n: k for n, k in backend.kernels.items() if n != "exp"})
    (difference,) = t.replay()
    assert difference[:4] == (0, "exp_1", "forward", "y")
    assert difference.largest == pytest.approx(1.0, rel=1e-5)


def test_a_gradient_that_computes_otherwise_is_named(monkeypatch):
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with mg.trace("full") as t:
        (x * mg.exp(x)).sum().backward()
    op, right, backend = REGISTRY["mul"], REGISTRY["mul"].gradient_fn, x.backend
    monkeypatch.setattr(op, "gradient_fn", lambda xp, gy, *rest: [g * 2 for g in right(xp, gy, *rest)])
    monkeypatch.setattr(backend, "kernels", {n: k for n, k in backend.kernels.items() if n != "mul"})
    found = t.replay()
    assert [(d.name, d.phase) for d in found] == [("mul_1", "gradient")] * 2
    assert found[0].largest == pytest.approx(np.exp(2.0), rel=1e-6)


@pytest.mark.parametrize(
    ("was", "now", "largest"),
    [
        ([1.0, np.nan], [1.0, np.nan], None),
        ([np.inf, 0.0], [np.inf, -0.0], None),
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([1.0, 2.0], [1.0, np.nan], np.inf),
        ([np.inf], [-np.inf], np.inf),
        ([1.0], [[1.0]], np.inf),
        ([True, False], [True, True], 1.0),
        ([1, 2], [1, 5], 3.0),
        ([1], [1.0], np.inf),  # another dtype
    ],
)
def test_differences(was, now, largest):
    with mg.trace("full") as t:
        mg.exp(mg.ones(1))
    found = replaying._compare(t[0], "forward", "y", np.array(was), np.array(now))
    assert [d.largest for d in found] == ([] if largest is None else [largest])


def test_replay_needs_values():
    with mg.trace("stats") as t:
        mg.exp(mg.ones(2))
    with pytest.raises(ArgumentError, match="level=\"full\", not 'stats'"):
        t.replay()
    with mg.trace("full", names="nothing") as t:
        mg.exp(mg.ones(2))
    with pytest.raises(ArgumentError, match="kept all of them out"):
        t.replay()
    with mg.trace("full") as empty:
        pass
    assert empty.replay() == []


def test_replay_changes_nothing():
    model, x, labels = networks()["mlp"]
    with mg.trace("full") as t:
        step(model, x, labels)
    before = [p.grad.numpy().copy() for p in model.parameters()]
    records, state = len(t), x.backend.rng.bit_generator.state
    t.replay()
    assert len(t) == records
    assert x.backend.rng.bit_generator.state == state
    for p, g in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), g)
