"""Influence behind one call: scores by weights, the table, agreement with the truth; looking changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError
from minigrad.interpret import (
    UnitScores,
    ablation,
    influence,
    loss_change,
    parameter_values,
    snip_scores,
    weight_gradient_scores,
)
from minigrad.interpret.influence_units import parameter_groups
from minigrad.nn import functional as F
from minigrad.observe import observe
from tests.interpret.networks import gated, state

WEIGHTS = {"conv1": 4, "bn1": 4, "conv2": 4, "bn2": 4, "hidden": 5, "fc": 3}


def test_weight_gradient_is_the_derivative_by_a_factor_on_the_units_weights(rng):
    net, x, t = gated(rng)
    found = influence(net, x, t, method="weight_gradient").scores
    assert {layer: len(values) for layer, values in found.items()} == WEIGHTS
    net.eval()
    for layer, unit in (("conv1", 2), ("bn2", 0), *(("hidden", c) for c in range(5)), ("fc", 1)):
        module = net.get_submodule(layer)
        losses = []
        for factor in (1 + 1e-5, (1 - 1e-5) / (1 + 1e-5)):
            for p in module.parameters():
                p.data[unit] = p.data[unit] * factor
            losses.append(F.cross_entropy(net(x), t).item())
        for p in module.parameters():
            p.data[unit] = p.data[unit] / (1 - 1e-5)
        assert found[layer][unit] == pytest.approx(abs(losses[0] - losses[1]) / 2e-5, rel=1e-5)


def test_snip_shares_out_the_sensitivity_of_all_connections(rng):
    net, x, t = gated(rng)
    found = influence(net, x, t, method="snip").scores
    net.eval()
    gradients = mg.grad(F.cross_entropy(net(x), t), list(net.parameters()))
    parts = {
        n: np.abs(p.detach().numpy() * g.numpy()) for (n, p), g in zip(net.named_parameters(), gradients)
    }
    total = sum(part.sum() for part in parts.values())
    assert sum(values.sum() for values in found.values()) == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(found["conv2"], parts["conv2.weight"].sum((1, 2, 3)) / total, rtol=1e-9)
    np.testing.assert_allclose(found["fc"], (parts["fc.weight"].sum(1) + parts["fc.bias"]) / total, rtol=1e-9)


def test_scores_by_weights_take_grad_as_it_is(rng):
    net, x, t = gated(rng)
    net.eval()
    F.cross_entropy(net(x), t).backward()
    for method, scores in (("weight_gradient", weight_gradient_scores), ("snip", snip_scores)):
        expected = influence(net, x, t, method=method).scores
        for layer, values in scores(net).items():
            np.testing.assert_allclose(values, expected[layer], rtol=1e-9)
    net.zero_grad()
    assert all(not values.any() for values in snip_scores(net).values())


def test_every_parameter_is_in_one_group_of_equal_units():
    class Odd(nn.Module):
        def __init__(self):
            self.up = nn.ConvTranspose2d(6, 4, 3, groups=2)
            self.attention = nn.MultiheadAttention(8, 2)
            self.temperature = nn.Parameter(mg.tensor(1.0))
            self.scale = nn.Parameter(mg.ones(3))

    net = Odd()
    groups = parameter_groups(net)
    names = [name for members in groups.values() for name, _ in members]
    assert sorted(names) == sorted(name for name, _ in net.named_parameters())
    ones = {name: np.ones(p.shape) for name, p in net.named_parameters()}
    scores = weight_gradient_scores(net, ones)
    counts = {layer: len(values) for layer, values in scores.items()}
    assert counts["up"] == 4
    assert counts["attention.in_proj"] == 24
    assert (counts["temperature"], counts["scale"]) == (1, 3)
    # The third output channel of the transposed convolution is the first of the second group
    w, b = net.up.weight.detach().numpy(), net.up.bias.detach().numpy()
    assert scores["up"][2] == pytest.approx(abs(w[3:, 0].sum() + b[2]), rel=1e-5)


def test_looking_changes_no_bits(rng):
    """Training with all measures in between, and without."""
    x, t = rng.standard_normal((16, 2, 5, 6)), rng.integers(0, 3, 16)

    def train(measured: bool):
        mg.manual_seed(3)
        net = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(),
            nn.Linear(120, 3),
        )  # fmt: skip
        seen = []
        net[5].weight.register_hook(lambda g: seen.append(g) and None)
        optimizer = mg.optim.Adam(net.parameters(), lr=1e-2)
        inputs, classes = mg.tensor(x, dtype=mg.float32), mg.tensor(t)
        gathered = UnitScores(("taylor", "fisher"), layers="*")
        for _ in range(4):
            before = parameter_values(net)
            optimizer.zero_grad()
            if measured:
                with observe(gathered):
                    F.cross_entropy(net(inputs), classes).backward()
                assert len(gathered.take()["fisher"]) == 6
            else:
                F.cross_entropy(net(inputs), classes).backward()
            if measured:
                for training in (True, False):
                    for method in ("taylor", "fisher", "snip", "weight_gradient"):
                        influence(net, inputs, classes, method=method, training=training)
                    ablation(net, inputs, classes, [("0", 1), ("5", 2)], training=training)
            optimizer.step()
            if measured:
                loss_change(net, before, inputs, classes, training=True, most_pieces=2)
                influence(net, inputs, classes).agreement(n=4)
        moments = [s[n].tobytes() for s in optimizer.state.values() for n in optimizer.state_arrays]
        return (
            state(net),
            moments,
            str(mg.randn(3)),
            len(seen),
            [p._storage.version for p in net.parameters()],
        )

    assert train(True) == train(False)


def test_the_table_and_the_highest(rng):
    net, x, t = gated(rng)
    found = influence(net, x, t)
    top = found.top(5)
    every = sorted((v for values in found.scores.values() for v in values), reverse=True)
    assert [score for _, _, score in top] == every[:5]
    assert all(found.scores[layer][unit] == score for layer, unit, score in top)
    text = str(found).splitlines()
    assert text[0].split() == ["layer", "unit", "score", "share"]
    assert text[1].split()[:2] == [top[0][0], str(top[0][1])]
    assert text[-1] == f"taylor: 16 units in 4 layers, loss {found.loss:.4g}"
    assert len(found.top(100)) == 16
    with pytest.raises(ArgumentError, match="at least 1"):
        found.top(0)
    normal = influence(net, x, t, normalize=True).scores
    for layer, values in found.scores.items():
        np.testing.assert_allclose(normal[layer], values / np.sqrt((values**2).sum()), rtol=1e-12)


def test_where_the_loss_is_linear_taylor_is_the_truth(rng):
    """One layer of positive outputs, weighted and averaged: what goes missing is the product itself."""
    net = nn.Sequential(nn.Linear(3, 20), nn.Sigmoid(), nn.Linear(20, 1)).double()
    x = mg.tensor(rng.standard_normal((9, 3)))
    found = influence(net, x, None, loss=lambda y, _: y.mean(), layers="1")
    sampled, scores, truth = found.beside_truth(n=12)
    assert len(sampled) == 12
    np.testing.assert_allclose(scores, np.abs(truth), rtol=1e-9)
    assert found.agreement() == 1


def test_agreement_is_with_the_model_as_it_was(rng):
    net, x, t = gated(rng)
    for method in ("taylor", "fisher", "snip", "weight_gradient"):
        assert -1 <= influence(net, x, t, method=method).agreement(n=6) <= 1
    found = influence(net, x, t)
    assert found.agreement(n=8, seed=1) == found.agreement(n=8, seed=1)
    net.fc.bias.data.add_(1)
    with pytest.raises(ArgumentError, match="has changed since"):
        found.agreement()


def test_what_is_refused(rng):
    net, x, t = gated(rng)
    with pytest.raises(ArgumentError, match="one of taylor, fisher"):
        influence(net, x, t, method="magic")
    for how in ({"method": "loss_change"}, {"before": parameter_values(net)}):
        with pytest.raises(ArgumentError, match="before=parameter_values"):
            influence(net, x, t, **how)
    with pytest.raises(ArgumentError, match="loss must be a function"):
        influence(net, x, t, "cross_entropy")
