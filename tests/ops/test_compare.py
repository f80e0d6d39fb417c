"""Comparisons, logic, and choices between numbers: against PyTorch, and against Python's own operators."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import ops
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from tests.oracle import compare_with_torch

DTYPES = ["float64", "float32"]
SHAPES = [((2, 3), (2, 3)), ((2, 1, 3), (4, 1)), ((), (3,)), ((3,), ()), ((0, 3), (3,))]
COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]
STRANGE = np.array([-np.inf, -1.5, -0.0, 0.0, 1.5, np.inf, np.nan])


def draw(shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def then(function, *arguments, **options):
    """The function with these arguments after the tensors it is called with."""
    return lambda *tensors: function(*tensors, *arguments, **options)


# ---------------------------------------------------------------- questions


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "int64", "uint8", "bool"])
@pytest.mark.parametrize("name", COMPARISONS + ["logical_and", "logical_or", "logical_xor"])
def test_comparisons(torch, name, dtype):
    ours, theirs = getattr(ops, name), getattr(torch, name)
    a = np.array([0, 0, 1, 1, 2, 2, 3])
    b = np.array([0, 1, 0, 1, 1, 2, 0])
    cast = dtype if dtype in ("float64", "float32", "float16", "bfloat16") else "float64"
    if cast == dtype:
        a, b = a / 2, b / 2
    else:
        a, b = a.astype(dtype), b.astype(dtype)
    compare_with_torch(ours, theirs, [a, b], dtype=cast)
    compare_with_torch(ours, theirs, [a[:, None], b], dtype=cast)
    compare_with_torch(ours, theirs, [a, np.array(1)], dtype=cast)


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons_with_strange_numbers(torch, name):
    compare_with_torch(getattr(ops, name), getattr(torch, name), [STRANGE[:, None], STRANGE])
    compare_with_torch(getattr(operator, name), getattr(operator, name), [STRANGE, 0.5])
    compare_with_torch(getattr(operator, name), getattr(operator, name), [np.arange(3), 1.5])


@given(name=st.sampled_from(COMPARISONS), seed=st.integers(0, 100))
def test_comparisons_match_python(name, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(-1, 2, (2, 3)), rng.integers(-1, 2, 3)
    got = getattr(operator, name)(mg.tensor(a), mg.tensor(b))
    expected = [[getattr(operator, name)(int(v), int(w)) for v, w in zip(row, b, strict=True)] for row in a]
    assert got.dtype == mg.bool
    assert got.tolist() == expected


@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite", "logical_not"])
def test_kinds_of_numbers(torch, name):
    for x in (STRANGE, np.arange(3), np.array([True, False]), np.float64(2)):
        compare_with_torch(getattr(ops, name), getattr(torch, name), [x])
    compare_with_torch(getattr(ops, name), getattr(torch, name), [STRANGE], dtype="bfloat16")
    expected = {
        "isnan": math.isnan,
        "isinf": math.isinf,
        "isfinite": math.isfinite,
        "logical_not": operator.not_,
    }
    assert getattr(ops, name)(mg.tensor(STRANGE)).tolist() == [expected[name](v) for v in STRANGE.tolist()]


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor"])
def test_bits(torch, name):
    ours, theirs = getattr(ops, name), getattr(torch, name)
    python = {"bitwise_and": operator.and_, "bitwise_or": operator.or_, "bitwise_xor": operator.xor}[name]
    a, b = np.array([0, 1, 5, -8, 127]), np.array([3, 1, -1, 12, 64])
    for x, y in ((a, b), (a > 0, b > 2), (a[:, None], b), (a.astype("int8"), 6), (a > 0, True), (a > 0, b)):
        compare_with_torch(ours, theirs, [x, y])
        compare_with_torch(python, python, [x, y])
    assert python(mg.tensor(a), mg.tensor(b)).tolist() == [
        python(int(v), int(w)) for v, w in zip(a, b, strict=True)
    ]


def test_bitwise_not(torch):
    for x in (np.array([0, 1, -8]), np.array([True, False]), np.array([3], np.uint8)):
        compare_with_torch(operator.invert, operator.invert, [x])
    with pytest.raises(DtypeError, match=r"bitwise_not\(float32\[1\]\): only bools and integers have bits"):
        ~mg.tensor([1.0])


def test_comparisons_stop_gradients():
    x = mg.tensor([1.0, -1.0], requires_grad=True)
    assert not (x > 0).requires_grad
    assert not x.isnan().requires_grad


@pytest.mark.parametrize("equal_nan", [False, True])
@pytest.mark.parametrize("tolerances", [{}, {"rtol": 0.1}, {"atol": 0.3}, {"rtol": 0, "atol": 0}])
def test_isclose(torch, tolerances, equal_nan):
    options = {"equal_nan": equal_nan, **tolerances}
    ours, theirs = then(ops.isclose, **options), then(torch.isclose, **options)
    compare_with_torch(ours, theirs, [STRANGE[:, None], STRANGE * (1 + 1e-6)])
    compare_with_torch(ours, theirs, [draw((5, 1)), draw((6,), 1)])
    for dtype in ("int64", "uint8", "bool"):
        compare_with_torch(
            ours, theirs, [np.array([0, 1, 3]).astype(dtype), np.array([1, 1, 0]).astype(dtype)]
        )


def test_allclose_and_equal():
    x = mg.tensor([1.0, 2.0])
    assert ops.allclose(x, x + 1e-7) is True
    assert ops.allclose(x, mg.tensor([1.0, 2.1])) is False
    assert ops.allclose(x, mg.tensor([1.0, 2.1]), atol=0.2) is True
    assert ops.allclose(mg.tensor([math.nan]), mg.tensor([math.nan])) is False
    assert ops.allclose(mg.tensor([math.nan]), mg.tensor([math.nan]), equal_nan=True) is True
    assert ops.equal(x, mg.tensor([1, 2])) is True
    assert ops.equal(x, mg.tensor([1.0, 2.5])) is False
    assert ops.equal(x, mg.tensor([[1.0, 2.0]])) is False
    assert ops.isclose(mg.tensor([0], dtype="int8"), mg.tensor([-128], dtype="int8")).tolist() == [False]
    with pytest.raises(ArgumentError, match="rtol and atol must not be negative; given rtol=-1"):
        ops.isclose(x, x, rtol=-1)


# ---------------------------------------------------------------- choices


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["maximum", "minimum", "fmax", "fmin"])
def test_extremes_of_two(torch, name, shapes, dtype):
    compare_with_torch(
        getattr(ops, name), getattr(torch, name), [draw(shapes[0]), draw(shapes[1], 1)], dtype=dtype
    )


@pytest.mark.parametrize("name", ["maximum", "minimum", "fmax", "fmin"])
def test_extremes_at_ties_and_nan(torch, name):
    a, b = np.array([1.0, 1, 2, np.nan, 1, np.nan, -0.0]), np.array([1.0, 2, 1, 1, np.nan, np.nan, 0.0])
    compare_with_torch(getattr(ops, name), getattr(torch, name), [a, b])
    compare_with_torch(getattr(ops, name), getattr(torch, name), [np.array([1, 2, 3]), np.array([2, 2, 2])])


def test_maximum_ties_share_the_gradient():
    a, b = (mg.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    ops.maximum(a, b).sum().backward()
    assert a.grad.tolist() == b.grad.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "limits", [(-0.5, 0.5), (None, 0.3), (-0.3, None), (1, -1), (-math.inf, math.inf), (0, 2)]
)
def test_clamp(torch, limits, dtype):
    compare_with_torch(then(ops.clamp, *limits), then(torch.clamp, *limits), [draw((3, 4))], dtype=dtype)
    compare_with_torch(then(ops.clip, *limits), then(torch.clip, *limits), [draw(())], dtype=dtype)


@pytest.mark.parametrize("shapes", [((3, 4), (4,), (3, 1)), ((4,), (3, 1), ()), ((), (2,), (2,))], ids=str)
def test_clamp_by_tensors(torch, shapes):
    x, low, high = (draw(s, seed) for seed, s in enumerate(shapes))

    def reference(x, low=None, high=None):  # PyTorch cannot differentiate by limits of a larger shape than x
        x = torch.broadcast_tensors(*(t for t in (x, low, high) if t is not None))[0]
        return torch.clamp(x, low, high)

    compare_with_torch(ops.clamp, reference, [x, low, high])
    compare_with_torch(ops.clamp, reference, [x, low])
    compare_with_torch(ops.clamp, reference, [x, None, high])


def test_clamp_at_its_limits(torch):
    x = np.array([-1.0, 1.0, 0.0, np.nan, np.inf, -np.inf])
    compare_with_torch(then(ops.clamp, -1, 1), then(torch.clamp, -1, 1), [x])
    compare_with_torch(
        ops.clamp,
        torch.clamp,
        [np.array([0.0, 1, 2, 5, 3]), np.array([1.0, 1, 1, 3, 2]), np.array([3.0, 2, 2, 2, 2])],
    )
    for limits in ((1, 2), (0.5, None), (None, 1.5)):
        compare_with_torch(then(ops.clamp, *limits), then(torch.clamp, *limits), [np.arange(-1, 4)])


def test_clamp_matches_python():
    values = [-3.0, -0.2, 0.0, 0.7, 5.0]
    assert ops.clamp(mg.tensor(values, dtype="float64"), -1, 0.5).tolist() == [
        min(max(v, -1), 0.5) for v in values
    ]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 3), (2, 3), (2, 3)),
        ((2, 1), (3,), (4, 1, 1)),
        ((3,), (), ()),
        ((), (3,), (2, 1)),
        ((0,), (0,), (1,)),
    ],
    ids=str,
)
def test_where(torch, shapes, dtype):
    condition = draw(shapes[0]) > 0
    compare_with_torch(
        ops.where, torch.where, [condition, draw(shapes[1], 1), draw(shapes[2], 2)], dtype=dtype
    )


@pytest.mark.parametrize("arguments", [(1.0, 2), (1, 2), (True, False), (draw((3,)), 0), (0.5, draw((2, 3)))])
def test_where_with_numbers(torch, arguments):
    compare_with_torch(ops.where, torch.where, [np.array([[True], [False]]), *arguments])


@pytest.mark.parametrize(
    "left, right", [("int64", "float32"), ("float32", "float64"), ("bool", "uint8"), ("float16", "bfloat16")]
)
def test_where_promotes(torch, left, right):
    condition = [True, False]
    got = ops.where(mg.tensor(condition), mg.tensor([1, 1]).to(left), mg.tensor([0, 0]).to(right))
    t = torch.tensor
    expected = torch.where(
        t(condition), t([1, 1]).to(getattr(torch, left)), t([0, 0]).to(getattr(torch, right))
    )
    assert str(got.dtype) == str(expected.dtype).removeprefix("torch.")
    assert got.tolist() == expected.tolist()


def test_where_keeps_the_other_side_out():
    """A NaN on the side that was not chosen, forward or backward, does not come through."""
    x = mg.tensor([1.0, math.nan], requires_grad=True)
    y = ops.where(mg.tensor([True, False]), x, 0.0)
    (g,) = mg.grad(y, x, mg.tensor([2.0, math.nan]))
    assert y.tolist() == [1.0, 0.0]
    assert g.tolist() == [2.0, 0.0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shapes", [((2, 3), (2, 3)), ((2, 3), (3,)), ((4, 2, 3), (2, 1)), ((3,), (2, 1)), ((), ())], ids=str
)
def test_masked_fill(torch, shapes, dtype):
    x, mask = draw(shapes[0]), draw(shapes[1], 1) > 0
    for value in (0, -math.inf, 2.5, np.array(1.5)):
        compare_with_torch(ops.masked_fill, torch.masked_fill, [x, mask, value], dtype=dtype)
    compare_with_torch(ops.masked_fill, torch.masked_fill, [np.arange(3), np.array([True, False, True]), 7])


def test_masked_fill_keeps_the_dtype(torch):
    for dtype in ("float16", "bfloat16", "float32"):
        compare_with_torch(
            then(ops.masked_fill, mg.tensor([True, False]), mg.tensor(2.5, dtype="float64")),
            then(torch.masked_fill, torch.tensor([True, False]), torch.tensor(2.5, dtype=torch.float64)),
            [np.array([1.0, 2.0])],
            dtype=dtype,
        )


def test_mistakes_are_told():
    x, mask = mg.tensor([1.0, 2.0]), mg.tensor([True, False])
    with pytest.raises(ArgumentError, match="where needs a value for either case"):
        ops.where(mask)
    with pytest.raises(
        DtypeError, match=r"where: condition must be a bool tensor, such as x > 0; given float32\[2\]"
    ):
        ops.where(x, x, x)
    with pytest.raises(DtypeError, match="where: condition must be a bool tensor, such as x > 0; given list"):
        ops.where([True], x, x)
    with pytest.raises(ShapeError, match=r"where\(bool\[2\], float32\[3\], 0\)"):
        ops.where(mask, mg.tensor([1.0, 2.0, 3.0]), 0)
    with pytest.raises(ArgumentError, match="clamp needs at least one limit"):
        ops.clamp(x)
    with pytest.raises(DtypeError, match="masked_fill: mask must be a bool tensor"):
        ops.masked_fill(x, mg.tensor([1, 0]), 0.0)
    with pytest.raises(
        ShapeError, match=r"value must be a number or a 0-dimensional tensor, not float32\[2\]"
    ):
        ops.masked_fill(x, mask, x)
    with pytest.raises(DtypeError, match=r"a int64\[2\] tensor cannot hold the value 0.5"):
        ops.masked_fill(mg.tensor([1, 2]), mask, 0.5)
    with pytest.raises(
        DtypeError, match=r"bitwise_and\(float32\[2\], float32\[2\]\): only bools and integers have bits"
    ):
        x & x
