"""Scaled dot-product attention against PyTorch and a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.op import get_operation
from minigrad.ops import scaled_dot_product_attention as attention
from tests.oracle import compare_with_torch

SHAPES = [
    # query, key, value
    ((3, 4), (5, 4), (5, 2)),
    ((2, 3, 4), (2, 5, 4), (2, 5, 4)),
    ((2, 2, 3, 4), (2, 2, 3, 4), (2, 2, 3, 4)),
    ((4, 1, 2, 3), (1, 5, 4, 3), (1, 5, 4, 2)),
    ((2, 3, 1, 4), (6, 4), (3, 6, 4)),
]


def inputs(rng, shapes):
    return [rng.standard_normal(s) for s in shapes]


@pytest.fixture
def theirs(torch):
    """PyTorch's plain composition: its fused kernels have no second derivative."""
    function = torch.nn.functional.scaled_dot_product_attention

    def run(*args, **kwargs):
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            return function(*args, **kwargs)

    return run


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "options", [{}, {"is_causal": True}, {"scale": 0.3}, {"is_causal": True, "scale": -2.0}]
)
@pytest.mark.parametrize("shapes", SHAPES)
def test_without_a_mask(theirs, rng, shapes, options, dtype):
    compare_with_torch(
        lambda q, k, v: attention(q, k, v, **options),
        lambda q, k, v: theirs(q, k, v, **options),
        inputs(rng, shapes),
        dtype=dtype,
    )


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mask_shape", [(3, 5), (1, 5), (5,), (2, 3, 5), (2, 1, 1)])
def test_masks(theirs, rng, mask_shape, dtype):
    arrays = inputs(rng, SHAPES[1])
    numbers = rng.standard_normal(mask_shape)
    truths = rng.random(mask_shape) < 0.6
    truths[..., 0] = True
    for mask in (numbers, truths):
        compare_with_torch(attention, theirs, [*arrays, mask], dtype=dtype)


@pytest.mark.oracle
def test_a_query_that_may_look_at_nothing(theirs, rng):
    arrays = inputs(rng, SHAPES[1])
    truths = rng.random((3, 5)) < 0.6
    truths[1] = False
    numbers = np.where(truths, rng.standard_normal((3, 5)), -math.inf)
    compare_with_torch(attention, theirs, [*arrays, truths])
    compare_with_torch(attention, theirs, [*arrays, numbers], order=1)


@pytest.mark.oracle
def test_half_precision(torch, rng):
    """Compared in plain arithmetic: PyTorch rounds its scores to half precision, ours are float32 throughout."""
    arrays = inputs(rng, SHAPES[1])

    def theirs(*tensors):
        q, k, v = (t.float() for t in tensors)
        return torch.nn.functional.scaled_dot_product_attention(q, k, v).to(tensors[0].dtype)

    for dtype in ("float16", "bfloat16"):
        compare_with_torch(attention, theirs, arrays, dtype=dtype, order=1)


# ---------------------------------------------------------------- without PyTorch


def naive(q, k, v, mask=None, is_causal=False, scale=None):
    """One query and one key at a time."""
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    y = np.zeros((q.shape[0], v.shape[1]))
    for i in range(len(q)):
        weights = []
        for j in range(len(k)):
            seen = (mask is None or mask[i, j] is True or mask[i, j]) and not (is_causal and j > i)
            weights.append(math.exp(scale * math.fsum(q[i] * k[j])) if seen else 0.0)
        for j in range(len(k)):
            y[i] += weights[j] / (sum(weights) or 1.0) * v[j]
    return y


@given(
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 9),
    st.sampled_from(["plain", "causal", "mask"]),
)
def test_against_plain_loops(length, source, features, seed, kind):
    rng = np.random.default_rng(seed)
    q, k, v = (rng.standard_normal(s) for s in ((length, features), (source, features), (source, 2)))
    mask = rng.random((length, source)) < 0.5 if kind == "mask" else None
    options = {"is_causal": kind == "causal", "scale": None if seed % 2 else 0.7}
    y = attention(*map(mg.tensor, (q, k, v)), None if mask is None else mg.tensor(mask), **options)
    assert y.numpy() == pytest.approx(naive(q, k, v, mask, **options), rel=1e-12, abs=1e-12)


def test_dropout_keeps_the_expectation(rng):
    mg.manual_seed(0)
    q, k, v = (mg.tensor(a) for a in inputs(rng, [(1, 4), (50, 4), (50, 1)]))
    many = q.expand(4000, 4)  # the same query many times, each with a mask of its own
    y = attention(many, k, v, dropout_p=0.3).numpy()
    expected = attention(q, k, v).item()
    assert y.std() > 0
    assert abs(y.mean() - expected) < 5 * y.std() / math.sqrt(len(y))


def test_everything_dropped(rng):
    y = attention(*(mg.tensor(a) for a in inputs(rng, SHAPES[0])), dropout_p=1.0)
    assert y.numpy().tolist() == np.zeros((3, 2)).tolist()


def test_dropped_weights_are_those_of_the_mask(rng):
    q, k, v = inputs(rng, SHAPES[0])
    keep = rng.random((3, 5)) < 0.5
    op = get_operation("scaled_dot_product_attention")
    y = op(*map(mg.tensor, (q, k, v)), None, mg.tensor(keep), scale=0.5, is_causal=False, dropout_p=0.25)
    weights = np.exp(0.5 * q @ k.T)
    expected = (weights / weights.sum(1, keepdims=True) * keep / 0.75) @ v
    assert y.numpy() == pytest.approx(expected, rel=1e-12)


def test_errors(rng):
    q, k, v = (mg.tensor(a) for a in inputs(rng, SHAPES[1]))
    with pytest.raises(ShapeError, match="query and key must agree in their last dimension"):
        attention(q[..., :3], k, v)
    with pytest.raises(ShapeError, match="key and value in the one before it"):
        attention(q, k, v[:, :4])
    with pytest.raises(ShapeError, match="each needs two dimensions or more"):
        attention(q[0, 0], k, v)
    with pytest.raises(ShapeError, match="do not broadcast against each other"):
        attention(q, k.expand(3, 2, 5, 4), v.expand(4, 2, 5, 4))
    with pytest.raises(DtypeError, match="takes tensors"):
        attention(q.numpy(), k, v)
    with pytest.raises(DtypeError, match="needs floating-point numbers"):
        attention(q.long(), k, v)
    with pytest.raises(DtypeError, match="must have one dtype"):
        attention(q.float(), k, v)
    with pytest.raises(ArgumentError, match="attn_mask or is_causal=True, not both"):
        attention(q, k, v, mg.ones(3, 5, dtype="bool"), is_causal=True)
    with pytest.raises(DtypeError, match="attn_mask must be bool, or float64 as the query is, not int64"):
        attention(q, k, v, mg.ones(3, 5, dtype="int64"))
    with pytest.raises(
        ShapeError, match=r"attn_mask of shape \[3, 4\] does not broadcast to \(..., L, S\) = \[2, 3, 5\]"
    ):
        attention(q, k, v, mg.ones(3, 4, dtype="float64"))
    with pytest.raises(ShapeError, match="does not broadcast"):
        attention(q, k, v, mg.ones(4, 2, 3, 5, dtype="float64"))
    with pytest.raises(
        ArgumentError, match="dropout_p, the probability of dropping, must lie between 0 and 1"
    ):
        attention(q, k, v, dropout_p=2)
