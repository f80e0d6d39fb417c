"""Taylor and Fisher scores: against gates set by hand, the plain path, PyTorch; and gathered during training."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, ShapeError
from minigrad.interpret import UnitScores, fisher_scores, influence, taylor_scores
from minigrad.nn import functional as F
from minigrad.nn.fusing import without_composites
from minigrad.observe import observe
from tests.interpret.networks import OUTPUTS, gated


def derivatives_by_gates(net, x, t, layer, step=1e-5):
    """d L_n / d m_c by central differences, (N, C): each example's loss, each unit's gate."""
    net.eval()
    units = OUTPUTS[layer][0]
    found = np.zeros((len(x), units))
    for unit in range(units):
        losses = []
        for sign in (1, -1):
            gate = np.ones(OUTPUTS[layer])
            gate[unit] += sign * step
            net.gates = {layer: mg.tensor(gate)}
            losses.append(F.cross_entropy(net(x), t, reduction="none").detach().numpy())
        found[:, unit] = (losses[0] - losses[1]) / (2 * step)
    net.gates = {}
    return found


@pytest.mark.parametrize("layer", OUTPUTS)
def test_scores_are_derivatives_by_gates(rng, layer):
    net, x, t = gated(rng)
    p = derivatives_by_gates(net, x, t, layer)
    taylor, fisher = (influence(net, x, t, method=m).scores[layer] for m in ("taylor", "fisher"))
    np.testing.assert_allclose(taylor, np.abs(p).mean(axis=0), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(fisher, (p**2).mean(axis=0) / 2, rtol=1e-6, atol=1e-9)


def test_layers_are_those_with_parameters_in_their_order_or_those_asked_for(rng):
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(18, 3))
    x, t = mg.tensor(rng.standard_normal((2, 1, 5, 5)), dtype=mg.float32), mg.tensor([0, 2])
    assert {k: len(v) for k, v in influence(net, x, t).scores.items()} == {"0": 2, "3": 3}
    every = influence(net, x, t, layers="*").scores
    assert {k: len(v) for k, v in every.items()} == {"0": 2, "1": 2, "2": 18, "3": 3}
    assert list(influence(net, x, t, layers=["1", "3"]).scores) == ["1", "3"]
    # An activation's gate and that of the layer before it do the same, and so do its pixels' together
    np.testing.assert_allclose(every["0"], every["1"], rtol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_a_composite_is_its_layers_one_by_one(rng, training):
    """The composite's output is what the plain path hands to the next layer."""
    net, x, t = gated(rng)
    fused = influence(net, x, t, training=training).scores
    taken = {}

    def take(name):
        def hook(module, args):
            args[0].retain_grad()
            taken[name] = args[0]

        return hook

    net.train(training)
    averages = {n: b.clone() for n, b in net.named_buffers()}
    handles = [
        net.conv2.register_forward_pre_hook(take("conv1")),
        net.fc.register_forward_pre_hook(take("hidden")),
    ]
    with without_composites():
        F.cross_entropy(net(x), t).backward()
    for handle in handles:
        handle.remove()
    for name, buffer in net.named_buffers():
        buffer.copy_(averages[name])
    for layer, y in taken.items():
        np.testing.assert_allclose(fused[layer], taylor_scores(y, y.grad), rtol=1e-9)
    with without_composites():
        plain = influence(net, x, t, training=training).scores
    np.testing.assert_allclose(plain["fc"], fused["fc"], rtol=1e-9)  # an output that both paths have
    assert list(fused) == ["conv1", "conv2", "hidden", "fc"]
    assert list(plain) == ["conv1", "bn1", "conv2", "bn2", "hidden", "fc"]


@pytest.mark.parametrize("dtype", [mg.float32, mg.float64])
def test_scores_gathered_in_a_training_step_are_those_of_a_pass_of_their_own(rng, dtype):
    net, x, t = gated(rng, dtype=dtype)
    alone = {m: influence(net, x, t, method=m, training=True).scores for m in ("taylor", "fisher")}
    gathered = UnitScores(("taylor", "fisher"))
    with observe(gathered):
        F.cross_entropy(net(x), t).backward()
        found = gathered.take()
        assert gathered.take() == {"taylor": {}, "fisher": {}}
    for method, scores in alone.items():
        assert list(found[method]) == list(scores)
        for layer, values in scores.items():
            np.testing.assert_allclose(found[method][layer], values, rtol=1e-5)


def test_all_uses_of_a_layer_share_a_gate(rng):
    class Twice(nn.Module):
        def __init__(self):
            self.layer, self.out, self.gate = nn.Linear(3, 3), nn.Linear(3, 2), None

        def forward(self, x):
            for _ in range(2):
                x = self.layer(x)
                x = mg.tanh(x if self.gate is None else x * self.gate)
            return self.out(x)

    net = Twice().double()
    x, t = mg.tensor(rng.standard_normal((4, 3))), mg.tensor([0, 1, 1, 0])
    gathered = UnitScores()
    with observe(gathered):
        F.cross_entropy(net(x), t).backward()
    gathered_scores = gathered.take()["taylor"]["layer"]
    scores = influence(net, x, t).scores["layer"]
    for unit in range(3):
        losses = []
        for sign in (1, -1):
            net.gate = mg.tensor([1 + sign * 1e-5 * (c == unit) for c in range(3)], dtype=mg.float64)
            losses.append(F.cross_entropy(net(x), t, reduction="none").detach().numpy())
        expected = np.abs((losses[0] - losses[1]) / 2e-5).mean()
        assert scores[unit] == pytest.approx(expected, rel=1e-6)
        assert gathered_scores[unit] == pytest.approx(expected, rel=1e-6)


class Affine(nn.Module):
    """A layer of two operations, and one that ends without units."""

    def __init__(self, summed=False):
        self.scale, self.shift, self.summed = (
            nn.Parameter(mg.full((3,), 2.0)),
            nn.Parameter(mg.ones(3)),
            summed,
        )

    def forward(self, x):
        y = x * self.scale + self.shift
        return y.sum() if self.summed else y


def test_a_layers_output_is_that_of_its_last_operation(rng):
    x = mg.tensor(rng.standard_normal((4, 3)), dtype=mg.float32)
    net, gathered = nn.Sequential(Affine(), nn.Softplus()), UnitScores()
    y = net[0](x).detach().requires_grad_()
    net[1](y).mean().backward()
    expected = taylor_scores(y, y.grad)
    with observe(gathered):
        net(x).mean().backward()
    np.testing.assert_allclose(gathered.take()["taylor"]["0"], expected, rtol=1e-6)
    found = influence(net, x, None, loss=lambda y, _: y.mean())
    np.testing.assert_allclose(found.scores["0"], expected, rtol=1e-6)
    net = nn.Sequential(nn.Linear(3, 3), Affine(summed=True))
    with observe(gathered):
        net(x).backward()
    assert list(gathered.take()["taylor"]) == ["0"]
    assert list(influence(net, x, None, loss=lambda y, _: y).scores) == ["0"]


def test_units_of_sequences_are_their_features(rng):
    net = nn.Sequential(nn.Embedding(7, 4), nn.LayerNorm(4), nn.Linear(4, 5), nn.Flatten(), nn.Linear(30, 2))
    ids, t = mg.tensor(rng.integers(0, 7, (3, 6))), mg.tensor([0, 1, 1])
    found = influence(net, ids, t).scores
    assert {k: len(v) for k, v in found.items()} == {"0": 4, "1": 4, "2": 5, "4": 2}
    y = net[:3](ids).detach().requires_grad_()
    (gy,) = mg.grad(F.cross_entropy(net[3:](y), t), y)
    expected = np.abs(3 * (y * gy).sum(1).detach().numpy()).mean(axis=0)
    np.testing.assert_allclose(found["2"], expected, rtol=1e-5)


def test_a_sum_over_examples_needs_no_scale(rng):
    y, gy = rng.standard_normal((2, 4, 3, 2))
    np.testing.assert_allclose(taylor_scores(y, gy), taylor_scores(y, 4 * gy, scale=1))
    np.testing.assert_allclose(fisher_scores(y, gy, unit_dim=-1), 8 * ((y * gy).sum(1) ** 2).mean(0))


def test_frozen_layers_have_scores_too(rng):
    net, x, t = gated(rng)
    expected = influence(net, x, t).scores
    net.freeze("conv1.*")
    np.testing.assert_allclose(influence(net, x, t).scores["conv1"], expected["conv1"], rtol=1e-12)
    assert [n for n, p in net.named_parameters() if not p.requires_grad] == ["conv1.weight"]


def test_what_is_refused(rng):
    net, x, t = gated(rng)
    for methods in ("taylor", ["snip"]):
        with pytest.raises(ArgumentError, match="names out of taylor, fisher"):
            UnitScores(methods)
    with pytest.raises(ShapeError, match="one shape"):
        taylor_scores(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(ShapeError, match="units in dimension 2"):
        taylor_scores(np.ones((2, 3)), np.ones((2, 3)), unit_dim=2)
    with pytest.raises(ShapeError, match="must be one number"):
        influence(net, x, t, loss=lambda y, t: y)
    with pytest.raises(ArgumentError, match="no output of a layer"):
        influence(net, x, t, layers="nothing")
    gathered = UnitScores()
    with observe(gathered):
        F.cross_entropy(net(x), t).backward()
        with pytest.raises(ShapeError, match="call take"):
            F.cross_entropy(net(x[:2]), t[:2]).backward()


def test_taylor_beside_pytorch(torch, rng):
    net, x, t = gated(rng)
    net.eval()
    T = torch.tensor
    p = {n: T(v.numpy().copy()) for n, v in net.state_dict().items()}
    tF = torch.nn.functional

    def conv_bn(y, i):
        z = tF.conv2d(y, p[f"conv{i}.weight"], padding=1)
        names = ("running_mean", "running_var", "weight", "bias")
        return tF.batch_norm(z, *(p[f"bn{i}.{n}"] for n in names))

    y1 = tF.relu(conv_bn(T(x.numpy().copy()).requires_grad_(), 1))
    y2 = tF.relu(conv_bn(y1, 2) + y1)
    y3 = tF.relu(tF.linear(y2.mean((2, 3)), p["hidden.weight"], p["hidden.bias"]))
    y4 = tF.linear(y3, p["fc.weight"], p["fc.bias"])
    losses = tF.cross_entropy(y4, T(t.numpy().copy()), reduction="sum")
    outputs = (y1, y2, y3, y4)
    found = influence(net, x, t)
    assert found.loss == pytest.approx(losses.item() / 3, rel=1e-12)
    for layer, y, g in zip(OUTPUTS, outputs, torch.autograd.grad(losses, outputs)):
        product = (y * g).flatten(2).sum(2) if y.ndim > 2 else y * g
        np.testing.assert_allclose(found.scores[layer], product.abs().mean(0).detach().numpy(), rtol=1e-9)
