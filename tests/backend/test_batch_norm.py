"""Batch normalisation's kernels: statistics, and the operations beside their plain definitions."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend.native import batch_norm as kernels
from minigrad.backend.native import channel_statistics
from minigrad.backend.native.compiling import kernel
from minigrad.backend.native.layout import flat_channels_last
from tests.backend.twins import LAYOUTS, XP, compare, laid, nhwc, same_with_any_threads, samples

SHAPES = [
    (2, 1),
    (7, 5),
    (130, 64),
    (3, 1, 9, 11),
    (4, 3, 1, 1),
    (5, 16, 13, 12),
    (33, 7, 8),
    (2, 600, 3, 2),
    (64, 48, 9, 9),
]


@pytest.mark.parametrize(
    "rows, channels", [(1, 3), (2, 512), (1001, 7), (5000, 16), (300_001, 1), (90, 2000), (4096, 64)]
)
@pytest.mark.parametrize("mean", [0, 100])
def test_statistics_lose_no_digits_to_a_large_mean(rng, rows, channels, mean):
    x = (rng.standard_normal((rows, channels)) + mean).astype(np.float32)
    got_mean, got_var = same_with_any_threads(lambda: channel_statistics.statistics(x.reshape(-1), channels))
    exact = x.astype(np.float64)
    np.testing.assert_allclose(got_mean, exact.mean(axis=0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(got_var, exact.var(axis=0), rtol=1e-6, atol=1e-12)


def test_statistics_of_a_constant_and_of_one_far_value(rng):
    x = np.full((9999, 3), 1e4, np.float32)
    mean, var = channel_statistics.statistics(x.reshape(-1), 3)
    assert (mean == 1e4).all()
    assert (var == 0).all()
    x[0] = -1e4  # a pivot taken from the data would be this
    _, var = channel_statistics.statistics(x.reshape(-1), 3)
    np.testing.assert_allclose(var, x.astype(np.float64).var(axis=0), rtol=1e-5)


@kernel
def gather_rows(x, x0, rows, pitch, channels, partials, mean0, squares0, scratch):
    channel_statistics.gather(x, x0, rows, pitch, channels, partials, mean0, squares0, scratch)


def test_partial_statistics_of_parts_of_the_channels_combine():
    """A kernel may gather from rows that lie apart, in pieces of unequal height, some channels at a time."""
    x = np.random.default_rng(0).standard_normal((100, 24)).astype(np.float32)
    counts, partials = np.array([60.0, 40.0]), np.empty((2, 2, 24))
    scratch = np.empty(3 * channel_statistics.scratch_width(24), np.float32)
    for block, (first, rows) in enumerate([(0, 60), (60, 40)]):
        for c0, many in [(0, 16), (16, 8)]:
            place = 2 * block * 24 + c0
            gather_rows(
                x.reshape(-1),
                first * 24 + c0,
                rows,
                24,
                many,
                partials.reshape(-1),
                place,
                place + 24,
                scratch,
            )
    mean, var = channel_statistics.combine(partials, counts)
    np.testing.assert_allclose(mean, x.mean(axis=0, dtype=np.float64), atol=1e-7)
    np.testing.assert_allclose(var, x.astype(np.float64).var(axis=0), rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_equals_its_plain_twin(rng, shape, affine):
    x = nhwc(rng, *shape) * 3 + 2
    vectors = [rng.standard_normal(shape[1], dtype=np.float32) for _ in range(2)] if affine else [None, None]
    compare(
        "batch_norm",
        kernels.batch_norm_forward,
        kernels.batch_norm_gradient,
        [x, *vectors],
        eps=1e-3,
        rtol=1e-5,
    )
    mean, var = vectors[0], np.abs(nhwc(rng, 1, shape[1])[0]) + 0.5
    if affine:
        compare(
            "batch_norm_inference",
            kernels.batch_norm_inference_forward,
            None,
            [x, mean, var, *vectors],
            eps=1e-3,
        )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activation", ["relu", "none"])
@pytest.mark.parametrize("added", [None, *LAYOUTS])
def test_batch_norm_act_equals_its_plain_twin(rng, shape, activation, added):
    x, w, b = nhwc(rng, *shape), *(rng.standard_normal(shape[1], dtype=np.float32) for _ in range(2))
    # Sums of two that are nearly 0 may round to either side of it: relu's gradient is then another
    residual = None if added is None else laid(np.round(nhwc(rng, *shape)), added)
    compare(
        "batch_norm_act", kernels.batch_norm_act_forward, kernels.batch_norm_act_gradient, [x, w, b, residual],
        eps=1e-2, activation=activation, rtol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["batch_norm", "batch_norm_act", "batch_norm_inference"])
def test_the_operations_samples(name):
    for inputs, params in samples(name):
        inputs[0] = laid(inputs[0], "channels last")
        forward, gradient = getattr(kernels, f"{name}_forward"), getattr(kernels, f"{name}_gradient", None)
        compare(name, forward, gradient, inputs, rtol=1e-5, **params)


@pytest.mark.parametrize("layout", ["channels last", "channels first", "strided"])
def test_gradients_arrive_in_any_layout(rng, layout):
    x, w = nhwc(rng, 4, 6, 5, 5), np.ones(6, np.float32)
    gy = laid(nhwc(rng, 4, 6, 5, 5), layout)
    zeros = np.zeros((1, 6, 1, 1))
    compare(
        "batch_norm",
        None,
        kernels.batch_norm_gradient,
        [x, w, w],
        gys=(gy, zeros, zeros),
        eps=1e-3,
        rtol=1e-5,
    )


def test_the_mean_far_from_zero_costs_no_digits(rng):
    x = (nhwc(rng, 64, 8, 10, 10) + 1000).astype(np.float32)
    y, *_ = kernels.batch_norm_forward(XP, x, None, None, eps=0.0)
    exact = x.astype(np.float64)
    exact = (exact - exact.mean(axis=(0, 2, 3), keepdims=True)) / exact.std(axis=(0, 2, 3), keepdims=True)
    assert np.abs(y - exact).max() < 2e-6


def test_the_gradient_far_from_zero_costs_no_digits(rng):
    x, gy = (nhwc(rng, 64, 8, 10, 10) + 1000).astype(np.float32), nhwc(rng, 64, 8, 10, 10)
    gy += x - 1000  # so that x' has a share in the gradient, and an error in the mean would show
    axes, exact, zeros = (0, 2, 3), x.astype(np.float64), np.zeros((1, 8, 1, 1))
    mean, var = exact.mean(axis=axes, keepdims=True), exact.var(axis=axes, keepdims=True)
    gx, gw, _ = kernels.batch_norm_gradient(
        XP, (gy, zeros, zeros + 1e4), x, None, mean, var, (True,) * 3, eps=0.0
    )
    normal, g = (exact - mean) / var**0.5, gy.astype(np.float64)
    mean_gx = (g * normal).mean(axis=axes, keepdims=True)
    expected = (g - g.mean(axis=axes, keepdims=True) - normal * mean_gx) / var**0.5 + 2e4 / 6400 * (
        exact - mean
    )
    assert np.abs(gx - expected).max() < 3e-6 * np.abs(expected).max()
    np.testing.assert_allclose(gw / 6400, mean_gx.reshape(-1), rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_a_number_stays_in_its_channel(rng, value):
    x = nhwc(rng, 8, 20, 6, 6)
    x[3, 7, 2, 2] = value
    y, _, var = kernels.batch_norm_act_forward(XP, x, None, None, None, eps=1e-5, activation="relu")
    assert np.isnan(y[:, 7]).all()
    assert np.isnan(var[0, 7])
    assert np.isfinite(np.delete(y, 7, axis=1)).all()


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((2, 3, 4, 4), np.float64),
        np.zeros((2, 3, 4, 5), np.float32),
        np.zeros((0, 4, 4, 3), np.float32).transpose(0, 3, 1, 2),
        np.zeros((4, 6), np.float32)[:, ::2], np.zeros((4, 6), np.float32).T,
    ],
)  # fmt: skip
def test_other_arrays_are_declined(x):
    assert flat_channels_last(x) is None
    assert kernels.batch_norm_forward(XP, x, None, None, eps=1e-5) is None
    assert kernels.batch_norm_inference_forward(XP, x, None, None, None, None, eps=1e-5) is None
    zeros = np.zeros((1, x.shape[1], 1, 1))
    assert (
        kernels.batch_norm_gradient(XP, (x, zeros, zeros), x, None, zeros, zeros, (True,) * 3, eps=1e-5)
        is None
    )


def test_layers_train_by_the_kernel(rng, monkeypatch):
    """Through the engine, in a training step: with the kernel and without, the same parameters' gradients."""
    x = nhwc(rng, 16, 8, 7, 7)
    backend, results = mg.backend.get_backend("cpu"), []
    for stand_in in (
        mg.backend.Kernel(),
        mg.backend.Kernel(kernels.batch_norm_forward, kernels.batch_norm_gradient),
    ):
        monkeypatch.setitem(backend.kernels, "batch_norm", stand_in)
        layer = mg.nn.BatchNorm2d(8)
        data = mg.tensor(x, requires_grad=True)
        (layer(data) ** 3).sum().backward()
        results.append(
            [data.grad.numpy(), layer.weight.grad.numpy(), layer.bias.grad.numpy(), layer.running_var.numpy()]
        )
    for got, expected in zip(*results, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
