"""Crops, flips and changes of size, against loops, NumPy and PyTorch."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from minigrad.data import (
    CenterCrop,
    RandomCrop,
    RandomHorizontalFlip,
    RandomShift,
    RandomVerticalFlip,
    Resize,
)
from minigrad.errors import ArgumentError, DtypeError, ShapeError


def numbered(*shape: int) -> np.ndarray:
    """Images in which every pixel has a value of its own, none of them 0."""
    return 1 + np.arange(np.prod(shape)).reshape(shape)


@given(
    st.integers(1, 4),
    st.integers(1, 3),
    st.tuples(st.integers(2, 6), st.integers(2, 6)),
    st.tuples(st.integers(1, 8), st.integers(1, 8)),
    st.tuples(*[st.integers(0, 3)] * 4),
    st.sampled_from(["constant", "edge", "symmetric", "reflect"]),
)
def test_a_crop_is_a_window_of_the_padded_image(n, c, size, window, padding, mode):
    batch = numbered(n, c, *size)
    left, top, right, bottom = padding
    crop = RandomCrop(window, padding, fill=-1, padding_mode=mode)
    reach = size if mode == "symmetric" else (size[0] - 1, size[1] - 1)
    too_far = mode in ("symmetric", "reflect") and (
        max(top, bottom) > reach[0] or max(left, right) > reach[1]
    )
    if window[0] > size[0] + top + bottom or window[1] > size[1] + left + right or too_far:
        with pytest.raises(ShapeError, match=r"too small|mirrored"):
            crop(batch, np.random.default_rng(0))
        return
    out = crop(batch, np.random.default_rng(0))
    assert out.shape == (n, c, *window)
    options = {"constant_values": -1} if mode == "constant" else {}
    for before, after in zip(batch, out):
        padded = np.stack(
            [np.pad(plane, ((top, bottom), (left, right)), mode, **options) for plane in before]
        )
        places = [
            (y, x)
            for y in range(padded.shape[1] - window[0] + 1)
            for x in range(padded.shape[2] - window[1] + 1)
            if np.array_equal(padded[:, y : y + window[0], x : x + window[1]], after)
        ]
        assert places


@pytest.mark.parametrize(
    "padding, sides", [(2, (2, 2, 2, 2)), ((2, 1), (2, 1, 2, 1)), ((1, 2, 3, 4), (1, 2, 3, 4))]
)
def test_sides_are_named_as_in_torchvision(padding, sides):
    left, top, right, bottom = sides
    whole = RandomCrop((3 + top + bottom, 4 + left + right), padding)(
        numbered(1, 1, 3, 4), np.random.default_rng(0)
    )
    np.testing.assert_array_equal(
        whole, np.pad(numbered(1, 1, 3, 4), ((0, 0), (0, 0), (top, bottom), (left, right)))
    )


def test_every_place_is_equally_likely():
    # 4 x 3 places, 12,000 images: 1,000 each expected, standard deviation 30.
    batch = np.broadcast_to(numbered(1, 1, 6, 5), (12_000, 1, 6, 5))
    corners = RandomCrop(3)(batch, np.random.default_rng(0))[:, 0, 0, 0]
    values, counts = np.unique(corners, return_counts=True)
    assert values.tolist() == (1 + np.add.outer(5 * np.arange(4), np.arange(3))).ravel().tolist()
    assert abs(counts - 1000).max() < 150


def test_a_shift_is_a_crop_of_the_own_size():
    batch = numbered(9, 2, 5, 4)
    np.testing.assert_array_equal(
        RandomShift(3)(batch, np.random.default_rng(5)),
        RandomCrop((5, 4), 3)(batch, np.random.default_rng(5)),
    )


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"size": 0}, "size"),
        ({"size": (3, 4, 5)}, "size"),
        ({"size": "3"}, "size"),
        ({"size": 3, "padding": -1}, "padding"),
        ({"size": 3, "padding": (1, 2, 3)}, "padding"),
        ({"size": 3, "padding": 1.5}, "padding"),
        (
            {"size": 3, "padding_mode": "mirror"},
            "padding_mode must be one of constant, edge, reflect, symmetric",
        ),
    ],
)
def test_impossible_crops_are_refused(settings, said):
    with pytest.raises(ArgumentError, match=said):
        RandomCrop(**settings)


@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 7), st.integers(1, 7))
def test_the_middle_has_as_much_around_it_on_both_sides(h, w, height, width):
    batch = numbered(2, 1, h, w)
    if height > h or width > w:
        with pytest.raises(ShapeError, match=f"{height} x {width} pixels; images of {h} x {w}"):
            CenterCrop((height, width))(batch, None)
        return
    out = CenterCrop((height, width))(batch, None)
    top, left = np.argwhere(batch[0, 0] == out[0, 0, 0, 0])[0]
    np.testing.assert_array_equal(out, batch[:, :, top : top + height, left : left + width])
    assert 0 <= (h - height - top) - top <= 1
    assert 0 <= (w - width - left) - left <= 1
    assert not np.shares_memory(out, batch)


@pytest.mark.parametrize("flip, axis", [(RandomHorizontalFlip, 3), (RandomVerticalFlip, 2)])
@pytest.mark.parametrize("p", [0, 0.2, 1.0])
def test_flips_mirror_whole_images_as_often_as_asked(flip, axis, p):
    batch = np.broadcast_to(numbered(1, 2, 3, 4), (5000, 2, 3, 4))
    out = flip(p)(batch, np.random.default_rng(0))
    mirrored = (out == np.flip(batch, axis)).all((1, 2, 3))
    assert ((out == batch).all((1, 2, 3)) ^ mirrored).all()
    assert abs(mirrored.mean() - p) < 0.03  # five standard deviations
    assert mirrored.all() or p < 1


@pytest.mark.parametrize("p", [-0.1, 1.1, np.nan, "often", True, None])
@pytest.mark.parametrize("flip", [RandomHorizontalFlip, RandomVerticalFlip])
def test_impossible_probabilities_are_refused(flip, p):
    with pytest.raises(ArgumentError, match="p must be a probability"):
        flip(p)


@pytest.mark.parametrize("old", [(5, 8), (32, 32), (7, 1)])
@pytest.mark.parametrize("new", [(5, 8), (3, 3), (10, 17), (1, 31)])
def test_resizing_is_pytorchs_antialiased_bilinear(torch, rng, old, new):
    batch = rng.random((2, 3, *old), dtype=np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(batch), new, mode="bilinear", align_corners=False, antialias=True
    )
    out = Resize(new)(batch, None)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, expected.numpy(), atol=1e-6)


def test_resizing_is_a_weighted_mean_by_loops(rng):
    line = rng.random(7)
    for new in (3, 7, 11):
        scale = 7 / new
        expected = []
        for i in range(new):
            weights = [max(0.0, 1 - abs((i + 0.5) * scale - (j + 0.5)) / max(scale, 1)) for j in range(7)]
            expected.append(sum(w * value for w, value in zip(weights, line)) / sum(weights))
        out = Resize((1, new))(line.reshape(1, 1, 1, 7), None)
        np.testing.assert_allclose(out[0, 0, 0], expected, rtol=1e-5)


def test_bytes_stay_bytes_and_the_shorter_side_is_meant():
    batch = np.random.default_rng(0).integers(0, 256, (2, 1, 10, 21), np.uint8)
    out = Resize(5)(batch, None)
    assert out.dtype == np.uint8
    assert out.shape == (2, 1, 5, 10)
    assert Resize(5)(batch.transpose(0, 1, 3, 2), None).shape == (2, 1, 10, 5)
    exact = Resize((5, 10))(batch.astype(float), None)
    np.testing.assert_array_equal(out, np.rint(exact))
    with pytest.raises(DtypeError, match="int64"):
        Resize(5)(batch.astype(int), None)
    with pytest.raises(ArgumentError, match="size"):
        Resize(0)
