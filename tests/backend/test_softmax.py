"""Kernels of softmax, its logarithm and cross entropy beside their plain definitions."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.backend.native import softmax as kernels
from tests.backend.twins import XP, compare, laid, nhwc, samples

SHAPES = [(1, 1), (5, 3), (128, 10), (7, 16), (9, 33), (300, 100), (40, 1000)]
PARTS = ["softmax", "log_softmax"]


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_along_the_last_axis(rng, name, shape):
    x = 5 * rng.standard_normal(shape, dtype=np.float32)
    compare(name, getattr(kernels, f"{name}_forward"), getattr(kernels, f"{name}_gradient"), [x], dim=1)


@pytest.mark.parametrize("name", PARTS)
def test_along_channels_and_in_several_dimensions(rng, name):
    forward, gradient = getattr(kernels, f"{name}_forward"), getattr(kernels, f"{name}_gradient")
    compare(name, forward, gradient, [nhwc(rng, 3, 21, 8, 9)], dim=1)
    compare(name, forward, gradient, [rng.standard_normal((2, 4, 6, 50), dtype=np.float32)], dim=3)
    compare(name, forward, gradient, [rng.standard_normal(50, dtype=np.float32)], dim=0)
    compare(name, forward, None, [laid(nhwc(rng, 3, 21, 8, 9), "channels first")], dim=1, declines=True)
    compare(name, forward, None, [np.zeros((0, 3), np.float32)], dim=1, declines=True)
    compare(name, forward, None, [np.zeros((2, 3))], dim=1, declines=True)


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("n", [3, 40])
def test_what_is_not_finite(rng, name, n):
    x = rng.standard_normal((8, n), dtype=np.float32)
    x[0, 1], x[1, -1], x[2, 0], x[3], x[4, : n // 2], x[5] = np.nan, np.inf, -np.inf, -np.inf, -np.inf, 1e30
    x[6] *= 1e4
    compare(name, getattr(kernels, f"{name}_forward"), None, [x], dim=1)


@pytest.mark.parametrize("shape", [(5, 3), (128, 10), (64, 1), (300, 100)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy(rng, shape, smoothing, reduction):
    x = 3 * rng.standard_normal(shape, dtype=np.float32)
    t = rng.integers(0, shape[1], shape[0])
    t[::4] = -100
    how = {"ignore_index": -100, "label_smoothing": smoothing, "reduction": reduction}
    compare(
        "cross_entropy", kernels.cross_entropy_forward, kernels.cross_entropy_gradient, [x, t, None], **how
    )
    t = t.astype(np.int32)
    compare(
        "cross_entropy", kernels.cross_entropy_forward, kernels.cross_entropy_gradient, [x, t, None], **how
    )


def test_cross_entropy_of_images_and_of_nothing_that_counts(rng):
    how = {"ignore_index": 1, "label_smoothing": 0.2, "reduction": "mean"}
    parts = kernels.cross_entropy_forward, kernels.cross_entropy_gradient
    compare("cross_entropy", *parts, [nhwc(rng, 3, 5, 6, 4), rng.integers(0, 5, (3, 6, 4)), None], **how)
    compare("cross_entropy", *parts, [nhwc(rng, 4, 3), np.ones(4, np.int64), None], **how)


def test_cross_entropy_of_infinite_scores():
    x = np.zeros((4, 3), np.float32)
    x[0, 1], x[1, 0], x[2, 2], x[3, 0] = -np.inf, -np.inf, np.nan, np.inf
    for smoothing in (0.0, 0.1):
        how = {"ignore_index": -100, "label_smoothing": smoothing, "reduction": "none"}
        compare("cross_entropy", kernels.cross_entropy_forward, None, [x, np.zeros(4, np.int64), None], **how)


def test_cross_entropy_samples_and_what_is_declined(rng):
    for inputs, params in samples("cross_entropy"):
        declines = (
            inputs[2] is not None or not inputs[0].swapaxes(1, -1).flags.c_contiguous
            if inputs[0].ndim > 1
            else True
        )
        compare("cross_entropy", kernels.cross_entropy_forward, None, inputs, declines=declines, **params)
    with_weights = [nhwc(rng, 4, 3), np.zeros(4, np.int64), np.ones(3, np.float32)]
    how = {"ignore_index": -100, "label_smoothing": 0.0, "reduction": "mean"}
    compare(
        "cross_entropy",
        kernels.cross_entropy_forward,
        kernels.cross_entropy_gradient,
        with_weights,
        declines=True,
        **how,
    )
    assert (
        kernels.cross_entropy_forward(XP, np.zeros(3, np.float32), np.zeros((), np.int64), None, **how)
        is None
    )
