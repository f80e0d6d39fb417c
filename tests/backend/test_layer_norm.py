"""Kernels of layer normalisation beside its plain definition."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.backend.native import layer_norm as kernels
from tests.backend.twins import compare, samples

SHAPES = [
    ((1, 1), 1),
    ((5, 3), 1),
    ((4, 6, 17), 1),
    ((2000, 40), 1),
    ((6, 4, 8), 2),
    ((3, 1000), 1),
    ((7,), 1),
]


@pytest.mark.parametrize("shape, last", SHAPES)
@pytest.mark.parametrize("affine", ["both", "weight", "none"])
def test_layer_norm_equals_its_plain_twin(rng, shape, last, affine):
    normalized_shape = shape[-last:]
    x = 2 * rng.standard_normal(shape, dtype=np.float32) + 3
    w, b = (rng.standard_normal(normalized_shape, dtype=np.float32) for _ in range(2))
    vectors = {"both": [w, b], "weight": [w, None], "none": [None, None]}[affine]
    how = {"normalized_shape": normalized_shape, "eps": 1e-3, "rtol": 1e-5}
    compare("layer_norm", kernels.layer_norm_forward, kernels.layer_norm_gradient, [x, *vectors], **how)


def test_the_mean_far_from_zero_costs_no_digits(rng):
    x = (rng.standard_normal((50, 300)) + 100).astype(np.float32)
    y = kernels.layer_norm_forward(None, x, None, None, normalized_shape=(300,), eps=0.0)
    exact = x.astype(np.float64)
    exact = (exact - exact.mean(axis=1, keepdims=True)) / exact.std(axis=1, keepdims=True)
    assert np.abs(y - exact).max() < 3e-5  # the mean, rounded to float32, is off by 4e-6


def test_what_is_not_a_number_stays_in_its_row(rng):
    x = rng.standard_normal((6, 20), dtype=np.float32)
    x[2, 3], x[4, 19] = np.nan, np.inf
    compare("layer_norm", kernels.layer_norm_forward, None, [x, None, None], normalized_shape=(20,), eps=1e-5)


def test_the_operations_samples_and_what_is_declined(rng):
    for inputs, params in samples("layer_norm"):
        compare(
            "layer_norm", kernels.layer_norm_forward, kernels.layer_norm_gradient, inputs, rtol=1e-5, **params
        )
    for x in (np.zeros((3, 4)), np.zeros((0, 4), np.float32), np.zeros((4, 3), np.float32).T):
        how = {"normalized_shape": x.shape[1:], "eps": 1e-5, "declines": True}
        compare("layer_norm", kernels.layer_norm_forward, kernels.layer_norm_gradient, [x, None, None], **how)
