"""Sums, means, products, log-sum-exps and truth values against PyTorch, NumPy and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import ops
from minigrad.errors import ArgumentError, DtypeError
from tests.ops.by_name import compare_by_name

SHAPES_AND_DIMS = [
    ((3, 4), {}),
    ((3, 4), {"dim": 0}),
    ((3, 4), {"dim": -1, "keepdim": True}),
    ((2, 3, 4), {"dim": (0, 2)}),
    ((2, 3, 4), {"dim": [-1, 0], "keepdim": True}),
    ((2, 3, 4), {"dim": ()}),
    ((), {}),
    ((), {"dim": -1}),
    ((2, 0, 3), {"dim": 1}),
    ((2, 0, 3), {"dim": 0}),
]


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["sum", "mean", "nansum"])
@pytest.mark.parametrize("shape, options", SHAPES_AND_DIMS)
def test_sums_and_means(torch, rng, name, shape, options, dtype):
    x = np.array(rng.standard_normal(shape))
    compare_by_name(torch, name, [x], **options, how={"dtype": dtype})


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize(
    "shape, dim", [((3, 4), 0), ((2, 3, 4), (0, 2)), ((2, 3), (0, 1)), ((), 0), ((2, 0), 1)]
)
def test_logsumexp(torch, rng, shape, dim, dtype):
    x = np.array(rng.standard_normal(shape) * 3)
    for keepdim in (False, True):
        order = 2 if dtype in ("float64", "float32") else 1
        compare_by_name(torch, "logsumexp", [x], dim, keepdim, how={"dtype": dtype, "order": order})


@pytest.mark.oracle
def test_logsumexp_of_infinities_and_integers(torch):
    x = np.array(
        [[-math.inf, -math.inf], [math.inf, 1.0], [-math.inf, 1.0], [1000.0, 999.0], [math.nan, 1.0]]
    )
    compare_by_name(torch, "logsumexp", [x], 1, how={"order": 1})
    compare_by_name(torch, "logsumexp", [np.array([1, 2, 3])], 0, how={"rtol": 1e-6})


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
def test_prod_with_zeros(torch, rng, zeros, dtype):
    x = rng.standard_normal((3, 4))
    x[1, :zeros] = 0
    for options in ({}, {"dim": 0}, {"dim": 1}, {"dim": -1, "keepdim": True}):
        compare_by_name(torch, "prod", [x], **options, how={"dtype": dtype})


@pytest.mark.oracle
@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 1, 3)])
def test_prod_of_unusual_shapes(torch, rng, shape):
    x = np.array(rng.standard_normal(shape))
    compare_by_name(torch, "prod", [x])
    compare_by_name(torch, "prod", [x], 0)


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int32", "int64"])
def test_integers_and_bools(torch, rng, dtype):
    x = rng.integers(0, 3, (4, 5)).astype(dtype)
    for name in ("sum", "prod", "nansum"):
        compare_by_name(torch, name, [x])
        compare_by_name(torch, name, [x], 1)
        for wanted in ("float64", "int32", "bool")[: 3 if name == "sum" else 2]:
            compare_by_name(torch, name, [x], 0, dtype=wanted, how={"order": 0})
    compare_by_name(torch, "mean", [x], 0, dtype="float32")


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float32"])
@pytest.mark.parametrize("shape", [(3, 4), (2, 0), ()])
def test_truth_values(torch, rng, shape, dtype):
    x = (rng.random(shape) < 0.5).astype(dtype)
    dims = [{}, {"dim": 0}] + ([{"dim": (0, 1), "keepdim": True}, {"dim": 1}] if len(shape) == 2 else [])
    for options in dims:
        for name in ("any", "all"):
            compare_by_name(torch, name, [x], **options, how={"order": 0})
        dim = {k: v for k, v in options.items() if k == "dim"}
        compare_by_name(torch, "count_nonzero", [x], **dim, how={"order": 0})


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["nansum", "nanmean"])
def test_nans_are_left_out(torch, rng, name):
    x = rng.standard_normal((3, 4))
    x[0, :2] = x[1, 3] = math.nan
    for options in ({}, {"dim": 1}, {"dim": (0, 1), "keepdim": True}):
        compare_by_name(torch, name, [x], **options)
    x[2] = math.nan
    compare_by_name(torch, name, [x], 1, how={"order": 0})


@pytest.mark.oracle
def test_half_precision_is_summed_in_float32(torch):
    x = np.ones((4096,))
    for dtype in ("float16", "bfloat16"):
        assert ops.sum(mg.tensor(x, dtype=dtype)).item() == 4096
        compare_by_name(torch, "mean", [x], how={"dtype": dtype})


# ---------------------------------------------------------------- without PyTorch

NAIVE = {
    "sum": (math.fsum, 0.0),
    "prod": (math.prod, 1.0),
    "mean": (lambda v: math.fsum(v) / len(v), None),
    "logsumexp": (lambda v: math.log(math.fsum(map(math.exp, v))), None),
    "any": (any, False),
    "all": (all, True),
    "count_nonzero": (lambda v: len([e for e in v if e]), 0),
    "nansum": (lambda v: math.fsum(e for e in v if e == e), 0.0),
    "nanmean": (lambda v: math.fsum(v) / len(v), None),
}


@given(st.sampled_from(sorted(NAIVE)), st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_against_plain_loops(name, shape, data):
    dims = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    if name == "prod":
        dims = dims[:1]
    values = np.random.default_rng(len(dims)).integers(-2, 3, shape) / 2
    y = getattr(ops, name)(mg.tensor(values), dims[0] - len(shape) if len(dims) == 1 else dims)
    kept = [i for i in range(len(shape)) if i not in dims]
    assert y.shape == tuple(shape[i] for i in kept)
    lines = values.transpose(kept + dims).reshape([shape[i] for i in kept] + [-1])
    for place in np.ndindex(*y.shape):
        expected = NAIVE[name][0](lines[place].tolist())
        assert y.numpy()[place] == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", [n for n, (_, empty) in NAIVE.items() if empty is not None])
def test_of_nothing(name):
    dim = 1 if name == "prod" else (1,)
    y = getattr(ops, name)(mg.zeros(2, 0), dim)
    assert y.tolist() == [NAIVE[name][1]] * 2


def test_mean_of_nothing_is_nan():
    assert math.isnan(ops.mean(mg.zeros(0)).item())


def test_float32_sums_over_a_batch_are_accurate(rng):
    x = rng.random((64, 28, 28, 8), dtype=np.float32)
    y = ops.sum(mg.tensor(x).permute(0, 3, 1, 2), (0, 2, 3)).numpy()
    exact = x.sum(axis=(0, 1, 2), dtype=np.float64)
    assert np.abs(y / exact - 1).max() < 1e-6


def test_gradient_of_prod_by_hand():
    x = mg.tensor([2.0, 0.0, 5.0], requires_grad=True)
    (g,) = mg.grad(ops.prod(x), x, create_graph=True)
    assert g.tolist() == [0, 10, 0]
    (h,) = mg.grad(g[1], x)
    assert h.tolist() == [5, 0, 2]


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("name", sorted(NAIVE))
def test_wrong_dimensions(name):
    f = getattr(ops, name)
    x = mg.zeros(2, 3)
    with pytest.raises(
        ArgumentError, match=r"dim 2 is out of range for a tensor of shape \[2, 3\]; allowed: -2 to 1"
    ):
        f(x, 2)
    with pytest.raises(DtypeError, match="dim must be an int, not float"):
        f(x, 1.5)
    if name != "prod":
        with pytest.raises(ArgumentError, match="twice"):
            f(x, (0, -2))
    with pytest.raises(DtypeError, match=f"{name} takes a tensor, not list"):
        f([1.0, 2.0], 0)


def test_wrong_types():
    for f in (ops.mean, ops.nanmean):
        with pytest.raises(DtypeError, match=r"mean needs floating-point numbers, not int64\[2\]"):
            f(mg.tensor([1, 2]))
    with pytest.raises(DtypeError, match="dim must be an int"):
        ops.prod(mg.zeros(2, 3), (0, 1))
    with pytest.raises(ArgumentError, match="logsumexp needs dim"):
        ops.logsumexp(mg.zeros(2), None)
    with pytest.raises(DtypeError, match="not supported"):
        ops.sum(mg.zeros(2), dtype="complex64")
