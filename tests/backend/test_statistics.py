"""Statistics by kernel, by plain definition, and by a naive computation in float64."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigrad.backend import get_backend
from minigrad.backend import statistics as plain
from minigrad.backend.native import statistics as kernels
from minigrad.backend.native.statistics_loops import STEP, STRETCH
from minigrad.backend.native.team import team
from minigrad.backend.statistics import FIELDS, NUMBERS
from minigrad.errors import ArgumentError
from tests.backend.twins import LAYOUTS, laid

BACKEND = get_backend("cpu")
XP = BACKEND.xp
SIZES = [1, 31, 32, 33, 1000, STRETCH - 1, STRETCH, STRETCH + 1, STEP, STEP + 5, 3 * STEP + 77]


def naive(a):
    """Sums by Python's exact `fsum`, over float64 values in units of the largest, so that nothing overflows."""
    x = np.asarray(a).astype(np.float64).ravel()
    v = x[np.isfinite(x)]
    counts = [x.size, np.isnan(x).sum(), np.isinf(x).sum(), (x == 0).sum()]
    if not v.size:
        return np.array(counts + [math.nan] * 7, np.float64)
    unit = np.abs(v).max() or 1.0
    y, n = (v / unit).tolist(), v.size
    mean = math.fsum(y) / n
    m2, m3, m4 = (math.fsum((b - mean) ** k for b in y) / n for k in (2, 3, 4))
    equal = v.min() == v.max()
    shape = [math.nan] * 2 if equal else [m3 / m2**1.5, m4 / m2**2]
    std = 0.0 if equal else math.sqrt(m2)
    norm = math.sqrt(math.fsum(b * b for b in y))
    return np.array(
        [*counts, v.min(), v.max(), mean * unit, std * unit, *shape, norm * unit], np.float64
    )  # fmt: skip


def assert_near(got, expected, tolerance=1e-6):
    """Counts and extremes exactly; mean relative to the std, the rest relative to itself."""
    g, e = (dict(zip(FIELDS, numbers, strict=True)) for numbers in (got, expected))
    for name in FIELDS[:6]:
        np.testing.assert_array_equal(g[name], e[name], err_msg=name)
    for name in FIELDS[6:]:
        assert math.isnan(g[name]) == math.isnan(e[name]), (name, g, e)
    if math.isnan(e["mean"]):
        return
    # The mean itself is a float64: it is rounded even where the deviations are tiny beside it
    assert abs(g["mean"] - e["mean"]) <= tolerance * e["std"] + 1e-14 * abs(e["mean"]), (g, e)
    assert abs(g["std"] - e["std"]) <= tolerance * e["std"], (g, e)
    assert abs(g["norm"] - e["norm"]) <= tolerance * e["norm"], (g, e)
    if not math.isnan(e["kurtosis"]):
        assert abs(g["kurtosis"] - e["kurtosis"]) <= 10 * tolerance * e["kurtosis"], (g, e)
        assert abs(g["skewness"] - e["skewness"]) <= 10 * tolerance * math.sqrt(e["kurtosis"]), (g, e)


def both(x, positions, expected=None, tolerance=1e-6):
    before = x.copy()
    expected = naive(x) if expected is None else expected
    results = kernels.statistics(x, positions), plain.statistics(XP, x, positions)
    for numbers, sample in results:
        assert numbers.shape == (NUMBERS,)
        assert_near(numbers, expected, tolerance)
        np.testing.assert_array_equal(sample, x.ravel(order="K")[positions])
        assert sample.dtype == np.float32
    np.testing.assert_array_equal(x, before)


def some_positions(size, rng, wanted=50):
    return np.sort(rng.choice(size, min(size, wanted), replace=False)).astype(np.int64)


# ---------------------------------------------------------------- accuracy


@pytest.mark.parametrize("size", SIZES)
def test_numbers_and_sample(rng, size):
    x = rng.standard_normal(size, dtype=np.float32)
    x[:: max(size // 7, 2)] = 0
    both(x, some_positions(size, rng))


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1e-12, 1.0, 1e12, 1e30])
def test_any_magnitude(rng, scale):
    x = (rng.standard_normal(2 * STRETCH + 100) ** 3 * scale).astype(np.float32)
    both(x, some_positions(x.size, rng))


@pytest.mark.parametrize("mean, std", [(1e4, 1.0), (-1e4, 1.0), (1.0, 1e-4), (3e7, 1e3), (1e-20, 1e-24)])
def test_small_deviations_from_a_large_mean(rng, mean, std):
    x = (mean + std * rng.standard_normal(5 * STEP + 3)).astype(np.float32)
    both(x, some_positions(x.size, rng))


def test_blocks_of_different_means_and_one_outlier(rng):
    x = rng.standard_normal(3 * STEP, dtype=np.float32)
    x[:STEP] += 100
    x[2 * STEP :] *= 1e-3
    both(x, some_positions(x.size, rng))
    x[5] = 1e10  # beside it, the others' squares lie at the last digit of a float32 sum
    both(x, some_positions(x.size, rng), tolerance=5e-6)


def test_the_largest_numbers(rng):
    """Their sum is infinite in float32, their differences too; they are counted as finite."""
    largest = np.finfo(np.float32).max
    x = rng.choice(np.array([largest, -largest, 0, 1], np.float32), STEP + 9)
    both(x, some_positions(x.size, rng))
    both(np.full(STRETCH + 3, largest), np.arange(5))


def test_nan_and_infinities_are_left_out(rng):
    x = rng.standard_normal(2 * STEP + 40, dtype=np.float32)
    x[[3, STRETCH, STEP + 1, -1]] = np.nan, np.inf, -np.inf, np.nan
    both(x, some_positions(x.size, rng))
    both(np.full(STEP + 1, np.nan, np.float32), np.arange(3))
    x[: STEP // 2] = -np.inf
    both(x, np.arange(9))


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, 0.1, -3e38, 1e-45, 1.1e4])
def test_equal_numbers_have_no_deviation_and_no_shape(value):
    x = np.full(2 * STEP + 17, value, np.float32)
    both(x, np.arange(4))
    numbers = dict(zip(FIELDS, kernels.statistics(x, np.arange(4))[0], strict=True))
    assert numbers["std"] == 0
    assert numbers["mean"] == np.float32(value)
    assert math.isnan(numbers["skewness"])
    assert math.isnan(numbers["kurtosis"])


def test_empty_arrays():
    for found in (kernels.statistics, lambda x, p: plain.statistics(XP, x, p)):
        numbers, sample = found(np.empty((0, 3), np.float32), np.empty(0, np.int64))
        np.testing.assert_array_equal(numbers, [0] * 4 + [np.nan] * 7)
        assert sample.shape == (0,)


values = st.one_of(
    st.floats(width=32),
    st.floats(-10, 10, width=32),
    st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 1e-45, -1e-40, 3.4e38, -3.4e38, 1e4]),
)


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=4, max_side=9), elements=values),
    st.data(),
)
def test_any_shape_strides_and_values(x, data):
    x = x.transpose(data.draw(st.permutations(range(x.ndim))))
    if x.ndim and data.draw(st.booleans()):
        x = x[:: data.draw(st.sampled_from([1, 2, -1, -2]))]
    if x.ndim and data.draw(st.booleans()):
        x = np.broadcast_to(x[:1], x.shape)
    positions = np.unique(
        data.draw(hnp.arrays(np.int64, min(x.size, 5), elements=st.integers(0, max(x.size - 1, 0))))
    )
    both(x, positions)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_sample_is_in_memory_order(rng, layout):
    x = laid(rng.standard_normal((4, 5, 6, 8), dtype=np.float32), layout)
    positions = some_positions(x.size, rng)
    both(x, positions)
    if layout == "channels last":
        flat = x.transpose(0, 2, 3, 1).reshape(-1)
        np.testing.assert_array_equal(BACKEND.statistics(x, positions)[1], flat[positions])


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_dtypes_go_the_plain_way(rng, dtype):
    x = (rng.standard_normal((9, 50)) * 3).astype(dtype)
    numbers, sample = BACKEND.statistics(x, np.arange(0, 450, 9))
    assert_near(numbers, naive(x), 1e-12)
    assert sample.dtype == (np.float32 if np.dtype(dtype).itemsize == 2 else np.float64)
    np.testing.assert_array_equal(sample, x.ravel()[::9].astype(sample.dtype))


def test_float64_does_not_overflow():
    x = np.array([1e308, -1e308, 5e307, 0.0])
    assert_near(plain.statistics(XP, x, np.arange(4))[0], naive(x), 1e-12)


# ---------------------------------------------------------------- change


def parameters(rng, shapes):
    def normal(shape, scale):
        return np.asarray(scale * rng.standard_normal(shape), np.float32)

    weights = [normal(s, 1) for s in shapes]
    gradients = [None if i == 1 else normal(s, 1e-9) for i, s in enumerate(shapes)]
    previous = [np.asarray(w + normal(w.shape, 1e-3)) for w in weights]
    return weights, gradients, previous, [some_positions(w.size, rng) for w in weights]


def check_changes(found, weights, gradients, previous, positions):
    old, kept = [p.copy() for p in previous], [w.copy() for w in weights]
    kept_gradients = [None if g is None else g.copy() for g in gradients]
    numbers, samples = found(weights, gradients, previous, positions)
    assert numbers.shape == (len(weights), 3, NUMBERS)
    for i, (w, g, places) in enumerate(zip(weights, gradients, positions, strict=True)):
        np.testing.assert_array_equal(w, kept[i])
        np.testing.assert_array_equal(previous[i], w)
        assert samples[i].shape == (3, places.size)
        for row, a in enumerate((w, g, w - old[i])):
            if a is None:
                assert np.isnan(numbers[i, row]).all()
                assert np.isnan(samples[i][row]).all()
                continue
            assert_near(numbers[i, row], naive(a))
            order = sorted(range(w.ndim), key=lambda d: -w.strides[d])
            np.testing.assert_array_equal(samples[i][row], a.transpose(order).reshape(-1)[places])
        if g is not None:
            np.testing.assert_array_equal(g, kept_gradients[i])


FINDERS = {
    "kernel": kernels.change_statistics,
    "plain": lambda *arguments: plain.change_statistics(XP, *arguments),
    "backend": BACKEND.change_statistics,
}


@pytest.mark.parametrize("finder", FINDERS)
def test_change_statistics(rng, finder):
    shapes = [(4, 3, 3, 3), (7,), (0, 3), (), (STEP + 3,), (1,), (3, STRETCH)]
    check_changes(FINDERS[finder], *parameters(rng, shapes))


@pytest.mark.parametrize("finder", FINDERS)
def test_change_statistics_of_odd_parameters(rng, finder):
    """Other layouts and dtypes among the rest, a gradient that lies otherwise than its weight, NaN and infinity."""
    weights, gradients, previous, positions = parameters(rng, [(40, 30), (5,), (20, 70), (30, 60), (50, 40)])
    weights[0] = np.asfortranarray(weights[0])
    gradients[2] = np.asfortranarray(gradients[2])
    weights[3], gradients[3], previous[3] = (a[3].astype(np.float64) for a in (weights, gradients, previous))
    weights[4][3:5, 7], gradients[4][1, 1], previous[4][9, 9] = (np.nan, np.inf), np.nan, -np.inf
    check_changes(FINDERS[finder], weights, gradients, previous, positions)


def test_half_precision_changes_are_not_rounded(rng):
    weight, before = (np.array([v, 1.0], np.float16) for v in (1.0, 0.333))
    numbers, samples = BACKEND.change_statistics([weight], [None], [before], [np.arange(2)])
    assert samples[0][2, 0] == np.float32(1) - np.float32(np.float16(0.333))
    assert numbers[0, 2, FIELDS.index("maximum")] == samples[0][2, 0]
    np.testing.assert_array_equal(before, weight)


def test_no_parameters():
    for finder in FINDERS.values():
        numbers, samples = finder([], [], [], [])
        assert numbers.shape == (0, 3, NUMBERS)
        assert samples == []


# ---------------------------------------------------------------- threads, errors, choice


def test_any_number_of_threads_gives_the_same_bits(rng):
    x = rng.standard_normal(9 * STEP + 1, dtype=np.float32)
    given = parameters(rng, [(5 * STEP + 3,), (9,), (70, 700)])
    size, seen = team.size, []
    try:
        for team.size in (1, 2, 3, 3):
            numbers, sample = kernels.statistics(x, np.arange(0, x.size, 100))
            changed, samples = kernels.change_statistics(*given[:2], [p.copy() for p in given[2]], given[3])
            seen.append(b"".join(a.tobytes() for a in (numbers, sample, changed, *samples)))
    finally:
        team.size = size
    assert len(set(seen)) == 1


@pytest.mark.parametrize("finder", [BACKEND.statistics, lambda x, p: plain.statistics(XP, x, p)])
def test_bad_positions_are_refused(finder):
    x = np.ones(1000, np.float32)
    for bad in ([-1, 3], [3, 1000]):
        with pytest.raises(ArgumentError, match=r"must be sorted and lie in \[0, 1000\)"):
            finder(x, np.array(bad))
    with pytest.raises(ArgumentError, match="1-dimensional int64"):
        finder(x, np.array([1.0]))


@pytest.mark.parametrize("finder", FINDERS)
def test_parameters_that_do_not_belong_together_are_refused_before_anything_is_written(finder):
    w, p = (
        [np.ones((100, 50), np.float32) for _ in range(2)],
        [np.zeros((100, 50), np.float32) for _ in range(2)],
    )
    none, places = [None, None], [np.arange(3)] * 2
    with pytest.raises(ArgumentError, match="shape and dtype"):
        FINDERS[finder](w, none, [p[0], p[1].astype(float)], places)
    with pytest.raises(ArgumentError, match="gradient of shape"):
        FINDERS[finder](w, [None, w[0][:3]], p, places)
    with pytest.raises(ArgumentError, match="must be sorted"):
        FINDERS[finder](w, none, p, [places[0], np.array([5000])])
    assert not p[0].any()


@pytest.mark.parametrize("sizes", [(), (0,), (3, 0, 1), (5000, 7, 256)])
def test_many_arrays_at_once_have_the_numbers_of_each(rng, sizes):
    arrays = [rng.standard_normal(size).astype(np.float32) for size in sizes]
    found = get_backend("cpu").statistics_of_all(arrays)
    assert found.shape == (len(sizes), NUMBERS)
    for array, row in zip(arrays, found, strict=True):
        expected, _ = plain.statistics(np, array, np.empty(0, np.int64))
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-6)
    mixed = get_backend("cpu").statistics_of_all([*arrays, np.ones(3)])  # float64: none of them by the kernel
    np.testing.assert_allclose(mixed[:-1], found, rtol=1e-5, atol=1e-6)


def test_the_compiler_is_imported_for_enough_work_only():
    script = """
import sys, numpy as np
from minigrad.backend import get_backend
backend = get_backend("cpu")
def look(size):
    return backend.statistics(np.ones(size, np.float32), np.arange(1))[0][0]
assert look(100) == 100 and "numba" not in sys.modules
assert look(10_000) == 10_000
print("numba" in sys.modules)
"""
    for choice, expected in (("", "True"), ("plain", "False")):
        done = subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, "MINIGRAD_KERNELS": choice},
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.stdout.strip() == expected, done.stderr
