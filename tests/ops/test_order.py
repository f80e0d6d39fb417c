"""Sorting, ranking and counting against PyTorch, NumPy and plain Python."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import ops
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from tests.ops.by_name import compare_by_name

LINES = [((7,), 0), ((3, 5, 2), 1), ((3, 5, 2), -1), ((4, 1), 1), ((), 0)]


def distinct(rng, shape):
    return np.array(rng.permutation(int(np.prod(shape))).reshape(shape) / 7 - 1)


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape, dim", LINES + [((3, 0), 1), ((0, 3), 1)])
def test_sort(torch, rng, shape, dim, dtype):
    x = distinct(rng, shape)
    for descending in (False, True):
        compare_by_name(torch, "sort", [x], dim, descending, how={"dtype": dtype})
        compare_by_name(torch, "argsort", [x], dim, descending, how={"order": 0})


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float64"])
def test_equal_elements_keep_their_order(torch, rng, dtype):
    x = rng.integers(0, 3, (2, 50)).astype(dtype)
    for descending in (False, True):
        compare_by_name(torch, "sort", [x], dim=1, descending=descending, stable=True)


@pytest.mark.oracle
def test_nan_counts_as_greatest(torch):
    x = np.array([2.0, math.nan, -math.inf, 1.0, math.inf, math.nan])
    values_only = {"order": 0}
    for descending in (False, True):
        compare_by_name(torch, "sort", [x], dim=0, descending=descending, stable=True, how={"order": 1})
    x = np.array([2.0, math.nan, -math.inf, 1.0, math.inf])
    for largest in (False, True):
        compare_by_name(torch, "topk", [x], 3, 0, largest, how=values_only)
    compare_by_name(torch, "kthvalue", [x], 5, 0, how=values_only)
    compare_by_name(torch, "median", [x], 0, how=values_only)
    compare_by_name(torch, "median", [x], how=values_only)


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("shape, dim", LINES)
def test_topk_and_kthvalue(torch, rng, shape, dim, dtype):
    x = distinct(rng, shape)
    how = {"dtype": dtype}
    length = x.shape[dim] if shape else 1
    for k in range(0 if shape else 1, length + 1):
        for flag in (True, False):
            compare_by_name(torch, "topk", [x], k, dim, flag, how=how)
            if k:
                compare_by_name(torch, "kthvalue", [x], k, dim, flag, how=how)


@pytest.mark.oracle
@pytest.mark.parametrize("shape, dim", LINES)
def test_median(torch, rng, shape, dim):
    x = distinct(rng, shape)
    compare_by_name(torch, "median", [x])
    for keepdim in (True, False):
        compare_by_name(torch, "median", [x], dim, keepdim)
    compare_by_name(torch, "median", [np.array([1.0, 2.0, 2.0, 2.0, 5.0])])  # equal ones share
    compare_by_name(torch, "median", [rng.integers(0, 9, (3, 4))])


@pytest.mark.oracle
def test_unique(torch, rng):
    for x in (
        rng.integers(0, 4, (3, 5)),
        rng.integers(0, 2, (6, 2)) / 2,
        rng.random((3, 4)) < 0.5,
        np.zeros((0,)),
    ):
        compare_by_name(torch, "unique", [x], how={"order": 0})
        compare_by_name(torch, "unique", [x], True, True, True, how={"order": 0})
    x = rng.integers(0, 2, (6, 2))
    for dim in (0, 1, -1):
        compare_by_name(torch, "unique", [x], True, True, True, dim, how={"order": 0})


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", None])
def test_bincount(torch, rng, dtype):
    weights = (
        [] if dtype is None else [rng.integers(0, 30, 20).astype(dtype) / (8 if "float" in dtype else 1)]
    )
    weights = [w.astype(dtype) for w in weights]
    how = {"order": 0, "dtype": "float32" if dtype == "float32" else "float64"}
    for minlength in (0, 9):
        compare_by_name(torch, "bincount", [rng.integers(0, 5, 20), *weights], minlength=minlength, how=how)


# ---------------------------------------------------------------- without PyTorch

numbers = st.lists(st.integers(-5, 5).map(lambda n: n / 2), min_size=1, max_size=30)


@given(numbers, st.data())
def test_against_plain_python(values, data):
    x = mg.tensor(np.array(values))
    n = len(values)
    rising = sorted(range(n), key=lambda i: values[i])
    falling = sorted(range(n), key=lambda i: -values[i])
    assert ops.sort(x).indices.tolist() == ops.argsort(x).tolist() == rising
    assert ops.sort(x, descending=True).indices.tolist() == falling
    assert ops.sort(x).values.tolist() == sorted(values)
    k = data.draw(st.integers(1, n))
    for largest, expected in ((True, sorted(values)[::-1][:k]), (False, sorted(values)[:k])):
        top = ops.topk(x, k, largest=largest)
        assert top.values.tolist() == expected == [values[i] for i in top.indices.tolist()]
        assert len(set(top.indices.tolist())) == k
    kth = ops.kthvalue(x, k)
    assert kth.values.item() == sorted(values)[k - 1] == values[kth.indices.item()]
    assert ops.median(x).item() == statistics.median_low(values)
    different, inverse, counts = ops.unique(x, return_inverse=True, return_counts=True)
    assert different.tolist() == sorted(set(values))
    assert [different.tolist()[i] for i in inverse.tolist()] == values
    assert counts.tolist() == [values.count(v) for v in sorted(set(values))]


@given(st.lists(st.integers(0, 6), max_size=20), st.integers(0, 9))
def test_bincount_against_plain_python(values, minlength):
    y = ops.bincount(mg.tensor(np.array(values, np.int64)), minlength=minlength)
    assert y.tolist() == [values.count(k) for k in range(max([minlength, *(v + 1 for v in values)]))]


def test_gradient_goes_to_where_the_elements_came_from():
    x = mg.tensor([3.0, 1.0, 2.0], requires_grad=True)
    weights = mg.tensor([1.0, 10.0, 100.0])
    assert mg.grad((ops.sort(x).values * weights).sum(), x)[0].tolist() == [100, 1, 10]
    assert mg.grad((ops.topk(x, 2).values * weights[:2]).sum(), x)[0].tolist() == [1, 0, 10]
    assert mg.grad(ops.kthvalue(x, 1).values, x)[0].tolist() == [0, 1, 0]


def test_errors():
    x = mg.zeros(2, 3)
    with pytest.raises(
        ArgumentError,
        match=r"topk: k must lie between 0 and 3, the length of dim 1 of float32\[2, ?3\], not be 4",
    ):
        ops.topk(x, 4)
    with pytest.raises(ArgumentError, match="kthvalue: k must lie between 1 and 2"):
        ops.kthvalue(x, 0, 0)
    with pytest.raises(DtypeError, match="k must be an int, not float"):
        ops.topk(x, 1.0)
    for f in (
        ops.sort,
        ops.argsort,
        lambda x, dim: ops.topk(x, 1, dim),
        lambda x, dim: ops.kthvalue(x, 1, dim),
        ops.median,
    ):
        with pytest.raises(ArgumentError, match="dim 2 is out of range"):
            f(x, 2)
        with pytest.raises(DtypeError, match="takes a tensor, not list"):
            f([1.0], 0)
    for wrong in (lambda: ops.median(mg.zeros(0)), lambda: ops.median(mg.zeros(2, 0), 1)):
        with pytest.raises(ShapeError, match="has no elements to choose from"):
            wrong()
    with pytest.raises(ArgumentError, match="median takes keepdim together with dim only"):
        ops.median(x, keepdim=True)
    with pytest.raises(DtypeError, match=r"bincount takes integers in one dimension, not float32\[2\]"):
        ops.bincount(mg.zeros(2))
    with pytest.raises(DtypeError, match="in one dimension"):
        ops.bincount(mg.tensor([[1]]))
    with pytest.raises(ArgumentError, match="numbers must be >= 0; the smallest is -3"):
        ops.bincount(mg.tensor([1, -3]))
    with pytest.raises(ArgumentError, match="minlength must be >= 0, not -1"):
        ops.bincount(mg.tensor([1]), minlength=-1)
    with pytest.raises(ShapeError, match=r"weights have shape \[2\], x has \[1\]"):
        ops.bincount(mg.tensor([1]), mg.zeros(2))
