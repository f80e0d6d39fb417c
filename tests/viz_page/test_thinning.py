"""Bins of steps: against loops that anyone can read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.viz.page.heat import Track, on_one_grid
from minigrad.viz.page.thinning import Bins, bin_width, extremes, stride


@given(st.integers(0, 5000), st.integers(0, 100_000), st.integers(1, 700))
def test_the_width_is_the_narrowest_power_of_two_that_fits(first, more, limit):
    def bins(width):
        return len({first // width, *range(first // width, (first + more) // width), (first + more) // width})

    width = bin_width(first, first + more, max(2, limit))
    assert width & (width - 1) == 0
    assert bins(width) <= max(2, limit)
    assert width == 1 or bins(width // 2) > max(2, limit)


def test_stride():
    assert [stride(count, 4) for count in (0, 1, 4, 5, 8, 9)] == [1, 1, 1, 2, 2, 4]


@given(
    st.lists(st.floats(-10, 10) | st.just(float("nan")), min_size=1, max_size=60), st.sampled_from([1, 2, 8])
)
def test_a_short_line_keeps_what_stands_out(values, width):
    steps, array = np.arange(len(values)) * 3, np.array(values)
    kept = extremes(steps, array, width)
    assert list(kept) == sorted(set(kept))
    for number in set(steps // width):
        inside = np.flatnonzero(steps // width == number)
        chosen = [i for i in kept if i in inside]
        assert {inside[0], inside[-1]} <= set(chosen)
        assert len(chosen) <= 4 or width == 1
        if np.isfinite(array[inside]).any():
            assert np.nanmax(array[chosen]) == np.nanmax(array[inside])
            assert np.nanmin(array[chosen]) == np.nanmin(array[inside])


@given(st.lists(st.tuples(st.integers(1, 9), st.floats(-5, 5) | st.just(float("nan"))), min_size=1, max_size=80),
       st.integers(2, 20), st.integers(1, 10))  # fmt: skip
def test_bins_that_grow_hold_the_means(pairs, limit, at_once):
    steps = np.cumsum([gap for gap, _ in pairs])
    values = np.array([[value, 2 * value] for _, value in pairs])
    bins = Bins(limit)
    for first in range(0, len(steps), at_once):
        bins.add(steps[first : first + at_once], values[first : first + at_once])
    means = bins.means()
    assert len(means) <= limit
    for i, row in enumerate(means):
        inside = values[steps // bins.width == bins.first + i, 0]
        finite = inside[np.isfinite(inside)]
        if len(finite):
            np.testing.assert_allclose(row, [finite.mean(), 2 * finite.mean()], atol=1e-12)
        else:
            assert np.isnan(row).all()
    assert set(steps // bins.width) <= {bins.first + i for i in range(len(means))}


def test_tracks_of_different_widths_stand_over_the_same_steps():
    narrow = Track(1, 3, np.array([1.0, 2.0, 4.0, np.nan]))  # steps 3, 4, 5, 6
    wide = Track(2, 0, np.array([10.0, 20.0]))  # steps 0-1, 2-3
    grid, first, width = on_one_grid([narrow, wide])
    assert (first, width) == (0, 2)
    np.testing.assert_array_equal(grid, [[np.nan, 1, 3, np.nan], [10, 20, np.nan, np.nan]])


def test_nothing_added():
    assert Bins(4).means().size == 0
    with pytest.raises(IndexError):
        Bins(4).means()[0]
