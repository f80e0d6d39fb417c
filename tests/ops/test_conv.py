"""Convolution and transposed convolution: against loops over their formulas, and against PyTorch to second order."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import ops
from tests.oracle import compare_with_torch


def loops_conv2d(x, w, b, stride, padding, dilation, groups) -> np.ndarray:
    """The formula, element by element."""
    N, _, H, W = x.shape
    O, Cg, Kh, Kw = w.shape
    Ho = (H + 2 * padding[0] - dilation[0] * (Kh - 1) - 1) // stride[0] + 1
    Wo = (W + 2 * padding[1] - dilation[1] * (Kw - 1) - 1) // stride[1] + 1
    y = np.zeros((N, O, Ho, Wo))
    for n, o, h, v in np.ndindex(*y.shape):
        y[n, o, h, v] = 0 if b is None else b[o]
        for c, i, j in np.ndindex(Cg, Kh, Kw):
            row, column = (
                h * stride[0] + i * dilation[0] - padding[0],
                v * stride[1] + j * dilation[1] - padding[1],
            )
            if 0 <= row < H and 0 <= column < W:
                y[n, o, h, v] += w[o, c, i, j] * x[n, o // (O // groups) * Cg + c, row, column]
    return y


def loops_conv_transpose2d(x, w, b, size, stride, padding, dilation, groups) -> np.ndarray:
    """Each element of x adds its multiple of the kernel to y, element by element."""
    N, C, H, W = x.shape
    _, Og, Kh, Kw = w.shape
    y = np.zeros((N, Og * groups, *size)) + (0 if b is None else b[:, None, None])
    for n, c, h, v, o, i, j in np.ndindex(N, C, H, W, Og, Kh, Kw):
        row, column = (
            h * stride[0] + i * dilation[0] - padding[0],
            v * stride[1] + j * dilation[1] - padding[1],
        )
        if 0 <= row < size[0] and 0 <= column < size[1]:
            y[n, c // (C // groups) * Og + o, row, column] += w[c, o, i, j] * x[n, c, h, v]
    return y


pairs = st.tuples


@st.composite
def convolutions(draw) -> tuple[tuple, tuple, bool, dict]:
    """Shapes of x and weight, whether there is a bias, and the arguments, so that at least one window fits."""
    groups, cg, og = draw(st.sampled_from([1, 1, 2, 3])), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    kernel = draw(pairs(st.integers(1, 3), st.integers(1, 3)))
    dilation = draw(pairs(st.integers(1, 2), st.integers(1, 2)))
    padding = draw(pairs(st.integers(0, 2), st.integers(0, 2)))
    extent = [d * (k - 1) + 1 - 2 * p for d, k, p in zip(dilation, kernel, padding)]
    size = [max(1, e) + draw(st.integers(0, 3)) for e in extent]
    how = {
        "stride": draw(pairs(st.integers(1, 3), st.integers(1, 2))),
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
    return (draw(st.integers(1, 2)), groups * cg, *size), (groups * og, cg, *kernel), draw(st.booleans()), how


@st.composite
def transposed_convolutions(draw) -> tuple[tuple, tuple, bool, dict]:
    (N, _, H, W), (_, cg, *kernel), bias, how = draw(convolutions())
    og = draw(st.integers(1, 2))
    how["output_padding"] = tuple(
        draw(st.integers(0, max(s, d) - 1)) for s, d in zip(how["stride"], how["dilation"])
    )
    return (N, cg * how["groups"], H, W), (cg * how["groups"], og, *kernel), bias, how


def transposed_size(x_shape, w_shape, how) -> tuple:
    return tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + 1 + more
        for n, k, s, p, d, more in zip(
            x_shape[2:], w_shape[2:], how["stride"], how["padding"], how["dilation"], how["output_padding"]
        )
    )


def drawn(rng, *shapes: tuple | None) -> list:
    return [None if shape is None else rng.standard_normal(shape) for shape in shapes]


# ---------------------------------------------------------------- forward, without PyTorch


@given(convolutions())
def test_conv2d_is_its_formula(case):
    x_shape, w_shape, bias, how = case
    x, w, b = drawn(np.random.default_rng(0), x_shape, w_shape, w_shape[:1] if bias else None)
    y = ops.conv2d(mg.tensor(x), mg.tensor(w), None if b is None else mg.tensor(b), **how)
    np.testing.assert_allclose(y.numpy(), loops_conv2d(x, w, b, **how), atol=1e-12)


@given(transposed_convolutions())
def test_conv_transpose2d_is_its_formula(case):
    x_shape, w_shape, bias, how = case
    size = transposed_size(x_shape, w_shape, how)
    if min(size) < 1:
        return
    x, w, b = drawn(
        np.random.default_rng(0), x_shape, w_shape, (w_shape[1] * how["groups"],) if bias else None
    )
    y = ops.conv_transpose2d(mg.tensor(x), mg.tensor(w), None if b is None else mg.tensor(b), **how)
    assert y.shape[2:] == size
    del how["output_padding"]
    np.testing.assert_allclose(y.numpy(), loops_conv_transpose2d(x, w, b, size, **how), atol=1e-12)


@given(convolutions())
def test_the_gradients_of_conv2d_are_its_transposes(case):
    """<gy, conv(x, w)> is linear in x and in w, so its slope along any direction is its value there."""
    x_shape, w_shape, _, how = case
    rng = np.random.default_rng(0)
    x, w = (mg.tensor(a, requires_grad=True) for a in drawn(rng, x_shape, w_shape))
    y = ops.conv2d(x, w, **how)
    gy = mg.tensor(rng.standard_normal(y.shape))
    gx, gw = mg.grad(y, [x, w], gy)
    value = float((gy * y).sum())
    assert float((gx * x).sum()) == pytest.approx(value, abs=1e-10)
    assert float((gw * w).sum()) == pytest.approx(value, abs=1e-10)


def test_conv1d_is_conv2d_with_one_row(rng):
    x, w, b = drawn(rng, (2, 4, 9), (6, 2, 3), (6,))
    y = ops.conv1d(mg.tensor(x), mg.tensor(w), mg.tensor(b), stride=2, padding=1, dilation=2, groups=2)
    expected = loops_conv2d(x[:, :, None], w[:, :, None], b, (1, 2), (0, 1), (1, 2), 2)
    np.testing.assert_allclose(y.numpy(), expected[:, :, 0], atol=1e-12)


@pytest.mark.parametrize("N", [1, 3, 7])
def test_a_batch_that_is_walked_in_pieces_gives_what_each_image_gives(rng, N):
    """Columns of 900 kB an image: one goes into a piece."""
    x, w = drawn(rng, (N, 16, 28, 28), (4, 16, 3, 3))
    x, w = mg.tensor(x, requires_grad=True), mg.tensor(w, requires_grad=True)
    y = ops.conv2d(x, w, padding=1)
    gx, gw = mg.grad(y.sum(), [x, w])
    total = 0
    for n in range(N):
        one = x.detach()[n : n + 1].requires_grad_()
        alone = ops.conv2d(one, w, padding=1)
        np.testing.assert_allclose(y.numpy()[n : n + 1], alone.numpy(), atol=1e-12)
        gone, part = mg.grad(alone.sum(), [one, w])
        np.testing.assert_allclose(gx.numpy()[n : n + 1], gone.numpy(), atol=1e-12)
        total = total + part.numpy()
    np.testing.assert_allclose(gw.numpy(), total, atol=1e-9)


LAYOUTS = {
    "NCHW": lambda a: a,
    "NHWC": lambda a: np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "every second": lambda a: np.repeat(np.repeat(a, 2, axis=3), 2, axis=0)[::2, :, :, ::2],
    "reversed": lambda a: a[:, ::-1, ::-1].copy()[:, ::-1, ::-1],
    "repeated": lambda a: np.broadcast_to(a[:, :1], a.shape),
}


@pytest.mark.parametrize("kernel, padding", [(3, 1), (1, 0), (2, 0)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_memory_layout_works(rng, layout, kernel, padding):
    x, w = drawn(rng, (2, 4, 5, 6), (3, 4, kernel, kernel))
    x = LAYOUTS[layout](x)
    a = mg.from_numpy(x).requires_grad_()
    b = mg.tensor(w, requires_grad=True)
    y = ops.conv2d(a, b, padding=padding)
    np.testing.assert_allclose(
        y.numpy(), loops_conv2d(x, w, None, (1, 1), (padding, padding), (1, 1), 1), atol=1e-12
    )
    gy = LAYOUTS[layout](rng.standard_normal(y.shape))
    gx, gw = mg.grad(y, [a, b], mg.from_numpy(gy))
    c, d = mg.tensor(np.ascontiguousarray(x), requires_grad=True), mg.tensor(w, requires_grad=True)
    gc, gd = mg.grad(ops.conv2d(c, d, padding=padding), [c, d], mg.tensor(np.ascontiguousarray(gy)))
    np.testing.assert_allclose(gx.numpy(), gc.numpy(), atol=1e-12)
    np.testing.assert_allclose(gw.numpy(), gd.numpy(), atol=1e-12)


def test_the_result_lies_channels_last_in_memory(rng):
    x, w = drawn(rng, (2, 3, 5, 5), (4, 3, 3, 3))
    y = ops.conv2d(mg.tensor(x), mg.tensor(w), padding=1)
    assert y.array.transpose(0, 2, 3, 1).flags.c_contiguous


def test_an_image_without_a_batch_gives_a_result_without_one(rng):
    x, w, b = (mg.tensor(a) for a in drawn(rng, (3, 5, 6), (4, 3, 2, 2), (4,)))
    assert np.array_equal(ops.conv2d(x, w, b).numpy(), ops.conv2d(x.unsqueeze(0), w, b).numpy()[0])
    x, w, b = (mg.tensor(a) for a in drawn(rng, (3, 5), (3, 2, 2), (2,)))
    assert ops.conv1d(x, w.transpose(0, 1)).shape == (2, 4)
    assert ops.conv_transpose1d(x, w, b).shape == (2, 6)


def test_an_empty_batch_gives_an_empty_result_and_zero_gradients():
    x, w, b = mg.zeros(0, 3, 5, 5), mg.ones(4, 3, 3, 3), mg.ones(4)
    for t in (x, w, b):
        t.requires_grad_()
    y = ops.conv2d(x, w, b)
    assert y.shape == (0, 4, 3, 3)
    gx, gw, gb = mg.grad(y.sum(), [x, w, b])
    assert gx.shape == x.shape
    assert not gw.numpy().any()
    assert not gb.numpy().any()
    assert ops.conv_transpose2d(mg.zeros(0, 4, 3, 3), w, stride=2).shape == (0, 3, 7, 7)


def test_integers_stay_integers(rng):
    x, w = rng.integers(-3, 4, (1, 2, 4, 4)), rng.integers(-3, 4, (3, 2, 3, 3))
    y = ops.conv2d(mg.tensor(x), mg.tensor(w))
    assert y.dtype == mg.int64
    assert np.array_equal(y.numpy(), loops_conv2d(x, w, None, (1, 1), (0, 0), (1, 1), 1))


def test_half_precision_is_computed_in_float32(rng):
    x, w = (a.astype(np.float16) for a in drawn(rng, (1, 3, 6, 6), (2, 3, 3, 3)))
    y = ops.conv2d(mg.tensor(x), mg.tensor(w))
    assert y.dtype == mg.float16
    exact = loops_conv2d(x.astype(float), w.astype(float), None, (1, 1), (0, 0), (1, 1), 1)
    np.testing.assert_allclose(y.numpy(), exact, rtol=6e-4, atol=1e-3)


def test_only_the_wanted_gradients_are_computed(rng):
    """x is kept for the gradient of the weight alone, and the other way round."""
    x, w = (mg.tensor(a) for a in drawn(rng, (1, 2, 4, 4), (3, 2, 3, 3)))
    y = ops.conv2d(x, w.requires_grad_())
    assert y.grad_fn.kept_bytes == x.nbytes
    assert mg.grad(y.sum(), [w])[0].shape == w.shape
    y = ops.conv2d(x.requires_grad_(), w.detach())
    assert y.grad_fn.kept_bytes == w.nbytes


# ---------------------------------------------------------------- against PyTorch


def twice(name: str, how: dict) -> tuple[Any, Any]:
    import torch

    return (
        lambda *t: getattr(ops, name)(*t, **how),
        lambda *t: getattr(torch.nn.functional, name)(*t, **how),
    )


@pytest.mark.oracle
@settings(max_examples=60)
@given(convolutions(), st.sampled_from(["float64", "float64", "float32"]))
def test_conv2d_agrees_with_pytorch(case, dtype):
    x_shape, w_shape, bias, how = case
    arrays = drawn(np.random.default_rng(0), x_shape, w_shape, w_shape[:1] if bias else None)
    compare_with_torch(*twice("conv2d", how), arrays, dtype=dtype)


@pytest.mark.oracle
@settings(max_examples=60)
@given(transposed_convolutions(), st.sampled_from(["float64", "float64", "float32"]))
def test_conv_transpose2d_agrees_with_pytorch(case, dtype):
    x_shape, w_shape, bias, how = case
    if min(transposed_size(x_shape, w_shape, how)) < 1:
        return
    b_shape = (w_shape[1] * how["groups"],) if bias else None
    compare_with_torch(
        *twice("conv_transpose2d", how),
        drawn(np.random.default_rng(0), x_shape, w_shape, b_shape),
        dtype=dtype,
    )


@pytest.mark.oracle
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"stride": 2, "padding": 1},
        {"padding": "same", "dilation": 2},
        {"padding": "valid", "groups": 2},
        {"stride": (3,), "padding": (2,)},
    ],
)
def test_conv1d_agrees_with_pytorch(torch, rng, how):
    arrays = drawn(rng, (2, 4, 9), (6, 4 // how.get("groups", 1), 4), (6,))
    compare_with_torch(*twice("conv1d", how), arrays)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "how", [{}, {"stride": 2, "output_padding": 1, "padding": 1}, {"groups": 2, "dilation": 3}]
)
def test_conv_transpose1d_agrees_with_pytorch(torch, rng, how):
    arrays = drawn(rng, (2, 4, 5), (4, 3, 4), (3 * how.get("groups", 1),))
    compare_with_torch(*twice("conv_transpose1d", how), arrays)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("kernel, dilation", list(product([(1, 1), (2, 3), (4, 2), (3, 3)], [1, (2, 3)])))
def test_same_padding_agrees_with_pytorch(torch, rng, kernel, dilation):
    """An odd number of zeros: the one left over stands at the end."""
    how = {"padding": "same", "dilation": dilation}
    compare_with_torch(*twice("conv2d", how), drawn(rng, (1, 2, 5, 6), (2, 2, *kernel), (2,)))


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_agrees_with_pytorch(torch, rng, dtype):
    arrays = drawn(rng, (2, 3, 5, 6), (4, 3, 3, 3), (4,))
    compare_with_torch(*twice("conv2d", {"padding": 1}), arrays, dtype=dtype, order=1)


@pytest.mark.oracle
def test_the_shapes_of_a_residual_network_agree_with_pytorch(torch, rng):
    for x, w, how in (
        ((4, 16, 28, 28), (16, 16, 3, 3), {"padding": 1}),
        ((4, 16, 28, 28), (32, 16, 3, 3), {"padding": 1, "stride": 2}),
        ((4, 16, 28, 28), (32, 16, 1, 1), {"stride": 2}),
        ((4, 1, 28, 28), (16, 1, 3, 3), {"padding": 1}),
        ((2, 3, 32, 32), (8, 3, 7, 7), {"padding": 3, "stride": 2}),
        ((4, 24, 7, 7), (24, 1, 3, 3), {"padding": 1, "groups": 24}),
    ):
        compare_with_torch(*twice("conv2d", how), drawn(rng, x, w), order=1)
        compare_with_torch(*twice("conv2d", how), drawn(rng, x, w), order=1, dtype="float32")


# ---------------------------------------------------------------- errors
