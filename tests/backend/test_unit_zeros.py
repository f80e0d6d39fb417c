"""Counting zeros of each unit: the kernel beside the plain definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.backend import get_backend
from minigrad.backend.base import Backend
from minigrad.backend.native.unit_zeros import zeros_by_unit


def plain(y, unit_dim):
    return Backend.zeros_by_unit(get_backend("cpu"), y, unit_dim)


def some(rng, *shape):
    x = np.maximum(rng.standard_normal(shape), 0).astype(np.float32)
    x.flat[:: max(x.size // 7, 1)] = np.nan
    x.flat[1 :: max(x.size // 5, 1)] = -0.0
    return x


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 70), st.integers(0, 1000))
def test_the_kernel_counts_as_the_definition_does(n, pixels, units, seed):
    y = some(np.random.default_rng(seed), n, pixels, units).transpose(0, 2, 1)
    np.testing.assert_array_equal(zeros_by_unit(y, 1), plain(y, 1))


def test_large_outputs(rng):
    y = some(rng, 16, 30, 30, 24).transpose(0, 3, 1, 2)  # several blocks
    found = get_backend("cpu").zeros_by_unit(y, 1)
    np.testing.assert_array_equal(found, (y == 0).sum(axis=(0, 2, 3)))
    contiguous = np.ascontiguousarray(y)
    assert zeros_by_unit(contiguous, 1) is None  # the units are not innermost: the definition does it
    np.testing.assert_array_equal(get_backend("cpu").zeros_by_unit(contiguous, 1), found)


@pytest.mark.parametrize("y", [np.zeros((4, 3)), np.zeros((0, 3), np.float32)])
def test_what_it_declines(y):
    assert zeros_by_unit(y, 1) is None
    np.testing.assert_array_equal(get_backend("cpu").zeros_by_unit(y, 1), [len(y)] * 3)
