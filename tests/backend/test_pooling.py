"""Pooling's kernels beside their plain definitions."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.backend.native import pooling as kernels
from minigrad.op import get_operation
from tests.backend.twins import LAYOUTS, XP, compare, laid, nhwc, same_with_any_threads, samples

SHAPES = [(1, 1, 3, 3), (2, 3, 7, 6), (3, 16, 9, 8), (2, 37, 6, 11), (5, 6, 12, 12)]
WINDOWS = [  # kernel_size, stride, padding, dilation
    ((2, 2), (2, 2), (0, 0), (1, 1)),
    ((3, 3), (2, 2), (1, 1), (1, 1)),
    ((3, 2), (1, 2), (1, 0), (1, 1)),
    ((2, 3), (3, 1), (0, 1), (1, 1)),
    ((2, 2), (1, 2), (1, 1), (2, 1)),
    ((2, 2), (1, 1), (0, 1), (2, 2)),
]


def windows(kernel_size, stride, padding, dilation):
    return {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_max_pool_equals_its_plain_twin(rng, shape, window, ceil_mode):
    x = np.round(nhwc(rng, *shape))  # with equal elements: the first wins
    how = windows(*window)
    compare("max_pool2d", kernels.max_pool2d_forward, None, [x], rtol=0, ceil_mode=ceil_mode, **how)
    y, winner = get_operation("max_pool2d").forward(XP, x, ceil_mode=ceil_mode, **how)
    gy = nhwc(rng, *y.shape)
    compare(
        "window_scatter", kernels.window_scatter_forward, None, [gy, winner], rtol=0, size=shape[2:], **how
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_max_pool_takes_any_layout(rng, layout):
    x, how = laid(nhwc(rng, 4, 5, 8, 6), layout), windows(*WINDOWS[0])
    compare("max_pool2d", kernels.max_pool2d_forward, None, [x], rtol=0, ceil_mode=False, **how)
    gy = laid(nhwc(rng, 4, 5, 4, 3), layout)
    winner = laid(rng.integers(0, 4, (4, 5, 4, 3)).astype(np.uint8), layout)
    compare("window_scatter", kernels.window_scatter_forward, None, [gy, winner], rtol=0, size=(8, 6), **how)


def test_nan_wins_and_infinities_count(rng):
    x = nhwc(rng, 2, 20, 6, 6)
    x[rng.random(x.shape) < 0.2] = np.nan
    x[rng.random(x.shape) < 0.2] = -np.inf
    x[:, :3] = -np.inf
    for window in WINDOWS:
        compare(
            "max_pool2d", kernels.max_pool2d_forward, None, [x], rtol=0, ceil_mode=True, **windows(*window)
        )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("window", WINDOWS[:4])
@pytest.mark.parametrize("divisor", ["padded", "inside", 5])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_avg_pool_equals_its_plain_twin(rng, shape, window, divisor, ceil_mode):
    how = {**windows(*window), "ceil_mode": ceil_mode, "divisor": divisor}
    del how["dilation"]
    x = nhwc(rng, *shape)
    compare("avg_pool2d", kernels.avg_pool2d_forward, None, [x], **how)
    gy = nhwc(rng, *get_operation("avg_pool2d").forward(XP, x, **how).shape)
    compare("avg_pool2d_transposed", kernels.avg_pool2d_transposed_forward, None, [gy], size=shape[2:], **how)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pieces", [(1, 1), (3, 2), (3, 1)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_adaptive_mean_equals_its_plain_twin(rng, shape, pieces, layout):
    divides = shape[2] % pieces[0] == 0 and shape[3] % pieces[1] == 0
    x, gy = laid(nhwc(rng, *shape), layout), laid(nhwc(rng, *shape[:2], *pieces), layout)
    forward, transposed = kernels.adaptive_avg_pool2d_forward, kernels.adaptive_avg_pool2d_transposed_forward
    compare("adaptive_avg_pool2d", forward, None, [x], size=pieces, declines=not divides)
    compare("adaptive_avg_pool2d_transposed", transposed, None, [gy], size=shape[2:], declines=not divides)


@pytest.mark.parametrize("name", ["max_pool2d", "window_scatter", "avg_pool2d", "avg_pool2d_transposed"])
def test_the_operations_samples(name):
    for inputs, params in samples(name):
        if name == "window_scatter":
            inputs[1] = inputs[1].astype(np.uint8)
        compare(name, getattr(kernels, f"{name}_forward"), None, inputs, **params)


def test_many_rows_are_the_same_with_any_threads(rng):
    """So many that they are cut into several blocks."""
    x, how = nhwc(rng, 16, 20, 32, 30), windows(*WINDOWS[1])
    y, winner = same_with_any_threads(lambda: kernels.max_pool2d_forward(XP, x, ceil_mode=False, **how))
    compare("max_pool2d", kernels.max_pool2d_forward, None, [x], rtol=0, ceil_mode=False, **how)
    compare("window_scatter", kernels.window_scatter_forward, None, [y, winner], rtol=0, size=(32, 30), **how)


def test_other_arrays_are_declined():
    how = windows(*WINDOWS[0])
    for x in (np.zeros((2, 3, 4, 4)), np.zeros((0, 3, 4, 4), np.float32), np.zeros((2, 3, 4, 4), np.int32)):
        assert kernels.max_pool2d_forward(XP, x, ceil_mode=False, **how) is None
        assert kernels.adaptive_avg_pool2d_forward(XP, x, size=(1, 1)) is None
    x = np.zeros((1, 2, 20, 20), np.float32)
    large = windows((17, 17), (1, 1), (0, 0), (1, 1))
    assert kernels.max_pool2d_forward(XP, x, ceil_mode=False, **large) is None
    winner = np.zeros((1, 2, 4, 4), np.int32)
    assert kernels.window_scatter_forward(XP, x[..., :4, :4], winner, size=(8, 8), **how) is None
