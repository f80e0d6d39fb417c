"""Layer, group, root-mean-square and local response norm, and normalize."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import ops
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from tests.oracle import compare_with_torch


def standardised(values, eps):
    """Python floats to mean 0 and variance 1."""
    mean = sum(values) / len(values)
    var = sum((v - mean) ** 2 for v in values) / len(values)
    return [(v - mean) / (var + eps) ** 0.5 for v in values]


@given(st.data())
def test_layer_norm_follows_the_definition(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    last = data.draw(st.integers(1, len(shape)))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x, w, b = rng.normal(2, 3, shape), rng.standard_normal(shape[-last:]), rng.standard_normal(shape[-last:])
    y = ops.layer_norm(mg.tensor(x), shape[-last:], mg.tensor(w), mg.tensor(b), eps=1e-3).numpy()
    samples = x.reshape(-1, w.size)
    expected = [standardised(sample.tolist(), 1e-3) for sample in samples]
    np.testing.assert_allclose(y, np.reshape(expected, shape) * w + b, rtol=1e-9, atol=1e-9)


@given(st.integers(0, 3), st.integers(1, 3), st.integers(1, 3), st.lists(st.integers(1, 3), max_size=2))
def test_group_norm_follows_the_definition(n, groups, each, rest):
    channels = groups * each
    rng = np.random.default_rng(n)
    x, w = rng.normal(2, 3, (n, channels, *rest)), rng.standard_normal(channels)
    y = ops.group_norm(mg.tensor(x), groups, mg.tensor(w), eps=1e-3).numpy()
    for i in range(n):
        for g in range(groups):
            part = slice(g * each, (g + 1) * each)
            expected = np.reshape(standardised(x[i, part].ravel().tolist(), 1e-3), x[i, part].shape)
            weight = w[part].reshape(-1, *[1] * len(rest))
            np.testing.assert_allclose(y[i, part], weight * expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
def test_local_response_norm_follows_the_definition(rng, size):
    x = rng.standard_normal((2, 6, 3))
    y = ops.local_response_norm(mg.tensor(x), size, alpha=0.5, beta=0.75, k=2.0).numpy()
    for c in range(6):
        neighbours = range(max(0, c - size // 2), min(6, c + (size - 1) // 2 + 1))
        total = sum(x[:, j] ** 2 for j in neighbours)
        np.testing.assert_allclose(y[:, c], x[:, c] / (2 + 0.5 / size * total) ** 0.75, rtol=1e-12)


def test_rms_norm_follows_the_definition(rng):
    x, w = rng.standard_normal((4, 5)), rng.standard_normal(5)
    y = ops.rms_norm(mg.tensor(x), 5, mg.tensor(w), eps=0.1).numpy()
    np.testing.assert_allclose(y, w * x / np.sqrt((x * x).sum(axis=1, keepdims=True) / 5 + 0.1), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "shape, last", [((3, 5), 1), ((2, 3, 4), 1), ((2, 3, 4), 2), ((2, 3, 4), 3), ((7,), 1)]
)
def test_layer_and_rms_norm_equal_pytorch(torch, rng, shape, last, dtype):
    functional, normalized = torch.nn.functional, shape[-last:]
    x, w, b = rng.standard_normal(shape), rng.standard_normal(normalized), rng.standard_normal(normalized)
    for arrays in ([x, w, b], [x, w], [x]):
        compare_with_torch(
            lambda x, *wb: ops.layer_norm(x, normalized, *wb, eps=1e-3),
            lambda x, *wb: functional.layer_norm(x, normalized, *wb, eps=1e-3),
            arrays,
            dtype=dtype,
            seed=1,
        )
    for arrays in ([x, w], [x]):
        compare_with_torch(
            lambda x, *w: ops.rms_norm(x, normalized, *w),
            lambda x, *w: functional.rms_norm(x, normalized, *w),
            arrays,
            dtype=dtype,
            seed=1,
        )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(3, 6), (2, 6, 5), (2, 6, 3, 4), (1, 6, 2, 2, 3)])
@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_group_norm_equals_pytorch(torch, rng, shape, groups, dtype):
    x, w, b = rng.standard_normal(shape), rng.standard_normal(6), rng.standard_normal(6)
    for arrays in ([x, w, b], [x]):
        compare_with_torch(
            lambda x, *wb: ops.group_norm(x, groups, *wb, eps=0.1),
            lambda x, *wb: torch.nn.functional.group_norm(x, groups, *wb, eps=0.1),
            arrays,
            dtype=dtype,
            seed=1,
        )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 4, 3, 2), (1, 3, 2, 2, 2)])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_local_response_norm_equals_pytorch(torch, rng, shape, size, dtype):
    compare_with_torch(
        lambda x: ops.local_response_norm(x, size, 0.5, 0.6, 1.5),
        lambda x: torch.nn.functional.local_response_norm(x, size, 0.5, 0.6, 1.5),
        [rng.standard_normal(shape)],
        dtype=dtype,
        seed=1,
    )


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_normalize_equals_pytorch(torch, rng, p, dim):
    compare_with_torch(
        lambda x: ops.normalize(x, p, dim),
        lambda x: torch.nn.functional.normalize(x, p, dim),
        [rng.standard_normal((3, 4, 2))],
        seed=1,
    )


def test_normalize_leaves_zeros_alone():
    x = mg.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    y = ops.normalize(x)
    assert y.tolist() == [[0.0, 0.0], [pytest.approx(0.6), pytest.approx(0.8)]]
    assert np.isfinite(mg.grad(y.sum(), x)[0].numpy()).all()


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_float32_is_accurate(rng, offset):
    x32 = (offset + rng.standard_normal((512, 300))).astype(np.float32)
    w32, g32 = rng.uniform(0.5, 2, 300).astype(np.float32), rng.standard_normal((512, 300)).astype(np.float32)
    results = {}
    for dtype in (np.float32, np.float64):
        x, w = (mg.tensor(a.astype(dtype), requires_grad=True) for a in (x32, w32))
        y = ops.layer_norm(x, 300, w, w)
        gradients = mg.grad(y, [x, w], mg.tensor(g32.astype(dtype)))
        results[dtype] = [y.numpy(), *(g.numpy() for g in gradients)]
    for got, expected in zip(results[np.float32], results[np.float64], strict=True):
        assert np.abs(got - expected).max() <= 1e-6 * (1 + offset / 10) * np.abs(expected).max()


def test_group_norm_keeps_the_memory_layout(rng):
    array = rng.standard_normal((2, 3, 5, 4)).transpose(
        0, 3, 1, 2
    )  # (N, C, H, W), channels innermost in memory
    x = mg.from_numpy(array).requires_grad_()
    y = ops.group_norm(x, 2, mg.tensor(np.ones(4)), mg.tensor(np.zeros(4)))
    assert y.array.strides == array.strides


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_with_float32_parameters(rng, dtype):
    x = mg.tensor(300 * rng.standard_normal((8, 6)), dtype=dtype, requires_grad=True)
    w = mg.full((6,), 2.0).requires_grad_()
    for y in (ops.layer_norm(x, 6, w), ops.rms_norm(x, 6, w), ops.group_norm(x, 2, w)):
        gx, gw = mg.grad((y * y * y).sum(), [x, w])
        assert (y.dtype, gx.dtype, gw.dtype) == (x.dtype, x.dtype, w.dtype)
        assert 1.5 < np.abs(y.numpy().astype(np.float64)).mean() < 2.5
        assert np.isfinite(gx.numpy().astype(np.float64)).all()


def test_empty_batches_pass():
    assert ops.layer_norm(mg.zeros(0, 3), 3, mg.ones(3)).shape == (0, 3)
    assert ops.rms_norm(mg.zeros(0, 3), 3).shape == (0, 3)
    assert ops.local_response_norm(mg.zeros(0, 3, 2), 2).shape == (0, 3, 2)
    x, w = mg.zeros(0, 4, 2).requires_grad_(), mg.ones(4).requires_grad_()
    gx, gw = mg.grad(ops.group_norm(x, 2, w).sum(), [x, w])
    assert gx.shape == (0, 4, 2)
    assert gw.tolist() == [0, 0, 0, 0]


def test_what_is_refused():
    x = mg.zeros(2, 3, 4)
    with pytest.raises(ShapeError, match=r"normalized_shape is \[3\]; x of shape \[2, 3, 4\] must end in it"):
        ops.layer_norm(x, 3)
    with pytest.raises(ShapeError, match=r"normalized_shape is \[\]"):
        ops.layer_norm(x, ())
    with pytest.raises(ShapeError, match=r"weight has shape \[4\].*must be \[3, 4\]"):
        ops.rms_norm(x, (3, 4), mg.ones(4))
    with pytest.raises(DtypeError, match=r"bias is float64, x is float32"):
        ops.layer_norm(x, 4, mg.ones(4), mg.ones(4).double())
    with pytest.raises(ArgumentError, match=r"3 in shape \[2, 3, 4\], cannot be divided into 2"):
        ops.group_norm(x, 2)
    with pytest.raises(ArgumentError, match="into 0 equal groups"):
        ops.group_norm(x, 0)
    with pytest.raises(ShapeError, match="at least 3 dimensions"):
        ops.local_response_norm(mg.zeros(2, 3), 2)
    with pytest.raises(ArgumentError, match="size must be at least 1, not 0"):
        ops.local_response_norm(x, 0)
    with pytest.raises(DtypeError, match=r"layer_norm.*int64"):
        ops.layer_norm(x.long(), 4)
