"""Dropout: its expectation, its mask, its gradient, its arguments."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad import ops
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.op import get_operation
from minigrad.testing import gradcheck, gradgradcheck
from tests.oracle import compare_with_torch

N = 40_000


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_dropped_and_expectation(p):
    mg.manual_seed(0)
    y = ops.dropout(mg.ones(N), p).numpy()
    five_deviations = 5 * math.sqrt(p * (1 - p) / N)
    assert abs((y == 0).mean() - p) < five_deviations
    assert abs(y.mean() - 1) < five_deviations / (1 - p)
    assert np.unique(y).tolist() == pytest.approx([0, 1 / (1 - p)])


def test_neighbours_are_independent():
    mg.manual_seed(0)
    dropped = ops.dropout(mg.ones(N), 0.5).numpy() == 0
    assert abs((dropped[1:] & dropped[:-1]).mean() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / N)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_keeps_dtype_and_shape(dtype):
    x = mg.ones(3, 4, dtype=dtype)
    for y in (ops.dropout(x), ops.alpha_dropout(x, 0.5, True)):
        assert (y.dtype, y.shape) == (x.dtype, x.shape)


def test_the_gradient_passes_where_the_element_did():
    x = mg.tensor(np.arange(1.0, 101.0), requires_grad=True)
    y = ops.dropout(x, 0.25)
    y.sum().backward()
    assert x.grad.numpy() == pytest.approx((y.numpy() != 0) / 0.75)


def test_the_seed_decides():
    x = mg.ones(200)
    draws = []
    for seed in (1, 1, 2):
        mg.manual_seed(seed)
        draws.append(ops.dropout(x).tolist())
    assert draws[0] == draws[1] != draws[2]


def test_memory_layout_does_not_change_the_mask():
    x = np.ones((4, 5, 6), np.float32)
    masks = []
    for layout in (x, x.transpose(2, 1, 0).copy().transpose(2, 1, 0)):
        mg.manual_seed(3)
        masks.append(ops.dropout(mg.from_numpy(layout)).tolist())
    assert masks[0] == masks[1]


def test_nothing_happens_outside_training():
    x = mg.ones(4, 3, 2)
    for f in (ops.dropout, ops.alpha_dropout, ops.dropout1d):
        assert f(x, 0.5, training=False) is x
        assert f(x, 0.0, training=True) is x
    assert ops.alpha_dropout(x) is x


def test_all_dropped():
    x = mg.full((4,), 2.0, requires_grad=True)
    for f in (ops.dropout, ops.alpha_dropout):
        y = f(x, 1.0, training=True)
        assert y.tolist() == [0, 0, 0, 0]
        assert mg.grad(y.sum(), x)[0].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "name, shape, channels",
    [
        ("dropout1d", (8, 50, 3), (8, 50)),
        ("dropout1d", (50, 3), (50,)),
        ("dropout2d", (8, 50, 3, 4), (8, 50)),
        ("dropout3d", (8, 50, 3, 2, 2), (8, 50)),
        ("dropout3d", (50, 3, 2, 2), (50,)),
    ],
)
def test_whole_channels(name, shape, channels):
    mg.manual_seed(0)
    y = getattr(ops, name)(mg.ones(shape), 0.4).numpy().reshape(*channels, -1)
    assert (y == y[..., :1]).all()
    assert np.unique(y).tolist() == pytest.approx([0, 1 / 0.6])
    assert abs((y[..., 0] == 0).mean() - 0.4) < 5 * math.sqrt(0.24 / math.prod(channels))


def test_alpha_dropout_keeps_mean_and_variance(rng):
    mg.manual_seed(0)
    x = rng.standard_normal(N)
    for p in (0.1, 0.5):
        y = ops.alpha_dropout(mg.tensor(x), p, training=True).numpy()
        assert abs(y.mean()) < 0.05
        assert abs(y.var() - 1) < 0.1


@pytest.mark.parametrize("name", ["dropout", "alpha_dropout"])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_gradients(rng, name, p):
    op = get_operation(name)
    x = mg.tensor(rng.standard_normal((3, 4)), requires_grad=True)
    mask = mg.tensor(rng.random((3, 4)) < 0.5)
    assert gradcheck(lambda x: op(x, mask, p=p), x)
    assert gradgradcheck(lambda x: op(x, mask, p=p) * x, x)


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_given_pytorchs_mask(torch, rng, dtype):
    """Which elements PyTorch dropped is visible in its result; with that mask, ours is the same."""
    x = rng.standard_normal((5, 6)) + 10
    for name, dropped in (("dropout", 0.0), ("alpha_dropout", None)):
        torch.manual_seed(0)
        reference = getattr(torch.nn.functional, name)(torch.tensor(x), 0.4, True).numpy()
        floor = reference.min() if dropped is None else dropped
        mask = reference != floor

        def theirs(x, name=name):
            torch.manual_seed(0)
            return getattr(torch.nn.functional, name)(x.double(), 0.4, True).to(x.dtype)

        assert 0 < mask.sum() < mask.size
        compare_with_torch(
            lambda x, m, name=name: get_operation(name)(x, m, p=0.4),
            lambda x, m: theirs(x),
            [x, mask],
            dtype=dtype,
        )


def test_errors():
    x = mg.ones(2, 3, 4, 4)
    for f in (ops.dropout, ops.dropout2d, ops.alpha_dropout):
        for p in (-0.1, 1.5, math.nan, "0.5", True):
            with pytest.raises(
                ArgumentError, match="p, the probability of dropping, must lie between 0 and 1, not be"
            ):
                f(x, p)
        with pytest.raises(DtypeError, match="needs floating-point numbers, not int64"):
            f(mg.ones(2, 3, 4, 4, dtype="int64"))
    with pytest.raises(DtypeError, match="dropout takes a tensor, not list"):
        ops.dropout([1.0])
    with pytest.raises(
        ShapeError, match=r"dropout1d takes x of shape \(N, C, L\) or \(C, L\), not float32\[2, ?3, ?4, ?4\]"
    ):
        ops.dropout1d(x)
    with pytest.raises(
        ShapeError, match=r"dropout2d takes x of shape \(N, C, H, W\), not float32\[2, ?3, ?4\]"
    ):
        ops.dropout2d(x[:, :, 0])
    with pytest.raises(ShapeError, match="dropout3d takes x of shape"):
        ops.dropout3d(x[0])
