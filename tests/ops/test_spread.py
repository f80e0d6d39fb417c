"""Variances, standard deviations and norms against PyTorch, NumPy and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import ops
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from tests.ops.by_name import compare_by_name

FORMS = [
    {},
    {"correction": 0},
    {"dim": 0},
    {"dim": -1, "keepdim": True, "correction": 2},
    {"dim": (0, 2), "unbiased": False},
    {"dim": (1,), "unbiased": True, "keepdim": True},
    {"dim": (0, 1, 2), "correction": 0.5},
]


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["var", "std", "var_mean", "std_mean"])
@pytest.mark.parametrize("options", FORMS)
def test_spread(torch, rng, name, options, dtype):
    x = rng.standard_normal((3, 4, 5)) * 2 + 1
    compare_by_name(torch, name, [x], **options, how={"dtype": dtype})


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
def test_spread_at_the_edges(torch):
    for x in (np.ones(1), np.array(2.0), np.ones((2, 0))):
        for name in ("var", "std"):
            compare_by_name(torch, name, [x], how={"order": 0})
    x = np.array([[1.0, 1.0, 1.0], [1.0, 2.0, 4.0]])
    compare_by_name(torch, "std", [x], 1, how={"order": 1})
    compare_by_name(torch, "var", [x], False)
    compare_by_name(torch, "var", [x], 1, correction=5, how={"order": 0})


def test_spread_against_numpy(rng):
    # Far from zero, where the one-pass formula would fail
    x = rng.standard_normal((4, 3, 5)).astype(np.float32) + 100
    exact = x.astype(np.float64)
    assert ops.var(mg.tensor(x), (0, 2)).numpy() == pytest.approx(exact.var((0, 2), ddof=1), rel=1e-5)
    assert ops.std(mg.tensor(x), 1, correction=0).numpy() == pytest.approx(exact.std(1), rel=1e-5)
    variance, mean = ops.var_mean(mg.tensor(x))
    assert (variance.item(), mean.item()) == pytest.approx((exact.var(ddof=1), exact.mean()), rel=1e-5)


def test_gradient_of_std_is_zero_where_it_is_zero():
    x = mg.ones(3, requires_grad=True)
    ops.std(x).backward()
    assert x.grad.tolist() == [0, 0, 0]


def test_spread_errors():
    with pytest.raises(DtypeError, match=r"var needs floating-point numbers, not int64\[2\]"):
        ops.var(mg.tensor([1, 2]))
    with pytest.raises(ArgumentError, match="std takes unbiased or correction, not both"):
        ops.std(mg.zeros(3), 0, True, correction=1)
    with pytest.raises(ArgumentError, match="var: dim must be an integer, several, or None, not True"):
        ops.var(mg.zeros(3), True, False)
    with pytest.raises(ArgumentError, match="dim 1 is out of range"):
        ops.var(mg.zeros(3), 1)


# ---------------------------------------------------------------- norms

ORDERS = [0, 0.5, 1, 1.5, 2, 2.5, 3, 4, -1, -2.5, math.inf, -math.inf]


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("p", ORDERS)
def test_norm(torch, rng, p, dtype):
    x = rng.uniform(0.5, 2, (3, 4)) * rng.choice([-1, 1], (3, 4))
    for options in ({}, {"dim": 0}, {"dim": (0, 1), "keepdim": True}):
        compare_by_name(torch.linalg, "vector_norm", [x], p, **options, how={"dtype": dtype})
        compare_by_name(torch, "norm", [x], p, **options, how={"dtype": dtype})


@pytest.mark.oracle
@pytest.mark.parametrize("p", [p for p in ORDERS if p >= 0])
def test_norm_at_its_kinks(torch, p):
    """Zeros beside other numbers, a vector of zeros, extremes that several elements share."""
    for x in ([[1.0, 0.0, -2.0]], [[0.0, 0.0, 0.0]], [[2.0, -2.0, 1.0]]):
        compare_by_name(torch.linalg, "vector_norm", [np.array(x)], p, 1, how={"order": 1})


@pytest.mark.oracle
def test_other_forms_of_norm(torch, rng):
    x = rng.standard_normal((3, 4))
    for args in ((), ("fro", (0, 1)), (1, -1, True)):
        compare_by_name(torch, "norm", [x], *args)
        compare_by_name(torch.Tensor, "norm", [x], *args)
    compare_by_name(torch, "norm", [x], dtype="float64", how={"dtype": "float32", "rtol": 1e-6})
    compare_by_name(torch.linalg, "vector_norm", [np.array(-3.0)])
    compare_by_name(torch.linalg, "vector_norm", [np.zeros((0, 2))], how={"order": 1})


@given(st.sampled_from(ORDERS), st.lists(st.integers(1, 30), min_size=1, max_size=6))
def test_norm_against_plain_loops(p, numbers):
    numbers = [n / 10 * (-1) ** n for n in numbers]
    sizes = [abs(n) for n in numbers]
    if p == 0:
        expected = float(len(sizes))
    elif math.isinf(p):
        expected = max(sizes) if p > 0 else min(sizes)
    else:
        expected = math.fsum(s**p for s in sizes) ** (1 / p)
    assert ops.norm(mg.tensor(np.array(numbers)), p).item() == pytest.approx(expected, rel=1e-12)


def test_norm_errors():
    with pytest.raises(ArgumentError, match="p must be a number or 'fro', not 'nuc'"):
        ops.norm(mg.zeros(2, 2), "nuc")
    with pytest.raises(ArgumentError, match="ord must be a number, not 'fro'"):
        ops.vector_norm(mg.zeros(2), "fro")
    with pytest.raises(DtypeError, match="needs floating-point numbers, not int64"):
        ops.norm(mg.tensor([1, 2]))
    with pytest.raises(ShapeError, match="no element to choose"):
        ops.vector_norm(mg.zeros(2, 0), math.inf, 1)
