"""Erased rectangles and mixed samples, against loops."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import minigrad as mg
from minigrad import ops
from minigrad.data import CutMix, Cutout, MixUp, RandomErasing
from minigrad.data.transforms.mix import as_probabilities
from minigrad.errors import ArgumentError, DataError, DtypeError, ShapeError


@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7), st.integers(1, 9))
def test_cutout_takes_a_square_around_a_pixel(n, c, h, w, size):
    batch = np.full((n, c, h, w), 7, np.uint8)
    out = Cutout(size, fill=3)(batch, np.random.default_rng(1))
    masks = set()
    for y in range(h):
        for x in range(w):
            mask = np.full((h, w), 7)
            for i in range(size):
                for j in range(size):
                    if 0 <= y - size // 2 + i < h and 0 <= x - size // 2 + j < w:
                        mask[y - size // 2 + i, x - size // 2 + j] = 3
            masks.add(mask.tobytes())
    for image in out:
        assert image[0].astype(int).tobytes() in masks
        assert (image == image[0]).all()


def test_cutout_reaches_every_pixel_equally_often_where_it_is_one_pixel():
    out = Cutout(1)(np.ones((9000, 1, 3, 3), np.uint8), np.random.default_rng(0))
    assert abs((out == 0).sum((0, 1)) - 1000).max() < 150  # standard deviation 30


@pytest.mark.parametrize("size", [0, -1, 2.0, None])
def test_impossible_squares_are_refused(size):
    with pytest.raises(ArgumentError, match="size"):
        Cutout(size)


def box(mask: np.ndarray) -> tuple[int, int]:
    """Height and width of the rectangle that a mask is; (0, 0) for an empty one."""
    if not mask.any():
        return 0, 0
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    assert mask.sum() == height * width
    return height, width


def test_erased_rectangles_have_the_area_the_ratio_and_the_share_asked_for():
    batch = np.ones((4000, 2, 40, 30), np.float32)
    out = RandomErasing(0.6, scale=(0.05, 0.2), ratio=(0.5, 2.0), value=(5, 6))(
        batch, np.random.default_rng(0)
    )
    np.testing.assert_array_equal(out[:, 0] == 5, out[:, 1] == 6)
    sizes = np.array([box(image[0] == 5) for image in out])
    erased = sizes[sizes[:, 0] > 0]
    assert abs(len(erased) / 4000 - 0.6) < 0.04  # five standard deviations
    area, ratio = erased.prod(axis=1) / 1200, erased[:, 0] / erased[:, 1]
    assert 0.04 < area.min() < 0.055
    assert 0.19 < area.max() < 0.21
    assert 0.45 < ratio.min() < 0.56
    assert 1.8 < ratio.max() < 2.2
    assert abs(np.log(ratio).mean()) < 0.05  # as often tall as wide


def test_rectangles_lie_anywhere():
    out = RandomErasing(1, scale=(0.1, 0.1), ratio=(1, 1))(
        np.ones((3000, 1, 10, 10)), np.random.default_rng(0)
    )
    corners = np.array([np.argwhere(image[0] == 0)[0] for image in out])
    side = round(np.sqrt(10))
    counts = np.zeros((11 - side, 11 - side))
    np.add.at(counts, tuple(corners.T), 1)
    expected = 3000 / counts.size
    assert abs(counts - expected).max() < 6 * np.sqrt(expected)


def test_what_does_not_fit_stays_whole():
    batch = np.ones((50, 1, 4, 4))
    np.testing.assert_array_equal(RandomErasing(1, scale=(1, 1))(batch, np.random.default_rng(0)), batch)


def test_values_must_be_as_many_as_channels():
    with pytest.raises(ShapeError, match="2 values for 3 channels"):
        RandomErasing(value=(0, 1))(np.ones((1, 3, 4, 4)), np.random.default_rng(0))


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"p": 2}, "p must"),
        ({"scale": (0.3, 0.1)}, "scale"),
        ({"scale": (0, 1.5)}, "scale"),
        ({"scale": 0.3}, "scale"),
        ({"ratio": (0, 1)}, "ratio"),
        ({"ratio": (1, np.inf)}, "ratio"),
    ],
)
def test_impossible_erasures_are_refused(settings, said):
    with pytest.raises(ArgumentError, match=said):
        RandomErasing(**settings)


@pytest.mark.parametrize("shape", [(30, 2), (30, 3, 4, 5)])
@pytest.mark.parametrize("soft", [False, True])
def test_mixup_blends_pairs_and_targets_alike(rng, shape, soft):
    inputs, labels = rng.random(shape, dtype=np.float32), np.arange(30) % 10
    targets = np.eye(10)[labels] if soft else labels
    mixed, probabilities = MixUp(1.0, None if soft else 10)(inputs, targets, np.random.default_rng(3))
    one_hot = np.eye(10)[labels]
    for i in range(30):
        found = []
        for j in range(30):
            direction = inputs[j] - inputs[i]
            if i == j:
                continue
            share = ((mixed[i] - inputs[i]) * direction).sum() / (direction**2).sum()  # of the partner
            if np.allclose(mixed[i], inputs[i] + share * direction, atol=1e-5):
                found.append((j, share))
        fits = [
            np.allclose(probabilities[i], (1 - part) * one_hot[i] + part * one_hot[j], atol=1e-4)
            for j, part in found
        ]
        assert any(fits) or np.allclose(mixed[i], inputs[i], atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    assert mixed.dtype == probabilities.dtype == np.float32


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_shares_follow_the_beta_distribution(alpha):
    inputs = np.arange(20_000, dtype=np.float32)[:, None]
    _, probabilities = MixUp(alpha, 2)(inputs, np.arange(20_000) % 2, np.random.default_rng(0))
    mixed = probabilities[(probabilities[:, 0] > 0) & (probabilities[:, 1] > 0)]
    own = np.where(mixed[:, 0] > 0.5, mixed[:, 0], mixed[:, 1])  # the larger share: symmetric in the two
    expected = np.random.default_rng(9).beta(alpha, alpha, 100_000)
    for q in (0.1, 0.5, 0.9):
        assert abs(np.quantile(own, q) - np.quantile(np.maximum(expected, 1 - expected), q)) < 0.02


def test_cutmix_replaces_a_rectangle_and_its_share_of_the_target(rng):
    n = 40
    inputs = np.repeat(np.arange(n, dtype=np.uint8), 2 * 6 * 8).reshape(n, 2, 6, 8)
    out, probabilities = CutMix(1.0, n)(inputs, np.arange(n), np.random.default_rng(2))
    assert out.dtype == np.uint8
    areas = []
    for i in range(n):
        foreign = out[i, 0] != i
        np.testing.assert_array_equal(out[i, 0], out[i, 1])
        box(foreign)
        others = np.unique(out[i, 0][foreign])
        assert len(others) <= 1
        for j in {i, *others.tolist()}:
            assert probabilities[i, j] == pytest.approx((out[i, 0] == j).mean(), abs=1e-6)
        areas.append(foreign.mean())
    assert (
        0.1 < np.mean(areas) < 0.5
    )  # half the area is asked for; what is cut off at the edges is not replaced
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)


def test_cutmix_replaces_as_much_as_the_beta_distribution_says():
    # alpha 1: the area asked for is uniform in [0, 1]. A side s = sqrt(area) around a uniform centre has s - s^2 / 4
    # within the image on average, so the mean area left is E[(s - s^2 / 4)^2] = 1/2 - 1/5 + 1/48.
    inputs = np.repeat(np.arange(3000), 40 * 40).reshape(3000, 1, 40, 40)
    out, _ = CutMix(1.0, 1)(inputs, np.zeros(3000, int), np.random.default_rng(0))
    assert (out != inputs).mean() == pytest.approx(1 / 2 - 1 / 5 + 1 / 48, abs=0.02)


@pytest.mark.parametrize("mix", [MixUp(0.5, 3), CutMix(0.5, 3)], ids=repr)
def test_mixing_is_repeatable_and_leaves_its_arguments(rng, mix):
    inputs, targets = rng.random((8, 1, 5, 5), dtype=np.float32), rng.integers(0, 3, 8)
    before = inputs.copy(), targets.copy()
    one, two = (mix(inputs, targets, np.random.default_rng(4)) for _ in range(2))
    for a, b in zip(one, two):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(inputs, before[0])
    np.testing.assert_array_equal(targets, before[1])
    assert not np.array_equal(one[0], mix(inputs, targets, np.random.default_rng(5))[0])
    empty = mix(inputs[:0], targets[:0], np.random.default_rng(0))
    assert (empty[0].shape, empty[1].shape) == ((0, 1, 5, 5), (0, 3))


def test_cross_entropy_takes_what_mixing_gives(rng):
    inputs, targets = MixUp(1.0, 4)(rng.random((5, 4), dtype=np.float32), np.arange(5) % 4, rng)
    loss = ops.cross_entropy(mg.tensor(inputs), mg.tensor(targets))
    logp = inputs - np.log(np.exp(inputs).sum(1, keepdims=True))
    assert loss.item() == pytest.approx(-(targets * logp).sum(1).mean(), rel=1e-5)


def test_labels_become_one_hot_rows():
    np.testing.assert_array_equal(as_probabilities(np.array([2, 0]), 3), [[0, 0, 1], [1, 0, 0]])
    for targets, num_classes in (
        (np.array([1.0]), 3),
        (np.array([[1, 0]]), 2),
        (np.array([1]), None),
        (np.array([[0.5, 0.5]]), 3),
    ):
        with pytest.raises(ShapeError, match=r"integer labels \(N,\)"):
            as_probabilities(targets, num_classes)
    with pytest.raises(DataError, match=r"\[0, 3\), found values from 0 to 3"):
        as_probabilities(np.array([0, 3]), 3)


@pytest.mark.parametrize("kind", [MixUp, CutMix])
def test_impossible_mixtures_are_refused(kind):
    for alpha in (0, -1, np.inf, np.nan, "a"):
        with pytest.raises(ArgumentError, match="alpha"):
            kind(alpha)
    for num_classes in (0, 2.5, True):
        with pytest.raises(ArgumentError, match="num_classes"):
            kind(1.0, num_classes)
    bytes_ = np.zeros((2, 1, 2, 2), np.uint8)
    with pytest.raises(DtypeError, match="ToFloat"):
        MixUp(1.0, 2)(bytes_, np.zeros(2, int), np.random.default_rng(0))
    with pytest.raises(ShapeError, match="CutMix takes a batch of images"):
        CutMix(1.0, 2)(bytes_[0], np.zeros(1, int), np.random.default_rng(0))
