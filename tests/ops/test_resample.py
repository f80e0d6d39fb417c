"""Interpolation and pixel shuffling: against the formula, element by element, and against PyTorch to second order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import ops
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from tests.oracle import compare_with_torch


def place(o: int, n: int, m: int, align_corners: bool) -> float:
    """Where element o of m lies among n."""
    if align_corners:
        return o * (n - 1) / (m - 1) if m > 1 else 0.0
    return (o + 0.5) * n / m - 0.5


def loops_line(x: np.ndarray, m: int, mode: str, align_corners: bool) -> np.ndarray:
    """One line in another length."""
    n, y = len(x), []
    for o in range(m):
        if mode == "nearest":
            y.append(x[o * n // m])
        elif mode == "nearest-exact":
            y.append(x[math.floor((o + 0.5) * n / m)])
        elif mode == "linear":
            y.append(np.interp(place(o, n, m, align_corners), range(n), x))
        else:
            at = place(o, n, m, align_corners)
            total = 0.0
            for i in range(math.floor(at) - 1, math.floor(at) + 3):
                d, a = abs(at - i), -0.75
                weight = (
                    (a + 2) * d**3 - (a + 3) * d**2 + 1
                    if d <= 1
                    else a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
                )
                total += weight * x[min(max(i, 0), n - 1)]
            y.append(total)
    return np.array(y)


@given(
    st.tuples(*[st.integers(1, 6)] * 4),
    st.sampled_from(["nearest", "nearest-exact", "bilinear", "bicubic"]),
    st.booleans(),
)
def test_interpolate_is_its_formula(sizes, mode, align_corners):
    H, W, Ho, Wo = sizes
    x = np.random.default_rng(0).standard_normal((2, 1, H, W))
    smooth = mode.startswith("bi")
    y = ops.interpolate(mg.tensor(x), (Ho, Wo), mode=mode, align_corners=align_corners if smooth else None)
    along = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    expected = np.apply_along_axis(loops_line, 2, x, Ho, along, align_corners)
    expected = np.apply_along_axis(loops_line, 3, expected, Wo, along, align_corners)
    np.testing.assert_allclose(y.numpy(), expected, atol=1e-12)


def test_twice_as_large_repeats_each_pixel(rng):
    x = rng.integers(0, 255, (1, 3, 4, 5), dtype=np.uint8)
    y = ops.interpolate(mg.tensor(x), scale_factor=2)
    assert y.dtype == mg.uint8
    assert np.array_equal(y.numpy(), x.repeat(2, axis=2).repeat(2, axis=3))


def test_a_nan_stays_where_it_is():
    x = np.zeros((1, 1, 1, 5))
    x[..., 0] = np.nan
    y = ops.interpolate(mg.tensor(x), (1, 10), mode="bilinear").numpy()
    assert np.isnan(y[0, 0, 0]).tolist() == [True] * 3 + [False] * 7


def test_an_empty_batch_gives_an_empty_result():
    x = mg.zeros(0, 2, 3, 3).requires_grad_()
    y = ops.interpolate(x, scale_factor=2, mode="bilinear")
    assert y.shape == (0, 2, 6, 6)
    assert mg.grad(y.sum(), [x])[0].shape == x.shape


def test_pixel_shuffle_is_its_formula(rng):
    x = rng.standard_normal((2, 12, 3, 4))
    y = ops.pixel_shuffle(mg.tensor(x), 2).numpy()
    for n, c, h, w in np.ndindex(2, 3, 6, 8):
        assert y[n, c, h, w] == x[n, c * 4 + h % 2 * 2 + w % 2, h // 2, w // 2]
    assert np.array_equal(ops.pixel_unshuffle(mg.tensor(y), 2).numpy(), x)


# ---------------------------------------------------------------- against PyTorch


def twice(name: str, *args: Any, **how: Any) -> tuple[Any, Any]:
    import torch

    return (
        lambda x: getattr(ops, name)(x, *args, **how),
        lambda x: getattr(torch.nn.functional, name)(x, *args, **how),
    )


MODES = {
    1: ["nearest", "nearest-exact", "linear", "area"],
    2: ["nearest", "nearest-exact", "bilinear", "bicubic", "area"],
}
MODES[3] = ["nearest", "nearest-exact", "trilinear"]


@st.composite
def resizings(draw) -> tuple[tuple, dict]:
    axes = draw(st.sampled_from([1, 2, 2, 2, 3]))
    lengths = draw(st.tuples(*[st.integers(1, 5)] * axes))
    mode = draw(st.sampled_from(MODES[axes]))
    how: dict[str, Any] = {"mode": mode}
    if mode.endswith(("linear", "cubic")):
        how["align_corners"] = draw(st.sampled_from([None, False, True]))
    if draw(st.booleans()):
        how["size"] = draw(st.tuples(*[st.integers(1, 9)] * axes))
    else:
        factors = st.sampled_from([1, 1.5, 2, 2.3, 3, 0.7])
        factor = draw(st.tuples(*[factors] * axes))
        how["scale_factor"] = tuple(f if math.floor(n * f) else 1.0 for f, n in zip(factor, lengths))
        how["recompute_scale_factor"] = draw(st.sampled_from([None, True]))
    return (draw(st.integers(1, 2)), draw(st.integers(1, 2)), *lengths), how


@pytest.mark.oracle
@settings(max_examples=150)
@given(resizings(), st.sampled_from(["float64", "float64", "float32"]))
def test_interpolate_agrees_with_pytorch(case, dtype):
    shape, how = case
    factors = zip(shape[2:], how.get("scale_factor", ()))
    if how["mode"] == "nearest" and any(f % 1 and math.floor(n * f) == 2 * n for n, f in factors):
        return  # rounded to twice as many: PyTorch's own forward and gradient then take different elements
    compare_with_torch(
        *twice("interpolate", **how), [np.random.default_rng(0).standard_normal(shape)], dtype=dtype
    )


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_nearest_element_is_pytorchs_for_many_sizes(torch, dtype):
    """Where o * step is whole, rounding decides which one it is."""
    for n in (3, 7, 10, 28, 49):
        x = np.arange(float(n)).reshape(1, 1, n)
        for m in range(1, 60):
            compare_with_torch(*twice("interpolate", m), [x], dtype=dtype, order=0)
            compare_with_torch(*twice("interpolate", m, mode="nearest-exact"), [x], dtype=dtype, order=0)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:`nn.functional.upsample")
def test_older_names_and_a_single_number_agree_with_pytorch(torch, rng):
    x = rng.standard_normal((2, 3, 4, 5))
    compare_with_torch(*twice("upsample", 7), [x])
    compare_with_torch(*twice("upsample_nearest", scale_factor=3), [x])
    compare_with_torch(*twice("upsample_bilinear", size=(3, 9)), [x])
    compare_with_torch(*twice("interpolate", scale_factor=2.0, mode="bilinear"), [x])
    compare_with_torch(*twice("interpolate", 6, mode="area"), [x])


@pytest.mark.oracle
@pytest.mark.parametrize("shape", [(2, 12, 3, 4), (18, 2, 6), (2, 3, 4, 6, 6)])
def test_pixel_shuffling_agrees_with_pytorch(torch, rng, shape):
    x = rng.standard_normal(shape)
    r = 3 if shape[-3] % 9 == 0 else 2
    compare_with_torch(*twice("pixel_shuffle", r), [x])
    compare_with_torch(*twice("pixel_unshuffle", 2), [x]) if shape[-2] % 2 == 0 else None


X = mg.ones(1, 2, 4, 4)


@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda: ops.interpolate(X), ArgumentError, r"give size or scale_factor, one of them"),
        (lambda: ops.interpolate(X, 2, 2), ArgumentError, r"give size or scale_factor, one of them"),
        (
            lambda: ops.interpolate(X, 2, mode="linear"),
            ArgumentError,
            r"'linear' does not exist for x \[1, 2, 4, 4\].*bilinear",
        ),
        (lambda: ops.interpolate(X, 2, align_corners=True), ArgumentError, r"no meaning for mode 'nearest'"),
        (
            lambda: ops.interpolate(X, 2, mode="bilinear", antialias=True),
            ArgumentError,
            r"antialias=True is not available",
        ),
        (lambda: ops.interpolate(X, (2, 2, 2)), ArgumentError, r"size must be an int or 2 of them"),
        (
            lambda: ops.interpolate(X, scale_factor=0.1),
            ShapeError,
            r"leaves nothing of the spatial size \(4, 4\)",
        ),
        (
            lambda: ops.interpolate(X, scale_factor=-1),
            ArgumentError,
            r"scale_factor must be a number above 0",
        ),
        (lambda: ops.interpolate(X, 2, recompute_scale_factor=True), ArgumentError, r"needs a scale_factor"),
        (lambda: ops.interpolate(mg.ones(4, 4), 2), ShapeError, r"x must be \(N, C, L\).*\[4, 4\]"),
        (lambda: ops.interpolate(X.long(), 2, mode="bilinear"), DtypeError, r"needs floating-point numbers"),
        (lambda: ops.interpolate(X.bool(), 2), DtypeError, r"needs numbers"),
        (
            lambda: ops.pixel_shuffle(X, 2),
            ShapeError,
            r"upscale_factor 2 needs.*4 divides; x is \[1, 2, 4, 4\]",
        ),
        (lambda: ops.pixel_unshuffle(X, 3), ShapeError, r"downscale_factor 3 must divide both sides"),
        (lambda: ops.pixel_shuffle(mg.ones(4, 4), 2), ShapeError, r"x \(\.\.\., C, H, W\)"),
    ],
)
def test_what_does_not_fit_is_said(call, error, said):
    with pytest.raises(error, match=said):
        call()
