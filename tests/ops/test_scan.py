"""Running sums, products and extremes against PyTorch and plain loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import ops
from minigrad.errors import ArgumentError, DtypeError
from minigrad.op import get_operation
from tests.ops.by_name import compare_by_name

NAMES = ["cumsum", "cumprod", "logcumsumexp", "cummax", "cummin"]
SHAPES = [((5,), 0), ((2, 7, 3), 1), ((2, 7, 3), -1), ((4, 1), 1), ((3, 0), 1), ((0, 3), 1), ((), 0)]


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape, dim", SHAPES)
def test_scans(torch, rng, name, shape, dim, dtype):
    x = np.array(rng.standard_normal(shape))
    compare_by_name(torch, name, [x], dim, how={"dtype": dtype})


@pytest.mark.oracle
@pytest.mark.parametrize("zeros", [[0], [2], [4], [1, 3], [0, 4], [0, 1, 2, 3, 4]])
def test_cumprod_with_zeros(torch, rng, zeros):
    x = rng.standard_normal((5, 2))
    x[zeros, 0] = 0
    compare_by_name(torch, "cumprod", [x], 0)


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float16", "bfloat16"])
def test_other_types(torch, rng, dtype):
    x = rng.integers(0, 3, (3, 4)).astype("float64" if "float" in dtype else dtype)
    for name in ("cumsum", "cumprod", "cummax", "cummin"):
        compare_by_name(
            torch, name, [x], 1, how={"dtype": dtype if "float" in dtype else "float64", "order": 1}
        )
    compare_by_name(torch, "cumsum", [x], 0, dtype="float64", how={"order": 0})
    compare_by_name(torch, "cumprod", [x], 0, dtype="int64", how={"order": 0})
    compare_by_name(torch, "cumsum", [x], 0, dtype="int32", how={"order": 0})


@pytest.mark.oracle
def test_running_extremes_of_nan_and_equal_elements(torch):
    x = np.array([[1.0, 3, 3, math.nan, 2, math.nan, 5], [3.0, 1, 1, 3, 3, 0, 0]])
    for name in ("cummax", "cummin"):
        compare_by_name(torch, name, [x], 1, how={"order": 1})


@pytest.mark.oracle
def test_logcumsumexp_at_the_edges(torch):
    x = np.array([[1.0, -math.inf, 2.0, 0.0], [1000.0, 1000.0, -1000.0, 3.0], [-2000.0, -2000.0, 0.0, 1.0]])
    compare_by_name(torch, "logcumsumexp", [x], 1, how={"order": 1})
    x[0] = [-math.inf, -math.inf, 2.0, 0.0]
    compare_by_name(torch, "logcumsumexp", [x], 1, how={"order": 0})


def test_gradient_of_logcumsumexp_passes_by_what_added_nothing():
    x = mg.tensor([-math.inf, -math.inf, 2.0, 2.0], requires_grad=True)
    ops.logcumsumexp(x, 0)[2:].sum().backward()
    assert x.grad.tolist() == pytest.approx([0, 0, 1.5, 0.5])


# ---------------------------------------------------------------- without PyTorch

STEP = {
    "cumsum": lambda a, b: a + b,
    "cumprod": lambda a, b: a * b,
    "logcumsumexp": lambda a, b: math.log(math.exp(a) + math.exp(b)),
    "cummax": max,
    "cummin": min,
}


@given(st.sampled_from(NAMES), st.lists(st.integers(-6, 6).map(lambda n: n / 2), min_size=1, max_size=40))
def test_against_plain_loops(name, numbers):
    y = getattr(ops, name)(mg.tensor(np.array([numbers, numbers])), 1)
    values = y.values if name in ("cummax", "cummin") else y
    expected = list(itertools.accumulate(numbers, STEP[name]))
    assert values.numpy() == pytest.approx(np.array([expected, expected]), rel=1e-12, abs=1e-12)
    if name in ("cummax", "cummin"):
        last = [max(j for j in range(i + 1) if numbers[j] == e) for i, e in enumerate(expected)]
        assert y.indices.tolist() == [last, last]


@given(st.integers(0, 40), st.integers(0, 9))
def test_linear_recurrence_against_a_loop(n, seed):
    a, b = np.random.default_rng(seed).standard_normal((2, 2, n))
    y = get_operation("linear_scan")(mg.tensor(a), mg.tensor(b), dim=1).numpy()
    state = np.zeros(2)
    for i in range(n):
        state = a[:, i] * state + b[:, i]
        assert y[:, i] == pytest.approx(state, rel=1e-12, abs=1e-12)


def test_a_long_line_is_quick_to_differentiate():
    x = mg.tensor(np.linspace(0.999, 1.001, 100_000), requires_grad=True)
    ops.cumprod(x, 0)[-1].backward()
    assert x.grad[0].item() == pytest.approx(np.prod(x.numpy()[1:]), rel=1e-9)


def test_errors():
    for name in NAMES:
        f = getattr(ops, name)
        with pytest.raises(ArgumentError, match=r"dim 2 is out of range for a tensor of shape \[2, 3\]"):
            f(mg.zeros(2, 3), 2)
        with pytest.raises(DtypeError, match="dim must be an int, not NoneType"):
            f(mg.zeros(2, 3), None)
        with pytest.raises(DtypeError, match=f"{name} takes a tensor, not list"):
            f([1.0], 0)
