"""Colours, pixel by pixel against the standard library and hand-written loops."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from minigrad.data import ColorJitter
from minigrad.data.transforms.color import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation
from minigrad.errors import ArgumentError, ShapeError


@pytest.fixture
def batch(rng) -> np.ndarray:
    """Six images, with greys, black, white and pure colours among the pixels."""
    images = rng.random((6, 3, 4, 5), dtype=np.float32)
    special = [
        (0, 0, 0),
        (1, 1, 1),
        (0.4, 0.4, 0.4),
        (1, 0, 0),
        (0, 1, 0),
        (0, 0, 1),
        (1, 1, 0),
        (0.2, 0.7, 0.7),
    ]
    for place, colour in enumerate(special):
        images[0, :, place // 5, place % 5] = colour
    return images


FACTORS = np.array([0, 0.5, 0.9, 1, 1.3, 2], np.float32).reshape(6, 1, 1, 1)


def grey(pixel: np.ndarray) -> float:
    return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]


def by_pixel(batch: np.ndarray, function) -> np.ndarray:
    """function(image index, pixel) for every pixel."""
    out = np.empty_like(batch)
    for i in range(batch.shape[0]):
        for y in range(batch.shape[2]):
            for x in range(batch.shape[3]):
                out[i, :, y, x] = function(i, batch[i, :, y, x])
    return out


def test_brightness_by_loops(batch):
    expected = by_pixel(batch, lambda i, pixel: np.clip(FACTORS.flat[i] * pixel, 0, 1))
    np.testing.assert_allclose(adjust_brightness(batch, FACTORS), expected, atol=1e-6)


def test_contrast_by_loops(batch):
    means = [np.mean([grey(pixel) for pixel in image.reshape(3, -1).T]) for image in batch]
    expected = by_pixel(
        batch, lambda i, pixel: np.clip(FACTORS.flat[i] * pixel + (1 - FACTORS.flat[i]) * means[i], 0, 1)
    )
    np.testing.assert_allclose(adjust_contrast(batch, FACTORS), expected, atol=1e-6)


def test_saturation_by_loops(batch):
    expected = by_pixel(
        batch, lambda i, pixel: np.clip(FACTORS.flat[i] * pixel + (1 - FACTORS.flat[i]) * grey(pixel), 0, 1)
    )
    np.testing.assert_allclose(adjust_saturation(batch, FACTORS), expected, atol=1e-6)


def test_hue_is_the_standard_librarys(batch):
    turns = np.array([-0.5, -0.2, 0, 0.01, 0.3, 0.5], np.float32)

    def turned(i: int, pixel: np.ndarray) -> tuple[float, float, float]:
        h, s, v = colorsys.rgb_to_hsv(*pixel.astype(float))
        return colorsys.hsv_to_rgb((h + turns[i]) % 1, s, v)

    out = adjust_hue(batch, turns.reshape(6, 1, 1, 1))
    np.testing.assert_allclose(out, by_pixel(batch, turned), atol=2e-6)
    np.testing.assert_allclose(out[2], batch[2], atol=1e-6)


@pytest.mark.parametrize("adjust", [adjust_brightness, adjust_contrast, adjust_saturation])
def test_a_factor_of_1_changes_nothing(batch, adjust):
    np.testing.assert_allclose(adjust(batch, np.ones((6, 1, 1, 1), np.float32)), batch, atol=1e-6)


def test_factors_fill_their_ranges():
    batch = np.full((3000, 1, 1, 1), 0.5, np.float32)
    out = ColorJitter(brightness=0.4)(batch, np.random.default_rng(0)).ravel() / 0.5
    assert 0.6 <= out.min() < 0.61
    assert 1.39 < out.max() <= 1.4
    out = ColorJitter(brightness=(0.2, 0.3))(batch, np.random.default_rng(0)).ravel() / 0.5
    assert 0.2 <= out.min() < out.max() <= 0.3 + 1e-6
    assert ColorJitter(brightness=5)(batch, np.random.default_rng(0)).min() < 0.01  # from 0, not from -4


def test_the_order_of_the_steps_changes_between_batches(batch):
    jitter = ColorJitter(brightness=(1.8, 1.8), contrast=(0.2, 0.2), saturation=(1.9, 1.9))
    outs = {jitter(batch, np.random.default_rng(seed)).tobytes() for seed in range(40)}
    assert len(outs) == 6


def test_no_change_is_no_change(batch):
    np.testing.assert_array_equal(ColorJitter()(batch, np.random.default_rng(0)), batch)


def test_grey_images_have_no_hue(rng):
    batch = rng.random((4, 1, 3, 3), dtype=np.float32)
    out = ColorJitter(contrast=(0.0, 0.0))(batch, rng)
    np.testing.assert_allclose(
        out, np.broadcast_to(batch.mean((2, 3), keepdims=True), batch.shape), atol=1e-6
    )
    for settings in ({"saturation": 0.1}, {"hue": 0.1}):
        with pytest.raises(ShapeError, match="3 channels only, got 1"):
            ColorJitter(**settings)(batch, rng)


@pytest.mark.parametrize(
    "settings",
    [
        {"brightness": -0.1},
        {"contrast": (1.2, 0.8)},
        {"saturation": (-0.5, 1)},
        {"saturation": (1, 2, 3)},
        {"brightness": np.nan},
        {"brightness": np.inf},
        {"contrast": "much"},
        {"hue": 0.6},
        {"hue": (-0.6, 0)},
        {"hue": -0.1},
    ],
)
def test_impossible_settings_are_refused(settings):
    (name,) = settings
    with pytest.raises(ArgumentError, match=f"{name} must be"):
        ColorJitter(**settings)
