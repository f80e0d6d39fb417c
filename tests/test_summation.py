"""Sums and means of the CPU backend: NumPy's results, more accurately, for every layout in memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.backend import summation


@st.composite
def strided_arrays(draw):
    """Arrays whose axes lie in memory in any order, with gaps, reversed or repeated; the axes to sum; keepdims."""
    shape = draw(st.lists(st.sampled_from([0, 1, 1, 3, 17, 130, 300]), min_size=0, max_size=4))
    while np.prod(shape) > 60_000:
        shape[int(np.argmax(shape))] //= 3
    order = draw(st.permutations(range(len(shape))))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    base = rng.uniform(-1, 2, [2 * shape[i] for i in order]).astype(dtype)
    x = base[tuple(slice(None, None, draw(st.sampled_from([2, -2]))) for _ in shape)].transpose(
        np.argsort(order)
    )
    if shape and draw(st.booleans()):
        x = np.broadcast_to(x, (5, *x.shape))
    axis = (
        draw(
            st.none() | st.lists(st.integers(-x.ndim, x.ndim - 1), unique_by=lambda a: a % x.ndim).map(tuple)
        )
        if x.ndim
        else None
    )
    return x, axis, draw(st.booleans())


@given(strided_arrays())
@settings(max_examples=150, deadline=None)
def test_equals_numpy_in_double_precision(case):
    x, axis, keepdims = case
    for ours, numpy in [(summation.sum, np.sum), (summation.mean, np.mean)]:
        if numpy is np.mean and not x.size:
            continue
        y = ours(x, axis, keepdims=keepdims)
        expected = numpy(x.astype(np.float64), axis=axis, keepdims=keepdims)
        size = numpy(np.abs(x).astype(np.float64), axis=axis, keepdims=keepdims)
        assert y.dtype == x.dtype
        assert not np.shares_memory(y, x)
        assert y.shape == expected.shape
        assert np.all(np.abs(y - expected) <= 20 * np.finfo(x.dtype).eps * size)


@pytest.mark.parametrize("n", [5_000, 500_000])
def test_error_does_not_grow_with_the_number_of_terms(rng, n):
    x = rng.random((n, 4), dtype=np.float32)
    exact = x.sum(axis=0, dtype=np.float64)
    for layout in (x, np.asfortranarray(x)):
        assert np.abs(summation.sum(layout, 0) / exact - 1).max() < 1e-6


def test_a_batch_of_channels_last_images(rng):
    x = rng.random((32, 28, 28, 16), dtype=np.float32).transpose(0, 3, 1, 2)
    exact = x.mean(axis=(0, 2, 3), dtype=np.float64)
    assert np.abs(summation.mean(x, (0, 2, 3)) / exact - 1).max() < 1e-6


def test_other_types_are_numpys_own():
    x = np.ones((100, 100), np.bool_)
    assert summation.sum(x, 0).dtype == np.int64
    assert summation.sum(x, dtype=np.float32) == 10_000
    assert summation.mean(x) == 1
    assert summation.sum(np.ones((100, 100), np.float32), dtype=np.float64).dtype == np.float64


def test_an_axis_out_of_range_is_an_error():
    with pytest.raises(ValueError, match="out of bounds"):
        summation.sum(np.ones((100, 100)), 2)
