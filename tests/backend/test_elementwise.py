"""Elementwise kernels beside their plain definitions, and their functions beside float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minigrad.backend.native import elementwise as kernels
from tests.backend.twins import LAYOUTS, XP, compare, laid, nhwc

CURVED = {"exp": {}, "sigmoid": {}, "tanh": {}, "silu": {}, "gelu": {"approximate": "none"}}
SHAPE = (3, 11, 40, 31)  # more than a block, and no multiple of anything


@pytest.mark.parametrize("layout", LAYOUTS[:2])
@pytest.mark.parametrize("name", ["relu", *CURVED])
def test_functions_of_one_array(rng, name, layout):
    x = laid(3 * nhwc(rng, *SHAPE), layout)
    gradient = getattr(kernels, f"{name}_gradient", None)
    compare(name, getattr(kernels, f"{name}_forward"), gradient, [x], rtol=1e-6, **CURVED.get(name, {}))


@pytest.mark.parametrize("layout", LAYOUTS[:2])
def test_results_lie_as_their_inputs_do(rng, layout):
    x = laid(nhwc(rng, *SHAPE), layout)
    assert kernels.relu_forward(XP, x).strides == x.strides
    assert kernels.add_forward(XP, x, x).strides == x.strides


@pytest.mark.parametrize("layout", LAYOUTS[:2])
def test_sums_and_masks(rng, layout):
    a, b = (laid(nhwc(rng, *SHAPE), layout) for _ in range(2))
    compare("add", kernels.add_forward, None, [a, b], rtol=0)
    mask = laid(rng.random(SHAPE) < 0.7, layout)
    compare("dropout", kernels.dropout_forward, kernels.dropout_gradient, [a, mask], rtol=1e-7, p=0.3)
    compare("dropout", kernels.dropout_forward, None, [a, mask], rtol=1e-7, p=1.0)


def test_relu_at_kinks_and_what_is_not_finite(rng):
    x = np.zeros(20_000, np.float32)
    x[:6] = [np.nan, np.inf, -np.inf, -0.0, 1e-45, -1e-45]
    compare("relu", kernels.relu_forward, kernels.relu_gradient, [x], rtol=0)
    gy = np.full(20_000, np.nan, np.float32)
    compare("relu", None, kernels.relu_gradient, [x], rtol=0, gys=gy)


def wide_range() -> np.ndarray:
    """Large and small numbers of either sign, up to where results leave the range of float32 and beyond."""
    small = np.geomspace(1e-38, 1, 30_000)
    return np.concatenate(
        [np.linspace(-130, 130, 100_001), np.linspace(-12, 12, 100_001), small, -small]
    ).astype(np.float32)


EXACT = {
    "exp": math.exp,
    "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
    "tanh": math.tanh,
    "silu": lambda v: v / (1 + math.exp(-v)),
    "gelu": lambda v: v * math.erfc(-v / math.sqrt(2)) / 2,
}


@pytest.mark.parametrize("name", CURVED)
def test_relative_error_everywhere(name):
    x = wide_range()
    got = getattr(kernels, f"{name}_forward")(XP, x, **CURVED[name]).astype(np.float64)
    exact = np.array([EXACT[name](v) for v in x.tolist()])
    normal = (np.abs(exact) > (1e-34 if name in ("silu", "gelu") else 1.2e-38)) & (np.abs(exact) < 3.4e38)
    assert np.abs(got[normal] / exact[normal] - 1).max() < (5e-6 if name == "gelu" else 4e-7)
    if name == "gelu":  # the larger errors are in the far tail
        near = normal & (np.abs(x) < 3)
        assert np.abs(got[near] / exact[near] - 1).max() < 1e-6
    assert np.abs(got[~normal & (np.abs(exact) < 1)]).max(initial=0) < 2e-34
    assert np.isinf(got[exact > 3.5e38]).all()


@pytest.mark.parametrize("name", CURVED)
def test_infinities_and_nan_as_in_the_plain_twin(name):
    x = np.zeros(20_000, np.float32)
    x[:3] = [np.nan, np.inf, -np.inf]
    compare(name, getattr(kernels, f"{name}_forward"), None, [x], rtol=1e-6, **CURVED[name])


def test_small_and_unlike_arrays_are_declined(rng):
    small, large = np.zeros((10, 10), np.float32), np.zeros((200, 100), np.float32)
    for name, params in {"relu": {}, **CURVED}.items():
        forward = getattr(kernels, f"{name}_forward")
        for x in (
            small,
            large[:, ::2],
            large.T,
            large.astype(np.float64)[:, :],
            np.zeros((0, 9), np.float32),
        ):
            assert forward(XP, x, **params) is None
    assert kernels.add_forward(XP, large, large[:1]) is None
    assert kernels.add_forward(XP, large, 2.0) is None
    assert kernels.add_forward(XP, large, large, alpha=2) is None
    assert kernels.add_forward(XP, large, large.astype(np.float64)) is None
    assert kernels.gelu_forward(XP, large, approximate="tanh") is None
    a = nhwc(rng, 4, 8, 30, 30)
    assert kernels.add_forward(XP, a, np.ascontiguousarray(a)) is None
    assert kernels.dropout_forward(XP, a, np.ones((4, 8, 1, 1), bool), p=0.5) is None
