"""Activation functions: against PyTorch to the second derivative, and against their formulas for one number."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import ops
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from tests.oracle import compare_with_torch

DTYPES = ["float64", "float32"]
SHAPES = [(2, 3), (), (0, 2), (2, 3, 2, 2)]

# Options as positional arguments, as PyTorch takes them; the points where the function has a kink
CASES = [
    ("relu", (), [0]),
    ("relu6", (), [0, 6]),
    ("leaky_relu", (), [0]),
    ("leaky_relu", (0.3,), [0]),
    ("leaky_relu", (-0.5,), [0]),
    ("elu", (), [0]),
    ("elu", (0.4,), [0]),
    ("elu", (-1.0,), [0]),
    ("selu", (), [0]),
    ("celu", (), [0]),
    ("celu", (0.5,), [0]),  # PyTorch rounds 1 / alpha to float32 in its gradient
    ("celu", (-1.0,), [0]),
    ("gelu", (), []),
    ("silu", (), []),
    ("mish", (), []),
    ("softplus", (), [20]),
    ("softplus", (2.0, 3.0), [1.5]),
    ("softplus", (-1.0,), [-20]),
    ("logsigmoid", (), []),
    ("hardtanh", (), [-1, 1]),
    ("hardtanh", (-0.2, 2), [-0.2, 2]),
    ("hardsigmoid", (), [-3, 3]),
    ("hardswish", (), [-3, 3]),
    ("softsign", (), [0]),
    ("hardshrink", (), [-0.5, 0.5]),
    ("hardshrink", (1.0,), [-1, 1]),
    ("softshrink", (), [-0.5, 0.5]),
    ("softshrink", (0.0,), [0]),
    ("tanhshrink", (), []),
    ("threshold", (0.1, -2.0), [0.1]),
]
# Of hardsigmoid PyTorch has no second derivative, and its 1/6 is rounded to float32
HARDSIGMOID = {"order": 1, "rtol": 1e-7}
everywhere = pytest.mark.parametrize("name, arguments, kinks", CASES, ids=lambda v: str(v))


def draw(shape, scale=2.0, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape) * scale


def compare(torch, name, arguments, x, **how):
    how = HARDSIGMOID | how if name == "hardsigmoid" else how
    compare_with_torch(getattr(ops, name), getattr(torch.nn.functional, name), [x, *arguments], **how)


@everywhere
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_activation(torch, name, arguments, kinks, shape, dtype):
    compare(torch, name, arguments, draw(shape), dtype=dtype)
    compare(torch, name, arguments, draw(shape, 10, seed=1), dtype=dtype)


@everywhere
def test_at_kinks(torch, name, arguments, kinks):
    order = (
        1 if name in ("softplus", "hardsigmoid") else 2
    )  # PyTorch's softplus has two opinions on its threshold
    compare(torch, name, arguments, np.array([*kinks, 0.0, -0.0], dtype=float), order=order)


@everywhere
def test_memory_layout(torch, name, arguments, kinks):
    """An NCHW view of NHWC memory gives the same numbers, and keeps that layout."""
    x = np.moveaxis(draw((2, 4, 5, 3)), 3, 1)
    compare(torch, name, arguments, x)
    t = mg.from_numpy(x).requires_grad_()
    y = getattr(ops, name)(t, *arguments)
    (gx,) = mg.grad(y, t, mg.from_numpy(x))
    assert y.array.strides == x.strides
    assert gx.array.strides == x.strides


@pytest.mark.parametrize("dtype", DTYPES)
def test_gelu_tanh(torch, dtype):
    def theirs(x):
        return torch.nn.functional.gelu(x, approximate="tanh")

    for x in (draw((3, 4)), draw((3, 4), 10), np.zeros(2)):
        compare_with_torch(lambda x: ops.gelu(x, approximate="tanh"), theirs, [x], dtype=dtype)


@pytest.mark.parametrize("name", ["relu", "elu", "gelu", "silu", "softplus", "hardswish"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(torch, name, dtype):
    compare(torch, name, (), draw((3, 4)), dtype=dtype, order=1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape, slopes",
    [
        ((2, 3), (3,)),
        ((2, 3), (1,)),
        ((2, 3, 4, 5), (3,)),
        ((2, 3, 2), ()),
        ((4,), (1,)),
        ((), (1,)),
        ((0, 3), (3,)),
    ],
)
def test_prelu(torch, shape, slopes, dtype):
    x, weight = draw(shape), draw(slopes, 0.5, seed=1)
    compare_with_torch(ops.prelu, torch.nn.functional.prelu, [x, weight], dtype=dtype)


def test_prelu_at_zero(torch):
    arrays = [np.array([0.0, -0.0, -1.0]), np.array([0.25])]
    compare_with_torch(ops.prelu, torch.nn.functional.prelu, arrays, order=1)


@pytest.mark.parametrize("shape, dim", [((4, 6), -1), ((4, 6), 0), ((2, 3, 2, 2), 2), ((2,), 0), ((0, 2), 1)])
def test_glu(torch, shape, dim):
    compare_with_torch(ops.glu, torch.nn.functional.glu, [draw(shape), dim])


@pytest.mark.parametrize(
    "name, arguments", [("relu", ()), ("relu6", ()), ("hardtanh", (-2, 3)), ("threshold", (1, 5))]
)
def test_integers(torch, name, arguments):
    compare(torch, name, arguments, np.array([-7, -1, 0, 1, 2, 9]))


def bounded(x, low, high):
    return min(max(x, low), high)


FORMULAS = {
    "relu": lambda x: max(x, 0.0),
    "relu6": lambda x: bounded(x, 0.0, 6.0),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * (math.exp(x) - 1)),
    "celu": lambda x: x if x > 0 else math.exp(x) - 1,
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + math.exp(-x)),
    "mish": lambda x: x * math.tanh(math.log(1 + math.exp(x))),
    "softplus": lambda x: math.log(1 + math.exp(x)),
    "logsigmoid": lambda x: -math.log(1 + math.exp(-x)),
    "hardtanh": lambda x: bounded(x, -1.0, 1.0),
    "hardsigmoid": lambda x: bounded(x / 6 + 0.5, 0.0, 1.0),
    "hardswish": lambda x: x * bounded(x / 6 + 0.5, 0.0, 1.0),
    "softsign": lambda x: x / (1 + abs(x)),
    "hardshrink": lambda x: x if abs(x) > 0.5 else 0.0,
    "softshrink": lambda x: math.copysign(max(abs(x) - 0.5, 0.0), x),
    "tanhshrink": lambda x: x - math.tanh(x),
}


@given(name=st.sampled_from(sorted(FORMULAS)), values=st.lists(st.floats(-19, 19), min_size=1, max_size=5))
def test_values_match_the_formula(name, values):
    got = getattr(ops, name)(mg.tensor(values, dtype="float64")).tolist()
    assert got == pytest.approx([FORMULAS[name](v) for v in values], rel=1e-9, abs=1e-12)


# name: (y, gradient) at -1000 and at 1000
FAR_OUT = {
    "relu": ((0, 0), (1000, 1)),
    "leaky_relu": ((-10, 0.01), (1000, 1)),
    "elu": ((-1, 0), (1000, 1)),
    "selu": ((-1.0507009873554805 * 1.6732632423543772, 0), (1050.7009873554805, 1.0507009873554805)),
    "celu": ((-1, 0), (1000, 1)),
    "gelu": ((0, 0), (1000, 1)),
    "silu": ((0, 0), (1000, 1)),
    "mish": ((0, 0), (1000, 1)),
    "softplus": ((0, 0), (1000, 1)),
    "logsigmoid": ((-1000, 1), (0, 0)),
    "hardswish": ((0, 0), (1000, 1)),
    "softsign": ((-1000 / 1001, 1 / 1001**2), (1000 / 1001, 1 / 1001**2)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FAR_OUT)
def test_far_from_zero(name, dtype):
    """Nothing overflows: values, gradients and second derivatives stay finite and right."""
    x = mg.tensor([-1000.0, 1000.0], dtype=dtype, requires_grad=True)
    y = getattr(ops, name)(x)
    (gx,) = mg.grad(y.sum(), x, create_graph=True)
    (second,) = mg.grad(
        (gx + 0 * x).sum(), x
    )  # the gradient of a straight line does not depend on x by itself
    assert y.tolist() == pytest.approx([value for value, _ in FAR_OUT[name]], rel=1e-6)
    assert gx.tolist() == pytest.approx([slope for _, slope in FAR_OUT[name]], rel=1e-6)
    assert second.tolist() == pytest.approx([0, 0], abs=1e-8)


def test_gelu_tanh_far_from_zero():
    x = mg.tensor([-1000.0, 1000.0], requires_grad=True)
    y = ops.gelu(x, approximate="tanh")
    assert y.tolist() == [0, 1000]
    assert mg.grad(y.sum(), x)[0].tolist() == [0, 1]


def test_relu_stops_infinite_gradients():
    """sqrt(relu(x)) has an infinite slope at 0; where relu is flat, none of it comes through."""
    x = mg.tensor([-1.0, 4.0], requires_grad=True)
    ops.relu(x).sqrt().sum().backward()
    assert x.grad.tolist() == [0.0, 0.25]


def test_nan_stays_visible():
    nan = mg.tensor([math.nan])
    for name in FORMULAS:
        assert math.isnan(getattr(ops, name)(nan).item()), name


def test_mistakes_are_told():
    x = mg.tensor([[1.0, 2.0, 3.0]])
    with pytest.raises(ArgumentError, match="gelu: approximate must be 'none' or 'tanh', not 'erf'"):
        ops.gelu(x, approximate="erf")
    with pytest.raises(ArgumentError, match="celu: alpha must not be 0"):
        ops.celu(x, 0)
    with pytest.raises(ArgumentError, match="softplus: beta must not be 0"):
        ops.softplus(x, beta=0)
    with pytest.raises(ArgumentError, match="hardtanh: min_val=1 must not be above max_val=-1"):
        ops.hardtanh(x, 1, -1)
    with pytest.raises(ArgumentError, match="softshrink: lambd must not be negative; given -1"):
        ops.softshrink(x, -1)
    with pytest.raises(ShapeError, match=r"glu\(float32\[1, 3\], dim=1\): needs a dimension of even length"):
        ops.glu(x)
    with pytest.raises(ArgumentError, match="dim 2 is out of range"):
        ops.glu(x, 2)
    with pytest.raises(ShapeError, match="needs a dimension of even length"):
        ops.glu(mg.tensor(1.0))
    with pytest.raises(DtypeError, match="prelu takes a tensor, not float"):
        ops.prelu(x, 0.1)
    with pytest.raises(DtypeError, match="relu takes tensors and numbers, not list"):
        ops.relu([1.0])
    with pytest.raises(
        ShapeError, match=r"prelu\(float32\[1, 3\], float32\[2\]\): .* one for each of the 3 channels"
    ):
        ops.prelu(x, mg.tensor([0.1, 0.2]))
