"""Arithmetic, powers and rounding: against PyTorch to the second derivative, and against Python's own numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import minigrad as mg
from minigrad import ops
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from tests.oracle import compare_with_torch

SHAPES = [
    ((2, 3), (2, 3)),
    ((2, 1, 3), (4, 1)),
    ((), (3,)),
    ((3,), ()),
    ((), ()),
    ((0, 3), (3,)),
    ((1, 1), (5,)),
]
DTYPES = ["float64", "float32"]


def draw(shape, low=-2.0, high=2.0, seed=0):
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


def then(function, *arguments, **options):
    """The function with these arguments after the tensors it is called with."""
    return lambda *tensors: function(*tensors, *arguments, **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize(
    "name, options",
    [
        ("add", {}),
        ("add", {"alpha": -0.3}),
        ("sub", {}),
        ("sub", {"alpha": 2}),
        ("mul", {}),
        ("div", {}),
        ("div", {"rounding_mode": "floor"}),
        ("div", {"rounding_mode": "trunc"}),
        ("remainder", {}),
        ("fmod", {}),
        ("pow", {}),
    ],
)
def test_binary(torch, name, options, shapes, dtype):
    a, b = draw(shapes[0], 0.3, 3), draw(shapes[1], 0.5, 2, seed=1)
    a = a if name == "pow" else a * np.where(draw(shapes[0], seed=2) < 0, -1, 1)
    b = b if name == "pow" else b * np.where(draw(shapes[1], seed=3) < 0, -1, 1)
    theirs = getattr(torch, name)
    if name == "remainder":  # PyTorch cannot differentiate it for a 0-dimensional dividend
        theirs = lambda a, b: torch.remainder(*torch.broadcast_tensors(a, b))  # noqa: E731
    compare_with_torch(then(getattr(ops, name), **options), then(theirs, **options), [a, b], dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", [2, -1.5, 0.25])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "remainder", "fmod"])
def test_number_as_operand(torch, name, number, dtype):
    arguments = draw((2, 3)), number
    compare_with_torch(getattr(ops, name), getattr(torch, name), arguments, dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "expression",
    [
        lambda a, b: a + b - 2 * a / b,
        lambda a, b: 1 - a * 3 + (2 - b) / 3 + 2 / b,
        lambda a, b: -a + abs(a) * b**2,
        lambda a, b: 2**a + b**a + b**-1 + b**0.5,
        lambda a, b: a % b + a % 2,
        lambda a, b: a.square() * b.sqrt() + b.rsqrt() - b.reciprocal(),
    ],
)
def test_operators(torch, expression, dtype):
    compare_with_torch(expression, expression, [draw((2, 3)), draw((3,), 0.6, 2)], dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 4, -1, -2, 0.5, 1.5, -0.5, 2.0, True])
def test_pow_by_a_number(torch, exponent, dtype):
    x = draw((2, 3), 0.3, 2)
    if isinstance(exponent, int):
        x *= np.array([1, -1, 1])
    compare_with_torch(ops.pow, torch.pow, [x, exponent], dtype=dtype)


@pytest.mark.parametrize("base", [2, 0.5, 3.0])
def test_pow_of_a_number(torch, base):
    compare_with_torch(ops.pow, torch.pow, [base, draw((2, 3))])
    compare_with_torch(lambda x: base**x, lambda x: base**x, [draw((2, 3))], dtype="float32")


def test_pow_at_its_corners(torch):
    """0^0 = 1, negative bases, and gradients there. Second derivatives at 0 are NaN in PyTorch and not compared."""
    a = np.array([0.0, 0, 0, -2, -2, -2, 0, 2])
    b = np.array([0.0, 1, 2, 2, 3, 0.5, 0.5, 0])
    compare_with_torch(ops.pow, torch.pow, [a, b], order=1)
    for exponent in (0, 1, 2, 0.5):
        compare_with_torch(ops.pow, torch.pow, [a, exponent])
    compare_with_torch(ops.pow, torch.pow, [0, np.array([0.0, 1, 0.5])], order=1)


def test_pow_mixed_second_derivative_at_exponent_zero():
    """d2/da db of a^b is 1/a at b = 0; a rule that answers 0 wherever b = 0 would miss it."""
    a, b = mg.tensor(4.0, requires_grad=True), mg.tensor(0.0, requires_grad=True)
    (ga,) = mg.grad(a**b, a, create_graph=True)
    (gb,) = mg.grad(a**b, b, create_graph=True)
    assert mg.grad(ga, b)[0].item() == pytest.approx(0.25)
    assert mg.grad(gb, a)[0].item() == pytest.approx(0.25)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 3), (), (0,), (4, 1, 2)])
@pytest.mark.parametrize(
    "name",
    [
        "abs",
        "neg",
        "sign",
        "reciprocal",
        "square",
        "sqrt",
        "rsqrt",
        "floor",
        "ceil",
        "trunc",
        "frac",
        "round",
    ],
)
def test_unary(torch, name, shape, dtype):
    x = draw(shape, 0.2, 3) if name in ("sqrt", "rsqrt", "reciprocal") else draw(shape, -3, 3)
    compare_with_torch(getattr(ops, name), getattr(torch, name), [x], dtype=dtype)


@pytest.mark.parametrize("decimals", [0, 1, 3, -1])
def test_round_decimals(torch, decimals):
    x = np.array([0.5, 1.5, 2.5, -0.5, 2.675, 1.005, 123.456, -17.0, 15.0])
    compare_with_torch(then(ops.round, decimals=decimals), then(torch.round, decimals=decimals), [x])


@pytest.mark.parametrize("name", ["abs", "sign", "sqrt", "rsqrt", "square"])
def test_at_zero(torch, name):
    compare_with_torch(getattr(ops, name), getattr(torch, name), [np.zeros(3)], order=1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 0.7, 1.0, -2.0])
def test_lerp(torch, weight, dtype):
    a, b = draw((2, 3)), draw((3,), seed=1)
    compare_with_torch(ops.lerp, torch.lerp, [a, b, weight], dtype=dtype)
    compare_with_torch(ops.lerp, torch.lerp, [a, draw((2, 3), seed=2), draw((2, 3), seed=3)], dtype=dtype)


@pytest.mark.parametrize("name", ["addcmul", "addcdiv"])
def test_addcmul_addcdiv(torch, name):
    ours, theirs = getattr(ops, name), getattr(torch, name)
    arrays = [draw((2, 3)), draw((3,), seed=1), draw((2, 1), 0.5, 2, seed=2)]
    compare_with_torch(ours, theirs, arrays)
    compare_with_torch(then(ours, value=-0.5), then(theirs, value=-0.5), arrays)


INTEGERS = np.array([-7, -6, -1, 0, 1, 5, 7])


@pytest.mark.parametrize("divisor", [2, -3, 5])
@pytest.mark.parametrize("dtype", ["int64", "int32", "int8"])
def test_integer_division(torch, divisor, dtype):
    x = INTEGERS.astype(dtype)
    for name in ("floor_divide", "remainder", "fmod", "div"):
        compare_with_torch(getattr(ops, name), getattr(torch, name), [x, divisor])
    for mode in ("floor", "trunc"):
        compare_with_torch(
            then(ops.div, rounding_mode=mode), then(torch.div, rounding_mode=mode), [x, divisor]
        )


def test_integer_division_matches_python():
    for divisor in (2, -3, 5):
        x = mg.tensor(INTEGERS)
        assert (x // divisor).tolist() == [int(i) // divisor for i in INTEGERS]
        assert (x % divisor).tolist() == [int(i) % divisor for i in INTEGERS]
        assert ops.fmod(x, divisor).tolist() == [int(math.fmod(i, divisor)) for i in INTEGERS]
        assert ops.div(x, divisor, rounding_mode="trunc").tolist() == [int(i / divisor) for i in INTEGERS]
    assert (7 % mg.tensor([2, -3])).tolist() == [1, -2]
    assert (7 // mg.tensor([2, -3])).tolist() == [3, -3]


def test_integers_beyond_float_precision_divide_exactly():
    x = mg.tensor([2**62 + 1, -(2**62) - 1])
    assert ops.div(x, 1, rounding_mode="trunc").tolist() == x.tolist()
    assert ops.div(x, 1, rounding_mode="floor").tolist() == x.tolist()


def test_float_division_by_zero(torch):
    x = np.array([1.0, -1.0, 0.0])
    for name in ("div", "floor_divide", "remainder", "fmod"):
        compare_with_torch(getattr(ops, name), getattr(torch, name), [x, 0], order=0)


@pytest.mark.parametrize("name", ["add", "mul", "div", "pow", "remainder"])
@pytest.mark.parametrize(
    "left, right",
    [
        ("int64", "float32"),
        ("uint8", "int8"),
        ("int32", "int64"),
        ("bool", "float64"),
        ("float16", "bfloat16"),
    ],
)
def test_promotion(torch, name, left, right):
    a = mg.tensor([1, 1, 1]).to(left), torch.tensor([1, 1, 1]).to(getattr(torch, left))
    b = mg.tensor([1, 2, 1]).to(right), torch.tensor([1, 2, 1]).to(getattr(torch, right))
    got, expected = getattr(ops, name)(a[0], b[0]), getattr(torch, name)(a[1], b[1])
    assert str(got.dtype) == str(expected.dtype).removeprefix("torch.")
    assert got.float().tolist() == expected.float().tolist()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["add", "mul", "div", "pow"])
def test_half_precision(torch, name, dtype):
    compare_with_torch(
        getattr(ops, name),
        getattr(torch, name),
        [draw((2, 3), 0.5, 2), draw((3,), 0.5, 2)],
        dtype=dtype,
        order=1,
    )


REFERENCE = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: abs(a) ** b,
    "floor_divide": lambda a, b: math.floor(a / b),
    "remainder": lambda a, b: a - b * math.floor(a / b),
    "fmod": math.fmod,
}


@given(
    name=st.sampled_from(sorted(REFERENCE)),
    shapes=mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3),
    seed=st.integers(0, 100),
)
def test_broadcasting_matches_a_loop(name, shapes, seed):
    a, b = draw(shapes.input_shapes[0], seed=seed), draw(shapes.input_shapes[1], 0.5, 2, seed=seed + 1)
    given_a = np.abs(a) if name == "pow" else a
    got = getattr(ops, name)(mg.tensor(given_a), mg.tensor(b)).numpy()
    wide_a, wide_b = np.broadcast_arrays(a, b)
    expected = np.empty(shapes.result_shape)
    for i in np.ndindex(shapes.result_shape):
        expected[i] = REFERENCE[name](float(wide_a[i]), float(wide_b[i]))
    assert got.shape == shapes.result_shape
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_rounding_matches_python():
    values = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49999, -3.2, 7.0]
    x = mg.tensor(values, dtype="float64")
    assert ops.round(x).tolist() == [round(v) for v in values]
    assert ops.floor(x).tolist() == [math.floor(v) for v in values]
    assert ops.ceil(x).tolist() == [math.ceil(v) for v in values]
    assert ops.trunc(x).tolist() == [math.trunc(v) for v in values]
    assert ops.frac(x).tolist() == [math.fmod(v, 1) for v in values]


@pytest.mark.parametrize("name", ["floor", "ceil", "trunc", "round"])
def test_rounding_leaves_integers_but_copies(name):
    x = mg.tensor([1, -2])
    y = getattr(ops, name)(x)
    assert y.dtype == mg.int64
    y.add_(1)
    assert x.tolist() == [1, -2]


def test_clone_and_cast():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = x.clone()
    assert y.numpy() is not x.numpy()
    assert not np.shares_memory(y.numpy(), x.numpy())
    (y * x.double()).sum().backward()
    assert x.grad.dtype == mg.float32
    assert x.grad.tolist() == [2.0, 4.0]
    assert mg.tensor([1.7, -1.7]).long().tolist() == [1, -1]


def test_mistakes_are_told():
    i, f, b = mg.tensor([1, 2]), mg.tensor([1.0, 2.0]), mg.tensor([True, False])
    with pytest.raises(ShapeError, match=r"add\(float32\[2\], float32\[3\]\)"):
        f + mg.tensor([1.0, 2.0, 3.0])
    with pytest.raises(DtypeError, match=r"alpha=0.5 is no integer"):
        ops.add(i, i, alpha=0.5)
    with pytest.raises(ArgumentError, match=r"rounding_mode must be None, 'floor' or 'trunc', not 'up'"):
        ops.div(f, 2, rounding_mode="up")
    for name in ("floor_divide", "remainder", "fmod"):
        with pytest.raises(ArgumentError, match=rf"{name}\(int64\[2\], 0\): integer division by zero"):
            getattr(ops, name)(i, 0)
    with pytest.raises(ArgumentError, match="integer division by zero"):
        ops.div(i, mg.tensor([1, 0]), rounding_mode="trunc")
    with pytest.raises(ArgumentError, match=r"pow\(int64\[2\], -1\): integers have no negative powers"):
        i**-1
    with pytest.raises(ArgumentError, match="integers have no negative powers"):
        2 ** mg.tensor([1, -1])
    with pytest.raises(DtypeError, match=r"pow\(bool\[2\], bool\[2\]\): bools are not numbers"):
        b**b
    with pytest.raises(DtypeError, match="bools are not numbers"):
        ops.sign(b)
    with pytest.raises(DtypeError, match=r"round\(int64\[2\], decimals=1\) needs a floating-point tensor"):
        ops.round(i, decimals=1)
    with pytest.raises(DtypeError, match=r"add takes tensors and numbers, not str"):
        f + "1"
    with pytest.raises(DtypeError, match="power takes tensors and numbers, not str"):
        ops.pow("1", 2)
