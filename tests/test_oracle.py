"""The oracle must see every kind of disagreement, or the tests that rest on it prove nothing."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad import ops
from tests.oracle import compare_with_torch

X = np.array([[0.3, -1.2, 2.0], [0.7, 0.1, -0.4]])


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_agreement_passes(torch, dtype):
    compare_with_torch(ops.mul, torch.mul, [X, X[0]], dtype=dtype)
    compare_with_torch(lambda x: (x * x, x + 1), lambda x: (x * x, x + 1), [X.T], dtype=dtype)


@pytest.mark.parametrize(
    "wrong, right, message",
    [
        (lambda x: x * 1.0001, lambda x: x, "output 0 differs"),
        (lambda x: x.reshape(6), lambda x: x, "shape"),
        (lambda x: x.float(), lambda x: x, "dtype float32"),
        (lambda x: (x, x), lambda x: x, "2 outputs"),
        (lambda x: x / 0 * 0, lambda x: x, "infinities or NaNs"),
        (lambda x: x.long() * 2, lambda x: x.long(), "output 0:"),
        (lambda x: x.detach() + 0 * x, lambda x: x, "gradient differs"),
        (
            lambda x: x.detach() * x,
            lambda x: x * x / 2 + (x * x).detach() / 2,
            "second-order gradient 0 differs",
        ),
    ],
)
def test_disagreement_is_seen(torch, wrong, right, message):
    with pytest.raises(AssertionError, match=message):
        compare_with_torch(wrong, right, [X])


def test_a_missing_gradient_counts_as_zero(torch):
    compare_with_torch(lambda x, y: x, lambda x, y: x + 0 * y, [X, X])
    with pytest.raises(AssertionError, match="gradient 1 differs"):
        compare_with_torch(lambda x, y: x + y.detach(), lambda x, y: x + y, [X, X])


def test_order_limits_what_is_compared(torch):
    compare_with_torch(lambda x: x.detach() + 0, lambda x: x + 0, [X], order=0)
    compare_with_torch(lambda x: x.detach() * x, lambda x: x * x / 2 + (x * x).detach() / 2, [X], order=1)
