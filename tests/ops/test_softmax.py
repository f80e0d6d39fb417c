"""Softmax and its logarithm against PyTorch, SciPy and a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import ops
from minigrad.errors import ArgumentError, DtypeError
from tests.ops.by_name import compare_by_name

NAMES = ["softmax", "log_softmax", "softmin"]


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "shape, dim", [((5,), 0), ((3, 4), -1), ((2, 3, 4), 1), ((3, 1), 1), ((), 0), ((2, 0), 1)]
)
def test_equals_pytorch(torch, rng, name, shape, dim, dtype):
    x = np.array(rng.standard_normal(shape) * 3)
    compare_by_name(torch.nn.functional, name, [x], dim, how={"dtype": dtype})


@pytest.mark.oracle
@pytest.mark.parametrize("name", NAMES)
def test_dtype_and_half_precision(torch, rng, name):
    x = rng.standard_normal((3, 4))
    for dtype in ("float16", "bfloat16"):
        compare_by_name(torch.nn.functional, name, [x], 1, how={"dtype": dtype, "order": 1})
    compare_by_name(torch.nn.functional, name, [rng.integers(0, 5, (3, 4))], 1, dtype="float64")
    compare_by_name(torch.nn.functional, name, [x], 1, dtype="float64", how={"dtype": "float32"})


@pytest.mark.oracle
@pytest.mark.parametrize("name", NAMES)
def test_infinities_and_large_numbers(torch, name):
    inf = math.inf
    x = np.array([[-inf, -inf, -inf], [inf, 1, 2], [-inf, 1, 2], [1e4, 1e4, -1e4], [math.nan, 0, 1]])
    compare_by_name(torch.nn.functional, name, [x], 1, how={"order": 1})


@given(st.lists(st.floats(-700, 700), min_size=1, max_size=8))
def test_against_scipy(numbers):
    x = np.array([numbers, numbers[::-1]])
    for ours, scipys in ((ops.softmax, scipy.special.softmax), (ops.log_softmax, scipy.special.log_softmax)):
        for dim in (0, 1):
            assert ours(mg.tensor(x), dim).numpy() == pytest.approx(scipys(x, dim), rel=1e-12, abs=1e-300)
    assert ops.softmin(mg.tensor(x), 1).numpy() == pytest.approx(
        scipy.special.softmax(-x, 1), rel=1e-12, abs=1e-300
    )


def test_against_a_plain_loop(rng):
    x = rng.standard_normal((2, 3, 4))
    y = ops.softmax(mg.tensor(x), 1).numpy()
    for n, i, c in np.ndindex(2, 3, 4):
        assert y[n, i, c] == pytest.approx(math.exp(x[n, i, c]) / sum(math.exp(x[n, j, c]) for j in range(3)))
    assert y.sum(1) == pytest.approx(np.ones((2, 4)))


def test_methods():
    x = mg.tensor([0.0, 0.0])
    assert x.softmax(0).tolist() == x.log_softmax(-1).exp().tolist() == [0.5, 0.5]


def test_errors():
    for name in NAMES:
        f = getattr(ops, name)
        with pytest.raises(ArgumentError, match="needs dim, the dimension along which the results sum to 1"):
            f(mg.zeros(2))
        with pytest.raises(DtypeError, match=r"softm\w+ needs floating-point numbers, not int64\[2\]"):
            f(mg.tensor([1, 2]), 0)
        with pytest.raises(ArgumentError, match="dim 1 is out of range"):
            f(mg.zeros(2), 1)
        with pytest.raises(DtypeError, match="takes a tensor, not list"):
            f([1.0], 0)
