"""Transforms of batches, against loops and SciPy."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given

from minigrad.data import (
    ColorJitter,
    Compose,
    Cutout,
    Normalize,
    RandomAffine,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomRotation,
    RandomShift,
    RandomVerticalFlip,
    Resize,
    ToFloat,
    load_mnist_part,
)
from minigrad.data.transforms import bilinear_sample
from minigrad.errors import ArgumentError, DtypeError, ShapeError


def images(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.random(shape, dtype=np.float32)


RANDOM = [
    RandomShift(2),
    RandomCrop((7, 9), padding=2),
    RandomCrop((7, 9), padding=(1, 2, 3, 0), padding_mode="reflect"),
    RandomAffine(20, (0.1, 0.2), (0.8, 1.2)),
    RandomRotation(20),
    RandomHorizontalFlip(),
    RandomVerticalFlip(),
    ColorJitter(brightness=0.3, contrast=0.3),
    Cutout(3),
    RandomErasing(0.8),
]
EVERY = [
    *RANDOM,
    ToFloat(),
    Normalize(0.3, 0.5),
    Resize((7, 9)),
    Compose([RandomShift(1), RandomAffine(5), Normalize((0.1, 0.2), (0.3, 0.4))]),
]


@pytest.mark.parametrize("transform", EVERY, ids=repr)
@pytest.mark.parametrize("n", [0, 1, 5])
def test_what_every_transform_promises(rng, transform, n):
    batch = images(rng, n, 2, 7, 9)
    before = batch.copy()
    out = transform(batch, np.random.default_rng(1))
    assert out.shape == batch.shape
    assert out.dtype == np.float32
    assert not np.shares_memory(out, batch)
    np.testing.assert_array_equal(batch, before)
    np.testing.assert_array_equal(out, transform(batch, np.random.default_rng(1)))


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
def test_random_transforms_follow_the_generator_and_differ_between_images(rng, transform):
    batch = np.repeat(images(rng, 1, 1, 7, 9), 40, axis=0)
    out = transform(batch, np.random.default_rng(1))
    assert not np.array_equal(out, transform(batch, np.random.default_rng(2)))
    different = len(np.unique(out.reshape(40, -1), axis=0))
    assert different == 2 if "Flip" in repr(transform) else different > 5
    np.testing.assert_array_equal(out, transform(batch, np.random.default_rng(1)))


def test_bytes_become_floats_in_0_to_1():
    batch = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    out = ToFloat()(batch, None)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, batch / 255, rtol=1e-6)
    assert (out.min(), out.max()) == (0, 1)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats_become_float32(rng, dtype):
    batch = rng.random((2, 1, 3, 3)).astype(dtype)
    np.testing.assert_array_equal(ToFloat()(batch, None), batch.astype(np.float32))


def test_other_integers_are_refused():
    with pytest.raises(DtypeError, match="int64"):
        ToFloat()(np.zeros((1, 1, 2, 2), np.int64), None)


def test_normalised_channels_have_mean_0_and_deviation_1(rng):
    batch = images(rng, 50, 3, 8, 8) * np.array([1, 5, 9], np.float32).reshape(3, 1, 1)
    mean, std = batch.mean((0, 2, 3)), batch.std((0, 2, 3))
    out = Normalize(tuple(mean.tolist()), std.tolist())(batch, None)
    np.testing.assert_allclose(out.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(out.std((0, 2, 3)), 1, atol=1e-5)
    np.testing.assert_allclose(Normalize(0.5, 2)(batch, None), (batch - 0.5) / 2, rtol=1e-6)


def test_features_of_a_table_are_normalised_too(rng):
    table = rng.normal([1, 50], [2, 0.1], (500, 2))
    out = Normalize.fit(table)(table, None)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(out.std(0), 1, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_fitting_measures_each_channel(rng, dtype):
    batch = rng.integers(0, 256, (5000, 3, 2, 2), np.uint8)  # more than are measured at once
    scaled = batch / 255
    fitted = Normalize.fit(batch if dtype == np.uint8 else scaled.astype(dtype))
    np.testing.assert_allclose(fitted.mean, scaled.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(fitted.std, scaled.std((0, 2, 3)), rtol=1e-6)


def test_a_feature_that_never_changes_becomes_zero():
    table = np.array([[1.0, 0.1], [2.0, 0.1], [3.0, 0.1]])
    assert table[:, 1].sum() / 3 != 0.1  # so that rounding gives it a deviation
    np.testing.assert_allclose(Normalize.fit(table)(table, None)[:, 1], 0, atol=1e-6)
    assert Normalize.fit(table).std[1] == 1


def test_fitting_refuses_what_it_cannot_measure(rng):
    for inputs, error in (
        (np.zeros((0, 3)), ShapeError),
        (np.zeros(3), ShapeError),
        (np.zeros((2, 2), int), DtypeError),
        (np.array([[1.0, np.nan]]), ArgumentError),
    ):
        with pytest.raises(error, match=r"Normalize\.fit takes"):
            Normalize.fit(inputs)


def test_known_data_sets_have_their_statistics():
    part = load_mnist_part("train")
    known, measured = Normalize.of("mnist"), Normalize.fit(part.inputs)
    assert abs(known.mean[0] - measured.mean[0]) < 0.002
    assert abs(known.std[0] - measured.std[0]) < 0.002
    assert len(Normalize.of("cifar100").mean) == 3
    with pytest.raises(ArgumentError, match="'svhn', only for mnist, fashion_mnist, cifar10"):
        Normalize.of("svhn")


@pytest.mark.parametrize("mean, std", [(0, 0), (0, -1), (0, [1, 0]), (np.nan, 1), (0, np.inf), ([[1]], 1)])
def test_impossible_statistics_are_refused(mean, std):
    with pytest.raises(ArgumentError, match=r"mean|std"):
        Normalize(mean, std)


def test_batches_that_do_not_fit_are_refused(rng):
    with pytest.raises(ShapeError, match="2 values for 3 channels"):
        Normalize((0, 0), (1, 1))(images(rng, 1, 3, 4, 4), rng)
    for transform in (Normalize(0, 1), RandomAffine(3), RandomRotation(3), ColorJitter(1)):
        with pytest.raises(DtypeError, match=r"uint8.*ToFloat"):
            transform(np.zeros((1, 1, 2, 2), np.uint8), rng)
    for transform in (*RANDOM, Normalize(0, 1), Resize(3)):
        with pytest.raises(ShapeError, match=r"\(N, C, H, W\), got shape \(5, 4, 4\)"):
            transform(images(rng, 5, 4, 4), rng)


def moved(image: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """One (C, H, W) image moved down by dy and right by dx, pixel by pixel."""
    out = np.zeros_like(image)
    _, h, w = image.shape
    for y in range(h):
        for x in range(w):
            if 0 <= y - dy < h and 0 <= x - dx < w:
                out[:, y, x] = image[:, y - dy, x - dx]
    return out


@given(
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(1, 7),
    st.integers(1, 7),
    st.integers(0, 8),
    st.booleans(),
)
def test_a_shift_moves_whole_pixels_and_brings_in_zeros(n, c, h, w, p, as_bytes):
    batch = (
        np.random.default_rng(0).integers(1, 256, (n, c, h, w)).astype(np.uint8 if as_bytes else np.float32)
    )
    out = RandomShift(p)(batch, np.random.default_rng(7))
    assert out.dtype == batch.dtype
    for before, after in zip(batch, out):
        steps = range(-p, p + 1)
        assert any(np.array_equal(after, moved(before, dy, dx)) for dy in steps for dx in steps)


def test_every_shift_is_equally_likely():
    # One bright pixel in the middle; 9 places, 9,000 images: 1,000 each expected, standard deviation 30.
    batch = np.zeros((9000, 1, 5, 5), np.uint8)
    batch[:, 0, 2, 2] = 1
    counts = RandomShift(1)(batch, np.random.default_rng(0)).sum(axis=(0, 1))
    assert counts[1:4, 1:4].sum() == 9000
    assert abs(counts[1:4, 1:4].astype(int) - 1000).max() < 150


@pytest.mark.parametrize("max_pixels", [-1, 1.5, "2", None])
def test_impossible_shifts_are_refused(max_pixels):
    with pytest.raises(ArgumentError, match="max_pixels"):
        RandomShift(max_pixels)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**31))
def test_bilinear_sampling_is_scipys(n, c, h, w, seed):
    rng = np.random.default_rng(seed)
    batch = images(rng, n, c, h, w)
    rows = rng.uniform(-3, h + 2, (n, 4, 5)).astype(np.float32)
    columns = rng.uniform(-3, w + 2, (n, 4, 5)).astype(np.float32)
    rows[:, 0], columns[:, 1] = (
        np.round(rows[:, 0]),
        np.round(columns[:, 1]),
    )  # whole positions, edges among them
    out = bilinear_sample(batch, rows, columns)
    for i in range(n):
        for j in range(c):
            expected = scipy.ndimage.map_coordinates(
                batch[i, j].astype(float), [rows[i], columns[i]], order=1, mode="grid-constant", cval=0.0
            )
            np.testing.assert_allclose(out[i, j], expected, atol=1e-6)


def test_large_batches_are_sampled_like_small_ones(rng):
    batch = images(rng, 70, 2, 20, 20)  # several blocks
    rows, columns = rng.uniform(-1, 20, (2, 70, 20, 20)).astype(np.float32)
    out = bilinear_sample(batch, rows, columns)
    for i in (0, 19, 20, 21, 69):
        np.testing.assert_array_equal(
            out[i], bilinear_sample(batch[i : i + 1], rows[i : i + 1], columns[i : i + 1])[0]
        )


@pytest.mark.parametrize("degrees, turns", [(90, 1), (180, 2), (-90, -1), (270, 3)])
def test_right_angles_are_numpys_turns(rng, degrees, turns):
    batch = images(rng, 3, 2, 6, 6)
    out = RandomAffine((degrees, degrees))(batch, rng)
    np.testing.assert_allclose(out, np.rot90(batch, turns, axes=(2, 3)), atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (2, 3, 5, 8)])
@pytest.mark.parametrize("degrees, scale", [(0, 1.0), (25, 1.0), (-40, 1.3), (10, 0.6)])
def test_angles_and_scales_are_scipys_affine_transform(rng, shape, degrees, scale):
    batch = images(rng, *shape)
    out = RandomAffine((degrees, degrees), scale=(scale, scale))(batch, rng)
    angle = np.radians(degrees)
    # From output to input, in (y, x) with y downwards: turn back and shrink about the centre.
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / scale
    centre = (np.array(shape[2:]) - 1) / 2
    for i in range(shape[0]):
        for j in range(shape[1]):
            expected = scipy.ndimage.affine_transform(
                batch[i, j].astype(float),
                matrix,
                centre - matrix @ centre,
                order=1,
                mode="grid-constant",
                cval=0.0,
            )
            np.testing.assert_allclose(out[i, j], expected, atol=2e-5)


def test_no_motion_changes_nothing(rng):
    batch = images(rng, 4, 2, 7, 10)
    np.testing.assert_allclose(RandomAffine(0)(batch, rng), batch, atol=1e-5)


def test_moves_angles_and_scales_fill_their_ranges():
    # A spot at the centre shows the move, a second one beside it the angle and the scale.
    n, size = 2000, 41
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    spot = np.exp(-(y**2 + x**2) / 4)
    beside = np.exp(-(y**2 + (x - 10) ** 2) / 4)
    batch = np.repeat(np.stack([spot, beside])[None], n, axis=0).astype(np.float32)
    out = RandomAffine(30, (0.1, 0.05), (0.8, 1.25))(batch, np.random.default_rng(0)).astype(float)
    mass = out.sum((2, 3))
    centre = np.stack([(out * y).sum((2, 3)), (out * x).sum((2, 3))]) / mass  # (y or x, n, spot)
    dy, dx = centre[:, :, 0]
    assert -0.05 * size - 0.05 < dy.min() < -0.045 * size
    assert 0.045 * size < dy.max() < 0.05 * size + 0.05
    assert -0.1 * size - 0.05 < dx.min() < -0.09 * size
    assert 0.09 * size < dx.max() < 0.1 * size + 0.05
    up, right = -(centre[0, :, 1] - dy), centre[1, :, 1] - dx
    degrees, scale = np.degrees(np.arctan2(up, right)), np.hypot(up, right) / 10
    assert -30.2 < degrees.min() < -29
    assert 29 < degrees.max() < 30.2
    assert 0.79 < scale.min() < 0.81
    assert 1.24 < scale.max() < 1.26
    for one, other in ((dy, dx), (dx, degrees), (degrees, scale)):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


def test_digits_keep_their_ink():
    batch = ToFloat()(load_mnist_part("test").inputs[:200], None)
    out = RandomAffine(10, (0.05, 0.05))(batch, np.random.default_rng(0))
    np.testing.assert_allclose(out.sum((1, 2, 3)), batch.sum((1, 2, 3)), rtol=0.03)


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"degrees": -5}, "degrees"),
        ({"degrees": (10, -10)}, "degrees"),
        ({"degrees": np.nan}, "degrees"),
        ({"degrees": 5, "translate": (0.1,)}, "translate"),
        ({"degrees": 5, "translate": (0.1, 1.5)}, "translate"),
        ({"degrees": 5, "scale": (0, 1)}, "scale"),
        ({"degrees": 5, "scale": (1.2, 0.8)}, "scale"),
    ],
)
def test_impossible_motions_are_refused(settings, said):
    with pytest.raises(ArgumentError, match=said):
        RandomAffine(**settings)


def test_compose_applies_in_order_and_takes_functions(rng):
    def double(batch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return batch * 2

    batch = np.full((1, 1, 2, 2), 51, np.uint8)
    out = Compose([ToFloat(), double, Normalize(0.1, 0.5)])(batch, rng)
    np.testing.assert_allclose(out, (0.2 * 2 - 0.1) / 0.5, rtol=1e-6)


def test_compose_refuses_what_cannot_be_called():
    with pytest.raises(ArgumentError, match="number 1 is 'shift'"):
        Compose([ToFloat(), "shift"])


def test_the_repr_tells_the_settings():
    transform = Compose([RandomShift(2), RandomAffine(10, (0.1, 0.1))])
    assert repr(transform) == (
        "Compose([RandomShift(max_pixels=2), RandomAffine(degrees=10, translate=(0.1, 0.1), scale=(1.0, 1.0))])"
    )
