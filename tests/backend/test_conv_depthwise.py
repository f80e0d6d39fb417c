"""Depthwise convolution beyond what test_convolution.py holds all kernels to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.backend.native import conv_depthwise


def by_hand(x, w, stride, padding, dilation):
    """The definition: which result sees which place of the image through which element of the window."""
    (N, H, W), (Kh, Kw) = x.shape[:3], w.shape[2:]
    Ho = (H + 2 * padding[0] - dilation[0] * (Kh - 1) - 1) // stride[0] + 1
    Wo = (W + 2 * padding[1] - dilation[1] * (Kw - 1) - 1) // stride[1] + 1
    for n, h, v, i, j in np.ndindex(N, Ho, Wo, Kh, Kw):
        a, b = h * stride[0] - padding[0] + i * dilation[0], v * stride[1] - padding[1] + j * dilation[1]
        if 0 <= a < H and 0 <= b < W:
            yield (n, h, v), (n, a, b), (i, j)


def whole_numbers(rng, *shape):
    return rng.integers(-4, 5, shape).astype(np.float32)  # their sums are exact, in any order


PAIRS = {
    "size": st.tuples(st.integers(1, 9), st.integers(1, 12)),
    "kernel": st.tuples(st.integers(1, 4), st.integers(1, 4)),
    "stride": st.tuples(st.integers(1, 4), st.integers(1, 4)),
    "padding": st.tuples(st.integers(0, 4), st.integers(0, 4)),
    "dilation": st.tuples(st.integers(1, 6), st.integers(1, 6)),
}


@given(C=st.sampled_from([1, 7, 16, 19, 33]), **PAIRS)
def test_all_three_are_exact_on_whole_numbers(C, size, kernel, stride, padding, dilation):
    counts = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    ]
    if min(counts) < 1:
        return
    rng = np.random.default_rng(0)
    x, g = whole_numbers(rng, 2, *size, C), whole_numbers(rng, 2, *counts, C)
    w = whole_numbers(rng, C, 1, *kernel)
    y, gx, gw = np.zeros_like(g), np.zeros_like(x), np.zeros_like(w)
    for result, image, (i, j) in by_hand(x, w, stride, padding, dilation):
        y[result] += x[image] * w[:, 0, i, j]
        gx[image] += g[result] * w[:, 0, i, j]
        gw[:, 0, i, j] += g[result] * x[image]
    got = [np.full_like(a, np.nan) for a in (y, gx, gw)]
    windows = stride, padding, dilation
    conv_depthwise.convolve(x, w, got[0], *windows)
    conv_depthwise.input_gradient(g, w, got[1], *windows)
    conv_depthwise.weight_gradient(x, g, got[2], *windows)
    np.testing.assert_array_equal(got[0], y)
    np.testing.assert_array_equal(got[1], gx)
    np.testing.assert_array_equal(got[2], gw)


def test_many_numbers_add_up_accurately():
    """The gradient by the weight: 100,352 products of positive numbers for each weight."""
    rng = np.random.default_rng(0)
    x, g = (rng.uniform(0.5, 1.5, (8, 112, 112, 16)).astype(np.float32) for _ in range(2))
    gw = np.empty((16, 1, 1, 1), np.float32)
    conv_depthwise.weight_gradient(x, g, gw, (1, 1), (0, 0), (1, 1))
    expected = np.einsum("nhwc,nhwc->c", x, g, dtype=np.float64)
    np.testing.assert_allclose(gw.reshape(-1), expected, rtol=3e-6)


def test_what_is_not_a_number_goes_where_it_is_seen():
    x, w = np.ones((1, 5, 9, 16), np.float32), np.ones((16, 1, 3, 3), np.float32)
    x[0, 2, 4, 3], x[0, 0, 0, 5] = np.nan, np.inf
    y = np.empty_like(x)
    conv_depthwise.convolve(x, w, y, (1, 1), (1, 1), (1, 1))
    expected = np.zeros((5, 9), bool)
    expected[1:4, 3:6] = True
    np.testing.assert_array_equal(np.isnan(y[0, :, :, 3]), expected)
    np.testing.assert_array_equal(np.argwhere(np.isinf(y[0, :, :, 5])), [[0, 0], [0, 1], [1, 0], [1, 1]])
    assert np.isfinite(np.delete(y, [3, 5], axis=3)).all()


def test_inputs_are_not_changed():
    rng = np.random.default_rng(1)
    x, g, w = (
        rng.standard_normal(s).astype(np.float32) for s in ((2, 9, 8, 20), (2, 5, 8, 20), (20, 1, 3, 3))
    )
    before = [a.copy() for a in (x, g, w)]
    how = (2, 1), (1, 1), (1, 1)
    conv_depthwise.convolve(x, w, np.empty_like(g), *how)
    conv_depthwise.input_gradient(g, w, np.empty_like(x), *how)
    conv_depthwise.weight_gradient(x, g, np.empty_like(w), *how)
    for a, b in zip((x, g, w), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "C, O, groups, suits", [(32, 32, 32, True), (3, 3, 3, True), (32, 64, 32, False), (8, 8, 4, False)]
)
def test_it_suits_one_result_to_a_channel(C, O, groups, suits):
    assert conv_depthwise.suits(C, O, groups) is suits


def test_oracle(torch):
    """A block of MobileNet, against PyTorch."""
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((2, 28, 28, 96)), rng.standard_normal((96, 1, 5, 5))
    tx = torch.tensor(x).permute(0, 3, 1, 2).requires_grad_()
    tw = torch.tensor(w).requires_grad_()
    ty = torch.nn.functional.conv2d(tx, tw, None, 2, 2, 1, 96)
    tg = torch.randn(ty.shape, dtype=ty.dtype, generator=torch.Generator().manual_seed(0))
    ty.backward(tg)
    x, w, g = (np.ascontiguousarray(a, np.float32) for a in (x, w, tg.permute(0, 2, 3, 1).numpy()))
    y, gx, gw = np.empty_like(g), np.empty_like(x), np.empty_like(w)
    how = (2, 2), (2, 2), (1, 1)
    conv_depthwise.convolve(x, w, y, *how)
    conv_depthwise.input_gradient(g, w, gx, *how)
    conv_depthwise.weight_gradient(x, g, gw, *how)
    for got, expected in (
        (y, ty.detach().permute(0, 2, 3, 1)),
        (gx, tx.grad.permute(0, 2, 3, 1)),
        (gw, tw.grad),
    ):
        expected = expected.numpy()
        assert np.abs(got - expected).max() < 3e-6 * np.abs(expected).max()
