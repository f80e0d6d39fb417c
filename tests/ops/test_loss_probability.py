"""Binary cross entropy and Kullback-Leibler divergence: definition, PyTorch, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

import minigrad as mg
from minigrad import ops
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from tests.oracle import compare_with_torch

REDUCTIONS = ["none", "mean", "sum"]


def test_binary_cross_entropy_follows_the_definition(rng):
    p, t, w = rng.uniform(0.05, 0.95, 20), rng.integers(0, 2, 20), rng.uniform(0.5, 2, 20)
    expected = [
        -wi * math.log(pi if ti else 1 - pi)
        for pi, ti, wi in zip(p.tolist(), t.tolist(), w.tolist(), strict=True)
    ]
    by_probability = ops.binary_cross_entropy(mg.tensor(p), mg.tensor(t), mg.tensor(w), reduction="none")
    np.testing.assert_allclose(by_probability.numpy(), expected, rtol=1e-12)
    logits = mg.tensor(np.log(p / (1 - p)))
    by_logit = ops.binary_cross_entropy_with_logits(logits, mg.tensor(t), mg.tensor(w))
    np.testing.assert_allclose(by_logit.item(), math.fsum(expected) / 20, rtol=1e-12)


def test_kl_div_follows_the_definition(rng):
    p, q = (a / a.sum(axis=1, keepdims=True) for a in rng.uniform(0.1, 1, (2, 4, 3)))
    expected = np.mean([stats.entropy(p[i], q[i]) for i in range(4)])
    log_q = mg.tensor(np.log(q))
    by_p = ops.kl_div(log_q, mg.tensor(p), reduction="batchmean")
    by_log_p = ops.kl_div(log_q, mg.tensor(np.log(p)), reduction="batchmean", log_target=True)
    np.testing.assert_allclose([by_p.item(), by_log_p.item()], expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight_shape", [None, (3, 4), (4,), (3, 1), ()])
def test_binary_cross_entropy_equals_pytorch(torch, rng, weight_shape, reduction, dtype):
    weight = None if weight_shape is None else rng.uniform(0.5, 2, weight_shape)
    compare_with_torch(
        lambda x, t, w: ops.binary_cross_entropy(x, t, w, reduction=reduction),
        lambda x, t, w: torch.nn.functional.binary_cross_entropy(x, t, w, reduction=reduction),
        [rng.uniform(0.1, 0.9, (3, 4)), rng.uniform(0.1, 0.9, (3, 4)), weight],
        differentiable=[0],
        dtype=dtype,
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    "weight_shape, pos_shape", [(None, None), ((3, 4), (4,)), ((4,), None), (None, (3, 1))]
)
def test_with_logits_equals_pytorch(torch, rng, weight_shape, pos_shape, reduction, dtype):
    w, p = (None if s is None else rng.uniform(0.5, 2, s) for s in (weight_shape, pos_shape))
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    compare_with_torch(
        lambda x, t, w, p: ops.binary_cross_entropy_with_logits(x, t, w, reduction=reduction, pos_weight=p),
        lambda x, t, w, p: bce(x, t, w, reduction=reduction, pos_weight=p),
        [3 * rng.standard_normal((3, 4)), rng.uniform(0, 1, (3, 4)), w, p],
        differentiable=[0, 1],
        dtype=dtype,
    )


@pytest.mark.filterwarnings("ignore:reduction. 'mean'")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
@pytest.mark.parametrize("log_target", [False, True])
def test_kl_div_equals_pytorch(torch, rng, log_target, reduction, dtype):
    t = rng.standard_normal((3, 4)) if log_target else rng.uniform(0.1, 1, (3, 4))
    compare_with_torch(
        lambda x, t: ops.kl_div(x, t, reduction=reduction, log_target=log_target),
        lambda x, t: torch.nn.functional.kl_div(x, t, reduction=reduction, log_target=log_target),
        [rng.standard_normal((3, 4)), t],
        dtype=dtype,
    )


def test_probabilities_0_and_1_stay_finite(torch):
    x, t = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.0, 1.0])
    compare_with_torch(
        lambda x, t: ops.binary_cross_entropy(x, t, reduction="none"),
        lambda x, t: torch.nn.functional.binary_cross_entropy(x, t, reduction="none"),
        [x, t],
        order=1,
        rtol=1e-7,  # PyTorch's smallest divisor, 1e-12, is a float32 constant
        differentiable=[0],
    )


def test_extreme_logits_stay_finite():
    x = mg.tensor([1000.0, -1000.0, 1000.0, -1000.0], requires_grad=True)
    p = mg.ones(4).requires_grad_()
    y = ops.binary_cross_entropy_with_logits(x, mg.tensor([1, 1, 0, 0]), pos_weight=p, reduction="none")
    assert y.tolist() == [0, 1000, 1000, 0]
    gx, gp = mg.grad(y.sum(), [x, p])
    assert gx.tolist() == [0, -1, 1, 0]
    assert gp.tolist() == [0, 1000, 0, 0]


def test_kl_div_of_probability_0_is_0():
    x, t = mg.tensor([-1.0, -2.0], requires_grad=True), mg.tensor([0.0, 1.0], requires_grad=True)
    y = ops.kl_div(x, t, reduction="none")
    assert y.tolist() == [0, 2]
    gx, gt = mg.grad(y.sum(), [x, t], create_graph=True)
    assert gx.tolist() == [0, -1]
    assert gt.tolist() == [2, 3]
    (second,) = mg.grad(gt.sum(), t)
    assert second.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div"])
def test_the_mean_of_nothing_is_nan(name):
    assert math.isnan(getattr(ops, name)(mg.zeros(0, 3), mg.zeros(0, 3)).item())
    assert getattr(ops, name)(mg.zeros(0, 3), mg.zeros(0, 3), reduction="sum").item() == 0


def test_what_is_refused():
    x = mg.zeros(3, 2)
    for name in ("binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div"):
        loss = getattr(ops, name)
        with pytest.raises(ShapeError, match=rf"{name}: x has shape \[3, 2\] and target \[3\]"):
            loss(x, mg.zeros(3))
        with pytest.raises(ArgumentError, match=f"{name}: reduction must be .* not 'avg'"):
            loss(x, x, reduction="avg")
        with pytest.raises(DtypeError, match=rf"{name} needs floating-point numbers, not int64\[3, 2\]"):
            loss(x.long(), x)
    with pytest.raises(ArgumentError, match=r"between 0 and 1; it ranges from -0\.5 to 2\. For logits use"):
        ops.binary_cross_entropy(mg.tensor([-0.5, 2.0]), mg.zeros(2))
    with pytest.raises(ArgumentError, match="it ranges from nan to nan"):
        ops.binary_cross_entropy(mg.tensor([math.nan, 0.5]), mg.zeros(2))
    with pytest.raises(ShapeError, match=r"weight of shape \[3\] does not broadcast to that of x, \[3, 2\]"):
        ops.binary_cross_entropy(x, x, mg.ones(3))
    with pytest.raises(ShapeError, match=r"pos_weight of shape \[1, 3, 2\] does not broadcast"):
        ops.binary_cross_entropy_with_logits(x, x, pos_weight=mg.ones(1, 3, 2))
    with pytest.raises(ArgumentError, match="'batchmean' needs a batch dimension"):
        ops.kl_div(mg.tensor(0.0), mg.tensor(1.0), reduction="batchmean")
