"""Pooling: against windows cut out one by one, and against PyTorch to second order."""

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


def apart(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Distinct numbers, so that a maximum is at one place."""
    return (rng.permutation(math.prod(shape)) - math.prod(shape) / 2).reshape(shape) / 7


@st.composite
def poolings(draw, dilated: bool = True) -> tuple[tuple, dict]:
    """The shape of an image, and arguments for which at least one window fits."""
    two = lambda low, high: draw(st.tuples(st.integers(low, high), st.integers(low, high)))  # noqa: E731
    kernel, dilation = two(1, 3), two(1, 2) if dilated else (1, 1)
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    how = {"kernel_size": kernel, "stride": two(1, 3), "padding": padding, "ceil_mode": draw(st.booleans())}
    if dilated:
        how["dilation"] = dilation
    # An image smaller than the dilation may lie between the elements of a window: refused (PyTorch crashes)
    size = [max(1, e - 2 * p, d) + draw(st.integers(0, 4)) for e, p, d in zip(extent, padding, dilation)]
    return (draw(st.integers(1, 2)), draw(st.integers(1, 2)), *size), how


def windows_along(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> list[list[int]]:
    """The places each window sees along one axis, those outside left out; a window must begin before n + p."""
    last = n + p - d * (k - 1) - 1  # where the last window begins that ends inside
    starts = range(-p, last + 1, s)
    more = -p + len(starts) * s
    if ceil_mode and more - s < last and more < n:
        starts = [*starts, more]
    return [[i for i in range(start, start + d * k, d) if 0 <= i < n] for start in starts]


def loops_max_pool2d(x: np.ndarray, kernel_size, stride, padding, dilation=(1, 1), ceil_mode=False) -> tuple:
    rows, columns = (
        windows_along(*a, ceil_mode) for a in zip(x.shape[2:], kernel_size, stride, padding, dilation)
    )
    y = np.zeros((*x.shape[:2], len(rows), len(columns)))
    indices = np.zeros(y.shape, dtype=np.int64)
    for n, c, h, w in np.ndindex(*y.shape):
        places = [(i, j) for i in rows[h] for j in columns[w]]
        best = max(places, key=lambda place: x[n, c, place[0], place[1]])  # the first of equals
        y[n, c, h, w], indices[n, c, h, w] = x[n, c, best[0], best[1]], best[0] * x.shape[3] + best[1]
    return y, indices


# ---------------------------------------------------------------- forward, without PyTorch


@given(poolings())
def test_max_pool2d_finds_the_largest_of_each_window(case):
    shape, how = case
    x = np.random.default_rng(0).integers(0, 5, shape).astype(float)  # with ties
    y, indices = ops.max_pool2d(mg.tensor(x), **how, return_indices=True)
    expected, places = loops_max_pool2d(x, **how)
    assert np.array_equal(y.numpy(), expected)
    assert np.array_equal(indices.numpy(), places)
    assert indices.dtype == mg.int64


@given(poolings())
def test_the_gradient_of_max_pool2d_goes_to_the_winners(case):
    shape, how = case
    rng = np.random.default_rng(0)
    x = mg.tensor(apart(rng, *shape), requires_grad=True)
    y, indices = ops.max_pool2d(x, **how, return_indices=True)
    gy = rng.standard_normal(y.shape)
    expected = np.zeros((*shape[:2], shape[2] * shape[3]))
    for n, c, h, w in np.ndindex(*y.shape):
        expected[n, c, indices.numpy()[n, c, h, w]] += gy[n, c, h, w]
    (gx,) = mg.grad(y, [x], mg.tensor(gy))
    np.testing.assert_allclose(gx.numpy(), expected.reshape(shape), atol=1e-12)


@given(poolings(dilated=False), st.booleans(), st.sampled_from([None, 5, -2]))
def test_avg_pool2d_divides_each_window_by_its_elements(case, count_include_pad, override):
    shape, how = case
    x = np.random.default_rng(0).standard_normal(shape)
    y = ops.avg_pool2d(
        mg.tensor(x), **how, count_include_pad=count_include_pad, divisor_override=override
    ).numpy()
    geometry = list(zip(shape[2:], how["kernel_size"], how["stride"], how["padding"]))
    rows, columns = (windows_along(*a, 1, how["ceil_mode"]) for a in geometry)
    inside = [
        [range(n + 2 * p)[i * s : i * s + k] for i in range(y.shape[2 + axis])]
        for axis, (n, k, s, p) in enumerate(geometry)
    ]
    for n, c, h, w in np.ndindex(*y.shape):
        elements = (
            len(inside[0][h]) * len(inside[1][w]) if count_include_pad else len(rows[h]) * len(columns[w])
        )
        expected = x[n, c][np.ix_(rows[h], columns[w])].sum() / (override or elements)
        assert y[n, c, h, w] == pytest.approx(expected, abs=1e-12)


@given(st.tuples(*[st.integers(1, 7)] * 4))
def test_adaptive_pooling_covers_the_image_with_pieces(sizes):
    H, W, Ho, Wo = sizes
    x = apart(np.random.default_rng(0), 2, 2, H, W)
    mean = ops.adaptive_avg_pool2d(mg.tensor(x), (Ho, Wo)).numpy()
    largest, indices = ops.adaptive_max_pool2d(mg.tensor(x), (Ho, Wo), return_indices=True)
    for i in range(Ho):
        for j in range(Wo):
            rows = slice(math.floor(i * H / Ho), math.ceil((i + 1) * H / Ho))
            columns = slice(math.floor(j * W / Wo), math.ceil((j + 1) * W / Wo))
            np.testing.assert_allclose(mean[:, :, i, j], x[:, :, rows, columns].mean((2, 3)), atol=1e-12)
            assert np.array_equal(largest.numpy()[:, :, i, j], x[:, :, rows, columns].max((2, 3)))
    assert np.array_equal(
        np.take_along_axis(x.reshape(2, 2, -1), indices.numpy().reshape(2, 2, -1), 2),
        largest.numpy().reshape(2, 2, -1),
    )


LAYOUTS = {
    "NCHW": np.ascontiguousarray,
    "NHWC": lambda a: np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "reversed": lambda a: a[::-1, :, ::-1].copy()[::-1, :, ::-1],
    "repeated": lambda a: np.broadcast_to(a[:, :, :, :1], a.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "pool",
    [
        lambda x: ops.max_pool2d(x, 3, 2, 1),
        lambda x: ops.avg_pool2d(x, 3, 2, 1),
        lambda x: ops.adaptive_avg_pool2d(x, 1),
        lambda x: ops.adaptive_avg_pool2d(x, (2, 3)),
        lambda x: ops.adaptive_avg_pool2d(x, (4, 3)),
        lambda x: ops.adaptive_max_pool2d(x, (4, 3)),
    ],
)
def test_any_memory_layout_works(rng, layout, pool):
    x = LAYOUTS[layout](apart(rng, 2, 3, 6, 6))
    a, b = mg.from_numpy(x).requires_grad_(), mg.tensor(np.ascontiguousarray(x)).requires_grad_()
    np.testing.assert_allclose(pool(a).numpy(), pool(b).numpy(), atol=1e-14)
    gy = LAYOUTS[layout](rng.standard_normal(pool(a).shape))
    ga, gb = (
        mg.grad(pool(a), [a], mg.from_numpy(gy))[0],
        mg.grad(pool(b), [b], mg.tensor(np.ascontiguousarray(gy)))[0],
    )
    np.testing.assert_allclose(ga.numpy(), gb.numpy(), atol=1e-14)


def test_what_max_pool2d_keeps_is_one_byte_per_window(rng):
    x = mg.tensor(rng.standard_normal((2, 3, 8, 8)), requires_grad=True)
    assert ops.max_pool2d(x, 2).grad_fn.kept_bytes == 2 * 3 * 4 * 4


def test_windows_of_more_than_256_elements_are_told_apart():
    x = np.zeros((1, 1, 20, 20))
    x[0, 0, 17, 3] = 1
    a = mg.tensor(x, requires_grad=True)
    y, indices = ops.max_pool2d(a, 20, return_indices=True)
    assert indices.item() == 17 * 20 + 3
    assert np.array_equal(mg.grad(y.sum(), [a])[0].numpy(), x)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_integers_are_pooled_by_maximum(rng, dtype):
    x = rng.integers(0, 200, (1, 2, 5, 5)).astype(dtype)
    y = ops.max_pool2d(mg.tensor(x), 2, 1, 1)
    assert str(y.dtype) == dtype
    assert np.array_equal(y.numpy(), loops_max_pool2d(x, (2, 2), (1, 1), (1, 1))[0])


def test_padding_never_wins_and_nan_always():
    x = mg.tensor(np.full((1, 1, 3, 3), -np.inf), requires_grad=True)
    y, indices = ops.max_pool2d(x, 3, 2, 1, return_indices=True)
    assert np.isneginf(y.numpy()).all()
    assert indices.tolist() == [[[[0, 1], [3, 4]]]]  # the first element of each window that is inside
    x = mg.tensor([[[1.0, float("nan"), 3.0, 4.0]]])
    assert np.array_equal(ops.max_pool1d(x, 2).numpy(), [[[np.nan, 4]]], equal_nan=True)


def test_an_infinite_gradient_stays_in_its_window():
    x = mg.tensor(np.arange(16.0).reshape(1, 1, 4, 4), requires_grad=True)
    y = ops.max_pool2d(x, 2)
    (gx,) = mg.grad(y, [x], mg.tensor([[[[np.inf, 1.0], [np.nan, 1.0]]]], dtype="float64"))
    assert np.isnan(gx.numpy()).sum() == 1
    assert np.isinf(gx.numpy()).sum() == 1


def test_an_empty_batch_gives_an_empty_result():
    x = mg.zeros(0, 3, 6, 6).requires_grad_()
    for y in (
        ops.max_pool2d(x, 2),
        ops.avg_pool2d(x, 2),
        ops.adaptive_avg_pool2d(x, 3),
        ops.adaptive_max_pool2d(x, 3),
    ):
        assert y.shape == (0, 3, 3, 3)
        assert mg.grad(y.sum(), [x])[0].shape == x.shape
    assert ops.adaptive_avg_pool2d(x, 4).shape == (0, 3, 4, 4)


def test_half_precision_is_summed_in_float32():
    x = mg.ones(1, 1, 64, 64).half()
    assert ops.avg_pool2d(x, 64).item() == 1  # float16 itself would stop counting at 2048
    assert ops.adaptive_avg_pool2d(x, 1).dtype == mg.float16


# ---------------------------------------------------------------- against PyTorch


def twice(name: str, *args: Any, **how: Any) -> tuple[Any, Any]:
    import torch

    return (
        lambda x: getattr(ops, name)(x, *args, **how),
        lambda x: getattr(torch.nn.functional, name)(x, *args, **how),
    )


@pytest.mark.oracle
@settings(max_examples=60)
@given(poolings(), st.sampled_from(["float64", "float64", "float32"]))
def test_max_pool2d_agrees_with_pytorch(case, dtype):
    shape, how = case
    x = apart(np.random.default_rng(0), *shape)
    compare_with_torch(*twice("max_pool2d", **how, return_indices=True), [x], dtype=dtype)


@pytest.mark.oracle
@settings(max_examples=60)
@given(
    poolings(dilated=False),
    st.booleans(),
    st.sampled_from([None, 5, -2]),
    st.sampled_from(["float64", "float32"]),
)
def test_avg_pool2d_agrees_with_pytorch(case, count_include_pad, override, dtype):
    shape, how = case
    x = np.random.default_rng(0).standard_normal(shape)
    functions = twice("avg_pool2d", **how, count_include_pad=count_include_pad, divisor_override=override)
    compare_with_torch(*functions, [x], dtype=dtype)


@pytest.mark.oracle
@given(st.tuples(*[st.integers(1, 7)] * 4), st.sampled_from(["float64", "float32"]))
def test_adaptive_pooling_agrees_with_pytorch(sizes, dtype):
    H, W, Ho, Wo = sizes
    x = apart(np.random.default_rng(0), 2, 2, H, W)
    compare_with_torch(*twice("adaptive_avg_pool2d", (Ho, Wo)), [x], dtype=dtype)
    compare_with_torch(*twice("adaptive_max_pool2d", (Ho, Wo), return_indices=True), [x], dtype=dtype)


@pytest.mark.oracle
@pytest.mark.parametrize("shape", [(2, 3, 9), (3, 9)])
def test_pooling_of_sequences_agrees_with_pytorch(torch, rng, shape):
    x = apart(rng, *shape)
    compare_with_torch(*twice("max_pool1d", 3), [x])
    compare_with_torch(*twice("max_pool1d", 3, 2, 1, 2, True, True), [x])
    compare_with_torch(*twice("avg_pool1d", 3), [x])
    compare_with_torch(*twice("avg_pool1d", (2,), 2, 1, True, False), [x])
    compare_with_torch(*twice("adaptive_avg_pool1d", 4), [x])
    compare_with_torch(*twice("adaptive_max_pool1d", 4, True), [x])
    compare_with_torch(*twice("adaptive_max_pool1d", 3), [x])


@pytest.mark.oracle
def test_images_without_a_batch_agree_with_pytorch(torch, rng):
    x = apart(rng, 3, 6, 5)
    compare_with_torch(*twice("max_pool2d", 2, return_indices=True), [x])
    compare_with_torch(*twice("avg_pool2d", (2, 3), (1, 2)), [x])
    compare_with_torch(*twice("adaptive_avg_pool2d", (None, 2)), [x])
    compare_with_torch(*twice("adaptive_max_pool2d", (4, None), True), [x])


@pytest.mark.oracle
def test_nans_and_infinities_agree_with_pytorch(torch, rng):
    x = rng.choice([np.nan, np.inf, -np.inf, 1.0, 2.0], (2, 3, 9, 9))
    compare_with_torch(*twice("max_pool2d", 3, 2, 1, return_indices=True), [x], order=0)
    compare_with_torch(*twice("avg_pool2d", 3, 2, 1), [x], order=0)
    compare_with_torch(*twice("adaptive_avg_pool2d", 4), [np.abs(x)], order=0)


# ---------------------------------------------------------------- errors


X = mg.ones(2, 4, 5, 5)


@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda: ops.max_pool2d(X, 6), ShapeError, r"max_pool2d: a window of 6 x 6.*5 x 5"),
        (
            lambda: ops.max_pool2d(X, 3, padding=2),
            ArgumentError,
            r"padding \(2, 2\) must be at most half of kernel_size \(3, 3\)",
        ),
        (lambda: ops.max_pool1d(mg.ones(1, 1, 1), 2, 1, 1, 2), ShapeError, r"windows see nothing of x"),
        (lambda: ops.max_pool2d(X, 0), ArgumentError, r"kernel_size must be.*1 or more; got 0"),
        (lambda: ops.max_pool2d(X, 2, stride=0), ArgumentError, r"stride must be"),
        (lambda: ops.max_pool2d(mg.ones(5, 5), 2), ShapeError, r"x must be \(N, C, H, W\).*\[5, 5\]"),
        (lambda: ops.max_pool2d(X.bool(), 2), DtypeError, r"needs numbers, not bool\[2, 4, 5, 5\]"),
        (lambda: ops.max_pool2d([[1.0]], 2), DtypeError, r"max_pool2d takes a tensor, not list"),
        (
            lambda: ops.avg_pool2d(X.long(), 2),
            DtypeError,
            r"avg_pool2d needs floating-point numbers, not int64",
        ),
        (
            lambda: ops.avg_pool2d(X, 2, divisor_override=0),
            ArgumentError,
            r"divisor_override must be an int other than 0",
        ),
        (lambda: ops.avg_pool1d(X, 2), ShapeError, r"avg_pool1d: x must be \(N, C, L\)"),
        (lambda: ops.adaptive_avg_pool2d(X, 0), ArgumentError, r"output_size must be.*1 or more"),
        (
            lambda: ops.adaptive_avg_pool2d(X, (1, 2, 3)),
            ArgumentError,
            r"output_size must be an int or 2 of them.*\(1, 2, 3\)",
        ),
        (
            lambda: ops.adaptive_avg_pool2d(mg.ones(2, 4, 0, 5), 1),
            ShapeError,
            r"\[2, 4, 0, 5\] has no elements to pool",
        ),
        (lambda: ops.adaptive_max_pool2d(X.bool(), 2), DtypeError, r"needs numbers"),
    ],
)
def test_what_does_not_fit_is_said(call, error, said):
    with pytest.raises(error, match=said):
        call()
