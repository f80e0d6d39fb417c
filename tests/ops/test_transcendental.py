"""Exponentials, logarithms, circular and hyperbolic functions: against PyTorch, and the standard library and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import ops
from tests.oracle import compare_with_torch

DTYPES = ["float64", "float32"]
SHAPES = [(2, 3), (), (0,), (2, 1, 4)]

# Where each function is defined, and its values by the standard library
ANYWHERE, POSITIVE, WITHIN_ONE = (-3.0, 3.0), (0.1, 3.0), (-0.9, 0.9)
UNARY = {
    "exp": (ANYWHERE, math.exp),
    "exp2": (ANYWHERE, lambda x: 2.0**x),
    "expm1": (ANYWHERE, math.expm1),
    "log": (POSITIVE, math.log),
    "log2": (POSITIVE, math.log2),
    "log10": (POSITIVE, math.log10),
    "log1p": ((-0.9, 3.0), math.log1p),
    "sigmoid": (ANYWHERE, lambda x: 1 / (1 + math.exp(-x))),
    "logit": ((0.05, 0.95), lambda x: math.log(x / (1 - x))),
    "erf": (ANYWHERE, math.erf),
    "erfc": (ANYWHERE, math.erfc),
    "sin": (ANYWHERE, math.sin),
    "cos": (ANYWHERE, math.cos),
    "tan": ((-1.2, 1.2), math.tan),
    "asin": (WITHIN_ONE, math.asin),
    "acos": (WITHIN_ONE, math.acos),
    "atan": (ANYWHERE, math.atan),
    "sinh": (ANYWHERE, math.sinh),
    "cosh": (ANYWHERE, math.cosh),
    "tanh": (ANYWHERE, math.tanh),
    "asinh": (ANYWHERE, math.asinh),
    "acosh": ((1.1, 4.0), math.acosh),
    "atanh": (WITHIN_ONE, math.atanh),
    "deg2rad": ((-180.0, 180.0), math.radians),
    "rad2deg": (ANYWHERE, math.degrees),
}
BINARY = {
    "atan2": math.atan2,
    "hypot": math.hypot,
    "logaddexp": lambda a, b: math.log(math.exp(a) + math.exp(b)),
}


def draw(shape, low, high, seed=0):
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", UNARY)
def test_unary(torch, name, shape, dtype):
    compare_with_torch(getattr(ops, name), getattr(torch, name), [draw(shape, *UNARY[name][0])], dtype=dtype)


@pytest.mark.parametrize("name", ["exp", "log", "sigmoid", "tanh", "erf", "sin"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(torch, name, dtype):
    x = draw((2, 3), *UNARY[name][0])
    compare_with_torch(getattr(ops, name), getattr(torch, name), [x], dtype=dtype, order=1)


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_integers_become_float32(torch, name, dtype):
    x = np.array([0, 1]).astype(dtype)
    compare_with_torch(getattr(ops, name), getattr(torch, name), [x])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shapes", [((2, 3), (2, 3)), ((2, 1, 3), (4, 1)), ((), (3,)), ((0, 3), (3,))], ids=str
)
@pytest.mark.parametrize("name", BINARY)
def test_binary(torch, name, shapes, dtype):
    a, b = draw(shapes[0], 0.3, 2), draw(shapes[1], -2, 2, seed=1)
    compare_with_torch(getattr(ops, name), getattr(torch, name), [a, b], dtype=dtype)
    compare_with_torch(getattr(ops, name), getattr(torch, name), [-a, b], dtype=dtype)


@pytest.mark.parametrize("eps", [None, 0.0, 0.1, 0.3])
def test_logit_eps(torch, eps):
    x = np.array([0.05, 0.15, 0.25, 0.5, 0.75, 0.95])
    compare_with_torch(ops.logit, torch.logit, [x, eps])


@pytest.mark.parametrize("name", [n for n in UNARY if n not in ("deg2rad", "rad2deg")])
def test_infinities_and_nan(torch, name):
    x = np.array([-np.inf, -2, -1, -0.0, 0, 1, 2, np.inf, np.nan])
    compare_with_torch(getattr(ops, name), getattr(torch, name), [x], order=0)


def test_gradient_at_edges(torch):
    for name in ("log", "log1p", "log2", "asin", "acos", "atanh", "acosh", "logit"):
        x = np.array([{"log": 0.0, "log2": 0.0, "log1p": -1.0}.get(name, 1.0)])
        compare_with_torch(getattr(ops, name), getattr(torch, name), [x], order=1)
    origin = [np.zeros(1), np.zeros(1)]
    compare_with_torch(ops.atan2, torch.atan2, origin, order=1)
    compare_with_torch(ops.hypot, torch.hypot, origin, order=1)


@given(name=st.sampled_from(sorted(UNARY)), seed=st.integers(0, 1000))
def test_values_match_the_standard_library(name, seed):
    (low, high), reference = UNARY[name]
    x = draw((3, 4), low, high, seed)
    got = getattr(ops, name)(mg.tensor(x.T)).numpy()
    expected = np.array([reference(v) for v in x.T.ravel()]).reshape(4, 3)
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-13)


@given(name=st.sampled_from(sorted(BINARY)), seed=st.integers(0, 1000))
def test_binary_values_match_the_standard_library(name, seed):
    a, b = draw((3, 1), -3, 3, seed), draw((2,), -3, 3, seed + 1)
    got = getattr(ops, name)(mg.tensor(a), mg.tensor(b)).numpy()
    expected = [[BINARY[name](float(v), float(w)) for w in b] for v in a[:, 0]]
    np.testing.assert_allclose(got, expected, rtol=1e-13)


def test_erfc_keeps_its_digits_in_the_tail():
    special = pytest.importorskip("scipy.special")
    x = np.linspace(-6, 26, 5001)
    np.testing.assert_allclose(ops.erfc(mg.tensor(x)).numpy(), special.erfc(x), rtol=1e-14)
    x32 = np.linspace(-4, 9, 501).astype(np.float32)
    got = ops.erfc(mg.tensor(x32)).numpy()
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, special.erfc(x32.astype(np.float64)), rtol=1e-5)
    assert ops.erfc(mg.tensor([40.0, 1e30, np.inf, -np.inf])).tolist() == [0, 0, 0, 2]


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_overflow(dtype):
    x = mg.tensor([-1000.0, 0.0, 1000.0], dtype=dtype, requires_grad=True)
    y = ops.sigmoid(x)
    assert y.tolist() == [0.0, 0.5, 1.0]
    assert mg.grad(y.sum(), x)[0].tolist() == [0.0, 0.25, 0.0]
    y = ops.logaddexp(x, 0)
    assert y.tolist() == [0.0, pytest.approx(math.log(2)), 1000.0]
    assert mg.grad(y.sum(), x)[0].tolist() == [0.0, 0.5, 1.0]
    assert ops.hypot(x * 1e30, x * 1e30).isfinite().all()


def test_small_arguments_keep_their_digits():
    x = mg.tensor([1e-12, -1e-15], dtype="float64")
    np.testing.assert_allclose(ops.expm1(x).numpy(), x.numpy(), rtol=1e-11)
    np.testing.assert_allclose(ops.log1p(x).numpy(), x.numpy(), rtol=1e-11)
    np.testing.assert_allclose(ops.erf(x).numpy(), x.numpy() * 2 / math.sqrt(math.pi), rtol=1e-12)


def test_methods_and_numbers():
    x = mg.tensor([0.5])
    for name in [*UNARY, *BINARY]:
        arguments = (0.25,) if name in BINARY else ()
        direct = getattr(ops, name)(x, *arguments).numpy()
        np.testing.assert_array_equal(getattr(x, name)(*arguments).numpy(), direct)
    assert ops.exp(1.0).item() == pytest.approx(math.e)
