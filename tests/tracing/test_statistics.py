from __future__ import annotations

import copy
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigrad as mg
from minigrad.errors import ArgumentError
from minigrad.tracing.sampling import positions
from minigrad.tracing.statistics import FIELDS, QUANTILES, Statistics

# ---------------------------------------------------------------- positions


@given(st.integers(0, 20_000), st.integers(0, 500), st.integers(0, 3))
def test_positions_are_sorted_unique_and_as_many_as_wanted(size, wanted, seed):
    p = positions(size, wanted, seed)
    assert p.dtype == np.int64
    assert p.size == min(size, wanted)
    assert (np.diff(p) > 0).all()
    assert not p.size or (p[0] >= 0 and p[-1] < size)
    assert not p.flags.writeable
    np.testing.assert_array_equal(p, positions.__wrapped__(size, wanted, seed))


def test_positions_cover_the_array_evenly():
    counts = sum(np.bincount(positions(10, 3, seed), minlength=10) for seed in range(3000))
    assert np.abs(counts / 3000 - 0.3).max() < 0.07  # of 3 or 4 elements, one
    assert not np.array_equal(positions(10_000, 100, 0), positions(10_000, 100, 1))
    assert positions(10**9).size == 4096


def test_negative_sizes_are_refused():
    with pytest.raises(ArgumentError, match="at least 0"):
        positions(-1)


# ---------------------------------------------------------------- statistics


def test_numbers_of_tensors_and_arrays(rng):
    x = rng.standard_normal((8, 3, 20, 20), dtype=np.float32)
    x[0, 0, 0, :3] = np.nan, np.inf, 0
    s = Statistics.of(mg.tensor(x))
    v = x[np.isfinite(x)].astype(np.float64)
    assert (s.count, s.nans, s.infs, s.zeros, s.finite) == (x.size, 1, 1, 1, x.size - 2)
    assert (s.minimum, s.maximum) == (v.min(), v.max())
    np.testing.assert_allclose([s.std, s.norm], [v.std(), np.sqrt((v * v).sum())], rtol=1e-6)
    np.testing.assert_allclose(s.mean, v.mean(), atol=1e-6 * v.std())
    assert s.sample.size == 4096
    assert s.sample.dtype == np.float32
    assert Statistics.of(x) == s
    assert Statistics.of(x[1:]) != s
    assert type(s.count) is int
    assert type(s.mean) is float


def test_scipy_agrees_on_skewness_and_kurtosis(rng):
    stats = pytest.importorskip("scipy.stats")
    x = rng.gamma(2.0, size=50_000).astype(np.float32)
    s = Statistics.of(x)
    np.testing.assert_allclose(s.skewness, stats.skew(x.astype(float)), rtol=1e-5)
    np.testing.assert_allclose(s.kurtosis, stats.kurtosis(x.astype(float), fisher=False), rtol=1e-5)


def test_a_small_array_is_its_own_sample(rng):
    x = rng.standard_normal((30, 40))
    s = Statistics.of(x)
    np.testing.assert_array_equal(s.sample, x.ravel())
    np.testing.assert_allclose(s.quantiles([0, 0.3, 1]), np.quantile(x, [0, 0.3, 1]))
    counts, edges = s.histogram(10)
    expected, expected_edges = np.histogram(x, 10)
    np.testing.assert_allclose(edges, expected_edges)
    np.testing.assert_array_equal(counts, expected)


def test_a_large_array_is_estimated(rng):
    x = rng.standard_normal(200_000, dtype=np.float32)
    s = Statistics.of(x)
    assert abs(s.quantiles(0.5)) < 0.06
    counts, edges = s.histogram()
    assert (edges[0], edges[-1]) == (s.minimum, s.maximum)
    assert counts.sum() == pytest.approx(200_000)
    inside = counts[(edges[:-1] > -1) & (edges[1:] < 1)].sum()
    assert inside == pytest.approx(((x > -1) & (x < 1)).sum(), rel=0.1)
    few, _ = s.histogram(range=(0.0, 10.0))
    assert few.sum() == pytest.approx(100_000, rel=0.05)


@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64]), st.integers(0, 40), elements={"allow_subnormal": True}
    )
)
def test_histograms_count_each_finite_element_once(x):
    s = Statistics.of(x)
    counts, edges = s.histogram(7)
    assert (np.diff(edges) > 0).all()
    assert counts.sum() == pytest.approx(np.isfinite(x).sum())
    q = s.quantiles(QUANTILES)
    assert np.isnan(q).all() if not s.finite else (q >= s.minimum).all() and (q <= s.maximum).all()


@pytest.mark.parametrize(
    "x", [[], [math.nan], [1.0, 1.0], [math.inf, 2.0, 3.0], [True, False], [1e308, -1e308]]
)
def test_as_dict_is_json(x):
    s = Statistics.of(np.array(x))
    d = json.loads(json.dumps(s.as_dict(bins=8), allow_nan=False))
    assert list(d) == [*FIELDS, "quantiles", "histogram"]
    for name in FIELDS:
        value = getattr(s, name)
        assert d[name] == (value if math.isfinite(value) else None)
    assert list(d["quantiles"]) == ["0.01", "0.25", "0.5", "0.75", "0.99"]
    assert len(d["histogram"]["counts"]) == 8
    assert len(d["histogram"]["edges"]) == 9


def test_they_do_not_change_and_can_be_kept():
    s = Statistics.of([1.0, 2.0])
    with pytest.raises(AttributeError):
        s.mean = 3
    with pytest.raises(AttributeError):
        s.sample = 3
    with pytest.raises(AttributeError):
        del s.sample
    with pytest.raises(ValueError, match="read-only"):
        s.numbers[0] = 3
    assert copy.deepcopy(s) == s == pickle.loads(pickle.dumps(s))  # noqa: S301
    assert repr(s).startswith("Statistics(count=2, nans=0")


def test_bad_arguments_are_refused():
    s = Statistics.of([1.0, 2.0])
    for q in (-0.1, 1.1, math.nan, [0.5, 2]):
        with pytest.raises(ArgumentError, match=r"q must lie in \[0, 1\]"):
            s.quantiles(q)
    for bins in (0, 1.5, "8"):
        with pytest.raises(ArgumentError, match="bins must be an int"):
            s.histogram(bins)
    for range in ((1, 0), (0, math.inf), (math.nan, 1)):
        with pytest.raises(ArgumentError, match="range must be"):
            s.histogram(range=range)
    for numbers in ([1, 2], [math.nan] * 11):
        with pytest.raises(ArgumentError, match="needs the 11 numbers"):
            Statistics(numbers)
