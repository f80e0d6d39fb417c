"""Loss change allocation adds up to the change of the loss, and says where it does not."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, ShapeError
from minigrad.interpret import influence, loss_change, parameter_values
from minigrad.nn import functional as F
from tests.interpret.networks import gated, state


def test_a_quadratic_loss_is_allocated_exactly(rng):
    """L = mean (x w - t)^2: the integral of the gradient is the gradient in the middle."""
    x, t = rng.standard_normal((6, 3)), rng.standard_normal((6, 1))
    net = nn.Linear(3, 1, bias=False).double()
    before, after = rng.standard_normal((2, 1, 3))
    net.weight.data.copy_(mg.tensor(after))
    found = loss_change(net, {"weight": before}, mg.tensor(x), mg.tensor(t), loss=F.mse_loss, tolerance=1e-12)
    middle = (before + after) / 2
    expected = 2 / 6 * (x @ middle.T - t).T @ x * (after - before)
    np.testing.assert_allclose(found.allocation["weight"], expected, rtol=1e-10)
    assert (found.pieces, found.reached) == (1, True)
    assert found.actual == pytest.approx(((x @ after.T - t) ** 2).mean() - ((x @ before.T - t) ** 2).mean())
    assert found.by_unit()[""] == pytest.approx(expected.sum(axis=1))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", [mg.float32, mg.float64])
def test_each_step_of_sgd_adds_up(rng, training, dtype):
    net, x, t = gated(rng, examples=8, dtype=dtype)
    optimizer = mg.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    for _ in range(4):
        before = parameter_values(net)
        optimizer.zero_grad()
        F.cross_entropy(net(x), t).backward()
        optimizer.step()
        bits = state(net)
        found = loss_change(net, before, x, t, training=training, tolerance=1e-3)
        assert state(net) == bits
        assert found.reached
        assert abs(found.residual) <= 1e-3 * abs(found.actual)
        assert sum(found.by_layer().values()) == pytest.approx(found.actual, rel=1e-3)
        assert {k: len(v) for k, v in found.by_unit().items()} == {
            "conv1": 4, "bn1": 4, "conv2": 4, "bn2": 4, "hidden": 5, "fc": 3
        }  # fmt: skip
        by_hand = found.allocation["fc.weight"].sum(axis=1) + found.allocation["fc.bias"]
        np.testing.assert_allclose(found.by_unit()["fc"], by_hand)


def test_the_path_is_cut_until_the_residual_is_small_or_said_not_to_be(rng):
    net, x, t = gated(rng, examples=8)
    before = parameter_values(net)
    for p in net.parameters():
        p.data.add_(mg.tensor(rng.standard_normal(p.shape)))
    rough = loss_change(net, before, x, t, tolerance=1e-9, most_pieces=2)
    assert not rough.reached
    assert "NOT within the tolerance" in str(rough)
    assert rough.pieces == 2
    fine = loss_change(net, before, x, t, tolerance=1e-3, most_pieces=256)
    assert fine.reached
    assert fine.pieces > 2
    assert fine.relative_residual <= 1e-3 < rough.relative_residual
    assert f"in {fine.pieces} pieces" in str(fine)


def test_doubling_the_pieces_gives_what_as_many_from_the_start_do(rng):
    """Simpson's rule in four pieces, from gradients at nine points."""
    net, x, t = gated(rng, examples=4)
    before = parameter_values(net)
    for p in net.parameters():
        p.data.add_(mg.tensor(0.3 * rng.standard_normal(p.shape)))
    after = parameter_values(net)
    found = loss_change(net, before, x, t, tolerance=1e-15, most_pieces=4)
    net.eval()
    expected = np.zeros_like(before["conv1.weight"])
    for i, weight in enumerate((1, 4, 2, 4, 2, 4, 2, 4, 1)):
        for name, p in net.named_parameters():
            p.data.copy_(mg.tensor(before[name] + i / 8 * (after[name] - before[name])))
        (g,) = mg.grad(F.cross_entropy(net(x), t), net.conv1.weight)
        expected += weight / 24 * g.numpy() * (after["conv1.weight"] - before["conv1.weight"])
    np.testing.assert_allclose(found.allocation["conv1.weight"], expected, rtol=1e-9, atol=1e-15)


def test_what_did_not_change_did_nothing(rng):
    net, x, t = gated(rng)
    before = parameter_values(net)
    nothing = loss_change(net, before, x, t)
    assert (nothing.actual, nothing.residual, nothing.relative_residual, nothing.reached) == (0, 0, 0, True)
    net.fc.bias.data.add_(1e-3 * mg.tensor([1.0, 0.0, 2.0], dtype=mg.float64))
    found = loss_change(net, {"fc.bias": before["fc.bias"]}, x, t)
    assert [layer for layer, value in found.by_layer().items() if value] == ["fc"]
    assert found.by_unit()["fc"][1] == 0
    both = loss_change(net, before, x, t, after=before)
    assert both.actual == 0


def test_the_signed_scores_of_influence(rng):
    net, x, t = gated(rng)
    before = parameter_values(net)
    net.fc.weight.data.add_(0.1)
    change = loss_change(net, before, x, t)
    found = influence(net, x, t, method="loss_change", before=before)
    np.testing.assert_array_equal(found.scores["fc"], change.by_unit()["fc"])
    assert found.loss == change.after


def test_masks_are_the_same_along_the_path(rng):
    net = nn.Sequential(nn.Linear(4, 30), nn.Dropout(0.5), nn.Tanh(), nn.Linear(30, 2)).double()
    x, t = mg.tensor(rng.standard_normal((5, 4))), mg.tensor([0, 1, 1, 0, 1])
    before = parameter_values(net)
    net[0].weight.data.add_(0.1)
    position = net[0].weight.backend.rng.bit_generator.state
    found = loss_change(net, before, x, t, training=True, tolerance=1e-6)
    assert found.reached
    assert net[0].weight.backend.rng.bit_generator.state == position


def test_what_is_refused(rng):
    net, x, t = gated(rng)
    good = parameter_values(net)
    with pytest.raises(ArgumentError, match=r"shares its memory .* parameter_values"):
        loss_change(net, net.state_dict(), x, t)
    with pytest.raises(ArgumentError, match="no floating-point parameter 'conv9'"):
        loss_change(net, {**good, "conv9": np.ones(1)}, x, t)
    with pytest.raises(ShapeError, match=r"fc\.bias has shape"):
        loss_change(net, {"fc.bias": np.ones(4)}, x, t)
    for wrong in ({"tolerance": 0}, {"most_pieces": 0}):
        with pytest.raises(ArgumentError, match="tolerance must be positive"):
            loss_change(net, good, x, t, **wrong)
