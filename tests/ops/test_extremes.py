"""Largest and smallest elements against PyTorch and plain loops."""

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


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["amax", "amin"])
@pytest.mark.parametrize("options", [{}, {"dim": 0}, {"dim": (0, -1), "keepdim": True}, {"dim": ()}])
def test_amax_shares_among_equals(torch, rng, name, options, dtype):
    for x in (rng.standard_normal((3, 4, 2)), rng.integers(0, 3, (3, 4, 2)).astype(float)):
        compare_by_name(torch, name, [x], **options, how={"dtype": dtype})


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["max", "min"])
def test_max_in_all_its_forms(torch, rng, name):
    for x in (
        rng.permutation(24).reshape(2, 3, 4) / 7,
        np.array(rng.standard_normal()),
        rng.standard_normal((1, 1)),
    ):
        compare_by_name(torch, name, [x])
        for dim in range(-max(x.ndim, 1), max(x.ndim, 1)):
            for keepdim in (False, True):
                compare_by_name(torch, name, [x], dim, keepdim)
    compare_by_name(torch, name, [rng.integers(0, 2, (3, 4)).astype(float)])  # equal ones share
    compare_by_name(torch, name, [rng.standard_normal((3, 4)), rng.standard_normal(4)])
    compare_by_name(torch, name, [rng.standard_normal(3), np.array(0.1)])
    compare_by_name(torch, name, [np.zeros((2, 0))], 0, how={"order": 1})


@pytest.mark.parametrize("name, expected", [("max", [2.0, 3.0]), ("min", [1.0, 2.0])])
def test_two_tensors_by_keyword(name, expected):
    assert getattr(ops, name)(mg.tensor([1.0, 3.0]), other=mg.tensor(2.0)).tolist() == expected


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float16", "float32"])
def test_other_types(torch, rng, dtype):
    x = rng.permutation(12).reshape(3, 4).astype(dtype)
    how = {"dtype": dtype if "float" in dtype else "float64", "order": 0}
    for name in ("amax", "amin", "max", "min"):
        compare_by_name(torch, name, [x], how=how)
    if dtype != "bool":
        for name in ("argmax", "argmin", "max"):
            compare_by_name(torch, name, [x], 1, how=how)


@pytest.mark.oracle
def test_nan_is_the_extreme(torch):
    x = np.array([[1.0, math.nan, 3.0], [1.0, 2.0, 3.0], [math.nan, 1.0, math.nan]])
    for name in ("max", "min", "argmax", "argmin", "amax", "amin"):
        compare_by_name(torch, name, [x], 1, how={"order": 0})
        compare_by_name(torch, name, [x], how={"order": 0})


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_indices(torch, rng, name):
    for x in (rng.standard_normal((3, 4, 2)), np.array(rng.standard_normal())):
        for options in [{}, {"keepdim": True}, {"dim": 0}, {"dim": -1, "keepdim": True}]:
            compare_by_name(torch, name, [x], **options, how={"order": 0})


# ---------------------------------------------------------------- without PyTorch


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12))
def test_against_plain_loops(numbers):
    x = mg.tensor([numbers])
    for name, choose in (("max", max), ("min", min)):
        expected = choose(numbers)
        values, indices = getattr(ops, name)(x, 1)
        assert (values.tolist(), indices.tolist()) == ([expected], [numbers.index(expected)])
        assert getattr(ops, f"arg{name}")(x).item() == numbers.index(expected)
        assert getattr(ops, f"a{name}")(x, (0, 1)).item() == expected


@pytest.mark.parametrize("name", ["max", "min"])
def test_gradient_at_ties(name):
    x = mg.tensor([2.0, 2.0, 2.0, 2.0], requires_grad=True)
    (shared,) = mg.grad(getattr(ops, name)(x), x)
    (picked,) = mg.grad(getattr(ops, name)(x, 0).values, x)
    assert shared.tolist() == [0.25] * 4
    assert picked.tolist() == [1, 0, 0, 0]


def test_errors():
    for name in ("max", "min", "amax", "amin", "argmax", "argmin"):
        f = getattr(ops, name)
        with pytest.raises(ShapeError, match=r"a tensor of shape \[2, 0\] has no elements, so none is"):
            f(mg.zeros(2, 0))
        with pytest.raises(ShapeError, match=r"shape \[2, 0\] has no elements along dim 1"):
            f(mg.zeros(2, 0), 1)
        with pytest.raises(ArgumentError, match="dim 5 is out of range"):
            f(mg.zeros(2, 3), 5)
        with pytest.raises(DtypeError, match="takes a tensor, not list"):
            f([1.0])
    with pytest.raises(DtypeError, match="dim must be an int, not tuple"):
        ops.max(mg.zeros(2, 3), (0, 1))
    with pytest.raises(ArgumentError, match="max takes keepdim together with dim only"):
        ops.max(mg.zeros(2, 3), keepdim=True)
    with pytest.raises(ArgumentError, match="min takes a second tensor, or dim and keepdim, not both"):
        ops.min(mg.zeros(2, 3), 0, other=mg.zeros(3))
