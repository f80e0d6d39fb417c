"""The CPU's branch-free `where` equals NumPy's to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.backend.choice import where

SPECIAL = np.array([0.0, -0.0, 1.5, -2.5, np.inf, -np.inf, np.nan])


@given(
    st.sampled_from(["float32", "float64"]),
    st.sampled_from([(6, 5, 4), (5, 1), (4,), (1,)]),
    st.booleans(),
    st.integers(0, 99),
)
def test_it_equals_numpy_to_the_bit(dtype, mask_shape, against_zero, seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(mask_shape) < 0.5
    a = rng.choice(SPECIAL, (4, 5, 6)).astype(dtype).T  # not contiguous
    b = 0 if against_zero else rng.choice(SPECIAL, (6, 1, 4)).astype(dtype)
    ours, theirs = where(mask, a, b), np.where(mask, a, b)
    assert ours.dtype == theirs.dtype == dtype
    assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize(
    ("condition", "a", "b"),
    [
        (np.array([True, False]), np.array([1, 2]), np.array([3, 4])),
        (np.array([True, False]), np.ones(2, np.float32), np.zeros(2)),
        (np.array([True, False]), np.ones(2, np.float16), 0),
        (np.array([1, 0]), np.ones(2), np.zeros(2)),
        (np.array([True, False]), 1.0, np.zeros(2)),
        (np.array([True, False]), np.ones(2), 2.5),
        (np.array(True), np.ones(2), 0),
        (np.array([True, False]), np.array(1.0), 0),
        (True, np.ones(2), np.zeros(2)),
    ],
)
def test_other_operands_are_left_to_numpy(condition, a, b):
    ours, theirs = where(condition, a, b), np.where(condition, a, b)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)
