"""Histograms of many samples at once are those of each."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minigrad.backend import get_backend
from minigrad.record.step_tables import BINS, histograms_of
from minigrad.tracing.statistics import Statistics

_VALUES = st.floats(-1e6, 1e6, width=32) | st.sampled_from([np.nan, np.inf, -np.inf, 0.0])


@given(st.lists(st.lists(_VALUES, min_size=1, max_size=30), min_size=1, max_size=5))
def test_rows_are_those_of_each_sample(lists):
    samples = [np.array(values, np.float32) for values in lists]
    numbers = np.stack([Statistics.of(sample).numbers for sample in samples])
    rows = histograms_of(numbers, samples)
    assert rows.shape == (len(samples), 2 + BINS)
    for row, own, sample in zip(rows, numbers, samples, strict=True):
        finite = sample[np.isfinite(sample)].astype(np.float64)
        assert row[2:].sum() == len(finite)
        counts, edges = Statistics(own, sample).histogram(BINS)
        if len(finite) and edges[-1] - edges[0] > 1e-3 * np.abs(finite).max():
            assert row[0] == edges[0]
            assert row[1] == edges[-1]
            # A value on an edge may fall to either side of it
            assert np.abs(np.cumsum(row[2:]) - np.cumsum(counts)).max() <= len(finite) / 4 + 1


def test_counts_are_scaled_to_all_elements(rng):
    array = rng.standard_normal(100_000).astype(np.float32)
    whole = Statistics.of(array)
    (row,) = histograms_of(whole.numbers[None], [whole.sample])
    np.testing.assert_allclose(row[2:].sum(), 100_000)
    counts, edges = np.histogram(array, BINS, (row[0], row[1]))
    assert np.abs(row[2:] - counts).max() < 0.02 * len(array)
    assert get_backend("cpu").name == "cpu"
    assert edges[0] == row[0] == whole.minimum


def test_what_is_constant_or_not_finite_has_a_range_too():
    samples = [np.full(5, 3.0), np.full(4, np.nan), np.zeros(0)]
    numbers = np.stack([Statistics.of(s).numbers for s in samples])
    rows = histograms_of(numbers, samples)
    assert list(rows[0, :2]) == [2.5, 3.5]
    assert rows[0, 2:].sum() == 5
    assert list(rows[1, :2]) == [0, 1]
    assert not rows[1:, 2:].any()
