"""Observing changes no bits; composites are shown by their parts on request."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest

import minigrad as mg
import models
from minigrad import nn
from minigrad.nn import functional as F
from minigrad.ops.composites import COMPOSITES

WAYS = {
    "meta": lambda: mg.trace("meta"),
    "stats": lambda: mg.trace("stats", updates=True),
    "full": lambda: mg.trace("full", updates=True),
    "full, expanded": lambda: mg.trace("full", expand=True),
    "meta, expanded": lambda: mg.trace("meta", expand=True),
    "one for each step": nullcontext,
    "anomalies": mg.detect_anomaly,
    "profile": mg.profile,
}


def trained(model, images, labels, around=nullcontext, each=nullcontext) -> dict[str, bytes]:
    """The bytes of weights, buffers and losses after three steps."""
    optimizer = mg.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses = []
    with around():
        for _ in range(3):
            with each():
                optimizer.zero_grad()
                loss = F.cross_entropy(model(images), labels)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
    state = {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}
    return state | {"losses": repr(losses).encode()}


def make(kind):
    mg.manual_seed(3)
    rng = np.random.default_rng(1)
    if kind == "resnet8":
        x, labels = rng.standard_normal((6, 1, 16, 16), dtype=np.float32), rng.integers(0, 4, 6)
        return models.resnet8(4, 1), mg.tensor(x), mg.tensor(labels)
    tokens = mg.tensor(rng.integers(0, 9, (3, 8)))
    text = models.CharTransformer(9, 8, n_layer=1, n_head=2, n_embd=16, dropout=0.1)
    return nn.Sequential(text, nn.Flatten(0, 1)), tokens, tokens.flatten()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["resnet8", "transformer"])
def test_training_gives_the_same_bits(kind, way):
    each = (lambda: mg.trace("full", expand=True)) if way == "one for each step" else nullcontext
    expected = trained(*make(kind))
    assert trained(*make(kind), around=WAYS[way], each=each) == expected


def test_a_seen_run_that_differs_would_be_noticed():
    """The comparison above can fail: another seed, another result."""
    first = trained(*make("resnet8"))
    model, x, labels = make("resnet8")
    with mg.no_grad():
        next(iter(model.parameters())).add_(1e-6)
    assert trained(model, x, labels) != first


# ---------------------------------------------------------------- parts of composites


@pytest.fixture
def expanded():
    model, x, labels = make("resnet8")
    with mg.trace("full", expand=True) as t:
        F.cross_entropy(model(x), labels).backward()
    return t


def test_a_composite_is_one_unless_its_parts_are_asked_for(expanded):
    model, x, labels = make("resnet8")
    with mg.trace("full") as plain:
        F.cross_entropy(model(x), labels).backward()
    assert [r.op.name for r in plain] == [r.op.name for r in expanded if r.inside is None]
    assert all(r.inside is None for r in plain)
    assert len(expanded) > len(plain)
    for alone, among in zip(plain, (r for r in expanded if r.inside is None), strict=True):
        for a, b in zip(alone.outputs, among.outputs, strict=True):
            np.testing.assert_array_equal(a.value, b.value)
            if a.held_gradient is not None:
                np.testing.assert_array_equal(a.gradient_value, b.gradient_value)


def test_parts_follow_their_composite_and_belong_to_it(expanded):
    whole = expanded["layer1.0.conv2"]
    assert whole.op.name == "conv_bn_act"
    parts = expanded.find(where=lambda r: r.inside == whole.number)
    assert [r.op.name for r in parts] == ["conv2d", "batch_norm", "add", "relu"]
    assert [r.number for r in parts] == list(range(whole.number + 1, whole.number + 5))
    assert {r.modules for r in parts} == {whole.modules}
    assert parts[0].input("w").parameter == "layer1.0.conv2.weight"
    assert parts[0].inputs[0].tensor == whole.inputs[0].tensor
    assert parts[3].parents == [parts[2].number]
    np.testing.assert_allclose(parts[-1].output().value, whole.output().value, rtol=1e-4, atol=1e-5)


def test_gradients_go_through_the_parts(expanded):
    whole = expanded["layer1.0.conv2"]
    parts = expanded.find(where=lambda r: r.inside == whole.number)
    assert all(r.gradient_seconds > 0 for r in parts)
    assert all(r.bytes_freed == r.bytes_saved for r in parts)
    a, b = parts[0].input("w").gradient_value, whole.input("w").gradient_value
    np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-3 * abs(b).max())
    np.testing.assert_array_equal(parts[-1].output().gradient_value, whole.output().gradient_value)


def test_every_composite_is_expanded():
    linear, bn = nn.Linear(3, 3), nn.BatchNorm1d(3)
    conv, norm = nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2)
    for p in norm.eval().parameters():
        p.requires_grad_(False)
    x, image = mg.ones(4, 3) * mg.arange(4.0).reshape(4, 1), mg.ones(2, 1, 5, 5)
    with mg.trace("meta", expand=True) as t:
        F.linear_act(x, linear)
        F.batch_norm_act(x, bn)
        F.conv_bn_act(image, conv, norm)
        F.conv_bn_act(image, conv, norm.train())
    whole = [r.op.name for r in t if r.inside is None]
    assert set(whole) == COMPOSITES
    assert {r.inside for r in t if r.inside is not None} == {r.number for r in t if r.inside is None}


def test_parts_are_seen_by_their_own_trace_only():
    layer, x = nn.Linear(2, 2), mg.ones(1, 2)
    with mg.profile() as before, mg.trace("meta", expand=True) as t, mg.profile() as p, mg.trace() as inner:
        F.linear_act(x, layer).sum().backward()
    assert [r.op.name for r in t] == ["linear_act", "linear", "relu", "sum"]
    assert [r.op.name for r in inner] == ["linear_act", "sum"]
    expected = {(name, phase): 1 for name in ("linear_act", "sum") for phase in ("forward", "gradient")}
    for profile in (before, p):
        assert {key: row[0] for key, row in profile.rows.items()} == expected


def test_parts_without_a_graph():
    layer = nn.Linear(2, 2)
    with mg.trace("full", expand=True) as t, mg.no_grad():
        F.linear_act(mg.ones(1, 2), layer)
    assert [r.op.name for r in t] == ["linear_act", "linear", "relu"]
    assert all(r.gradient_seconds is None for r in t)
    assert t.replay() == []


def test_parameters_receive_one_gradient():
    """The parts' gradients go nowhere."""
    layer = nn.Linear(2, 2)
    F.linear_act(mg.ones(1, 2), layer).sum().backward()
    expected = layer.weight.grad.numpy().copy()
    layer.weight.grad = None
    with mg.trace("stats", expand=True):
        F.linear_act(mg.ones(1, 2), layer).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy(), expected)
