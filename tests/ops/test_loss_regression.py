"""Losses of predicted numbers: against their definition, against PyTorch, and what they refuse."""

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
SHAPES = [(), (5,), (3, 4), (2, 3, 2)]
DEFINITIONS = {
    "mse_loss": ({}, lambda d: d * d),
    "l1_loss": ({}, abs),
    "huber_loss": ({"delta": 0.7}, lambda d: d * d / 2 if abs(d) < 0.7 else 0.7 * (abs(d) - 0.35)),
    "smooth_l1_loss": ({"beta": 0.7}, lambda d: d * d / 1.4 if abs(d) < 0.7 else abs(d) - 0.35),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_each_follows_its_definition(rng, name):
    options, loss = DEFINITIONS[name]
    x, t = rng.standard_normal(50), rng.standard_normal(50)
    expected = [loss(d) for d in (x - t).tolist()]
    outcomes = {"none": expected, "sum": math.fsum(expected), "mean": math.fsum(expected) / 50}
    for reduction in REDUCTIONS:
        y = getattr(ops, name)(mg.tensor(x), mg.tensor(t), reduction=reduction, **options)
        np.testing.assert_allclose(y.numpy(), outcomes[reduction], rtol=1e-12)


def test_gaussian_likelihood_is_the_logarithm_of_the_density(rng):
    x, t, var = rng.standard_normal(9), rng.standard_normal(9), rng.uniform(0.1, 2, 9)
    y = ops.gaussian_nll_loss(mg.tensor(x), mg.tensor(t), mg.tensor(var), full=True, reduction="none")
    np.testing.assert_allclose(y.numpy(), -stats.norm.logpdf(t, x, np.sqrt(var)), rtol=1e-12)


def test_poisson_likelihood_is_the_logarithm_of_the_probability_up_to_a_constant(rng):
    rate, t = rng.uniform(0.5, 5, 9), rng.integers(0, 9, 9)
    expected = -stats.poisson.logpmf(t, rate) - [math.lgamma(n + 1) for n in t.tolist()]
    by_log = ops.poisson_nll_loss(mg.tensor(np.log(rate)), mg.tensor(t), reduction="none")
    by_rate = ops.poisson_nll_loss(mg.tensor(rate), mg.tensor(t), log_input=False, eps=0.0, reduction="none")
    np.testing.assert_allclose(by_log.numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(by_rate.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", DEFINITIONS)
def test_each_equals_pytorch(torch, rng, name, reduction, dtype):
    options = {"reduction": reduction, **DEFINITIONS[name][0]}
    for shape in SHAPES:
        compare_with_torch(
            lambda x, t: getattr(ops, name)(x, t, **options),
            lambda x, t: getattr(torch.nn.functional, name)(x, t, **options),
            [rng.standard_normal(shape), rng.standard_normal(shape)],
            dtype=dtype,
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_weights_equal_pytorch(torch, rng, name, reduction):
    compare_with_torch(
        lambda x, t, w: getattr(ops, name)(x, t, weight=w, reduction=reduction),
        lambda x, t, w: getattr(torch.nn.functional, name)(x, t, weight=w, reduction=reduction),
        [rng.standard_normal((3, 4)), rng.standard_normal((3, 4)), rng.uniform(0.5, 2, (3, 4))],
    )


def test_smooth_l1_with_beta_0_is_l1(torch, rng):
    compare_with_torch(
        lambda x, t: ops.smooth_l1_loss(x, t, beta=0.0),
        lambda x, t: torch.nn.functional.smooth_l1_loss(x, t, beta=0.0),
        [rng.standard_normal(5), rng.standard_normal(5)],
    )


def test_kinks_follow_pytorch(torch):
    d = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    for name, options in (("l1_loss", {}), ("huber_loss", {"delta": 0.5}), ("smooth_l1_loss", {"beta": 0.5})):
        compare_with_torch(
            lambda x, t, name=name, options=options: getattr(ops, name)(x, t, **options),
            lambda x, t, name=name, options=options: getattr(torch.nn.functional, name)(x, t, **options),
            [d, np.zeros(5)],
            order=1,
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("var_shape", [(3, 4), (3, 1), (3,)])
def test_gaussian_nll_equals_pytorch(torch, rng, var_shape, full, reduction):
    compare_with_torch(
        lambda x, t, v: ops.gaussian_nll_loss(x, t, v, full, reduction=reduction),
        lambda x, t, v: torch.nn.functional.gaussian_nll_loss(x, t, v, full, reduction=reduction),
        [rng.standard_normal((3, 4)), rng.standard_normal((3, 4)), rng.uniform(0.5, 2, var_shape)],
    )


def test_gaussian_nll_with_one_variance_equals_pytorch(torch, rng):
    for var in (2.0, 0.0):
        compare_with_torch(
            lambda x, t, var=var: ops.gaussian_nll_loss(x, t, var, eps=0.1),
            lambda x, t, var=var: torch.nn.functional.gaussian_nll_loss(x, t, var, eps=0.1),
            [rng.standard_normal((3, 4)), rng.standard_normal((3, 4))],
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("log_input", [False, True])
def test_poisson_nll_equals_pytorch(torch, rng, log_input, full, reduction):
    compare_with_torch(
        lambda x, t: ops.poisson_nll_loss(x, t, log_input, full, reduction=reduction),
        lambda x, t: torch.nn.functional.poisson_nll_loss(x, t, log_input, full, reduction=reduction),
        [rng.uniform(0.5, 2, (3, 4)), rng.integers(0, 6, (3, 4)).astype(np.float64)],
        differentiable=[0],
    )


@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_mean_of_nothing_is_nan(name):
    x = mg.zeros(0, 3).requires_grad_()
    loss = getattr(ops, name)(x, mg.zeros(0, 3))
    assert math.isnan(loss.item())
    assert mg.grad(loss, x)[0].shape == (0, 3)
    assert getattr(ops, name)(x, mg.zeros(0, 3), reduction="sum").item() == 0


def test_integer_targets_are_numbers(rng):
    x = mg.tensor(rng.standard_normal(4), dtype="float32")
    assert ops.mse_loss(x, mg.arange(4)).dtype == x.dtype
    assert ops.mse_loss(x, mg.arange(4)).item() == ops.mse_loss(x, mg.arange(4).float()).item()


def test_what_is_refused():
    x, column = mg.zeros(3), mg.zeros(3, 1)
    for name in DEFINITIONS:
        with pytest.raises(
            ShapeError, match=rf"{name}: x has shape \[3, 1\] and target \[3\]; they must be equal"
        ):
            getattr(ops, name)(column, x)
        with pytest.raises(
            ArgumentError, match=f"{name}: reduction must be 'none' or 'mean' or 'sum', not 'batchmean'"
        ):
            getattr(ops, name)(x, x, reduction="batchmean")
        with pytest.raises(DtypeError, match=rf"{name} needs floating-point numbers, not int64\[3\]"):
            getattr(ops, name)(x.long(), x)
    with pytest.raises(ShapeError, match=r"mse_loss: weight has shape \[1\]; it must be that of x, \[3\]"):
        ops.mse_loss(x, x, weight=mg.ones(1))
    with pytest.raises(ArgumentError, match="delta must be positive, not 0"):
        ops.huber_loss(x, x, delta=0)
    with pytest.raises(ArgumentError, match="beta must not be negative, and is -1"):
        ops.smooth_l1_loss(x, x, beta=-1)
    with pytest.raises(ArgumentError, match="var must not be negative; its smallest element is -2"):
        ops.gaussian_nll_loss(x, x, mg.tensor([1.0, -2.0, 0.0]))
    with pytest.raises(ArgumentError, match="its smallest element is -1"):
        ops.gaussian_nll_loss(x, x, -1.0)
    with pytest.raises(ShapeError, match=r"for x of shape \[3, 1\] var must have that shape.*not \[2\]"):
        ops.gaussian_nll_loss(column, column, mg.ones(2))
