"""Batch and instance normalisation: against their definition in NumPy, against PyTorch, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
import minigrad.errors
import minigrad.op
from minigrad import ops
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.testing import gradcheck, gradgradcheck
from tests.oracle import compare_with_torch

SHAPES = [(6, 3), (4, 3, 5), (2, 3, 4, 5), (2, 3, 2, 3, 2), (1, 3, 2, 2), (2, 1, 3, 3)]


def vectors(rng, channels):
    """Weight and bias of that many channels."""
    return rng.uniform(0.5, 2, channels), rng.standard_normal(channels)


def channels_last(a):
    """The same numbers as a view of memory in which channels are innermost."""
    order = (0, *range(2, a.ndim), 1)
    return np.moveaxis(np.ascontiguousarray(a.transpose(order)), -1, 1)


def by_definition(x, w, b, eps):
    """Normalised channel by channel in float64, each as one flat list of numbers."""
    y = np.empty(x.shape)
    for c in range(x.shape[1]):
        values = x[:, c].astype(np.float64)
        mean = sum(values.ravel().tolist()) / values.size
        var = sum(((values - mean) ** 2).ravel().tolist()) / values.size
        y[:, c] = w[c] * (values - mean) / np.sqrt(var + eps) + b[c]
    return y


@pytest.mark.parametrize("shape", SHAPES)
def test_training_follows_the_definition(rng, shape):
    x, (w, b) = 3 + 2 * rng.standard_normal(shape), vectors(rng, shape[1])
    y = ops.batch_norm(mg.tensor(x), None, None, mg.tensor(w), mg.tensor(b), True, eps=1e-3)
    np.testing.assert_allclose(y.numpy(), by_definition(x, w, b, 1e-3), rtol=1e-12, atol=1e-12)


def test_instance_norm_is_batch_norm_of_each_image(rng):
    x, (w, b) = rng.standard_normal((3, 4, 5, 2)), vectors(rng, 4)
    y = ops.instance_norm(mg.tensor(x), weight=mg.tensor(w), bias=mg.tensor(b))
    for n in range(3):
        expected = by_definition(x[n : n + 1], w, b, 1e-5)
        np.testing.assert_allclose(y.numpy()[n : n + 1], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_training_equals_pytorch(torch, rng, shape, affine, dtype):
    def norm(x, w=None, b=None):
        return torch.nn.functional.batch_norm(x, None, None, w, b, True, eps=1e-3)

    inputs = [2 + rng.standard_normal(shape), *(vectors(rng, shape[1]) if affine else ())]
    compare_with_torch(
        lambda x, w=None, b=None: ops.batch_norm(x, None, None, w, b, True, eps=1e-3),
        norm,
        inputs,
        dtype=dtype,
        seed=1,  # the gradient of x itself would vanish
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_evaluation_equals_pytorch(torch, rng, shape):
    c = shape[1]
    mean, var, x = rng.standard_normal(c), rng.uniform(0.5, 2, c), rng.standard_normal(shape)

    for given in (vectors(rng, c), (vectors(rng, c)[0],), ()):
        compare_with_torch(
            lambda x, m, v, w=None, b=None: ops.batch_norm(x, m, v, w, b),
            lambda x, m, v, w=None, b=None: torch.nn.functional.batch_norm(x, m, v, w, b),
            [x, mean, var, *given],
            differentiable=[0, *range(3, 3 + len(given))],
        )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 5), (1, 2, 2, 3, 2)])
def test_instance_norm_equals_pytorch(torch, rng, shape, dtype):
    norm = torch.nn.functional.instance_norm
    for given in (vectors(rng, shape[1]), ()):
        compare_with_torch(
            lambda x, w=None, b=None: ops.instance_norm(x, None, None, w, b),
            lambda x, w=None, b=None: norm(x, None, None, w, b),
            [rng.standard_normal(shape), *given],
            dtype=dtype,
            seed=1,
        )


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
@pytest.mark.parametrize("momentum", [0.1, 1.0, 0.0])
def test_running_statistics_equal_pytorch(torch, rng, name, momentum):
    ours = [mg.zeros(3), mg.ones(3)]
    theirs = [torch.zeros(3), torch.ones(3)]
    for _ in range(3):
        x = (2 + 3 * rng.standard_normal((4, 3, 2, 5))).astype(np.float32)
        for library, x_, stats in ((ops, mg.tensor(x), ours), (torch.nn.functional, torch.tensor(x), theirs)):
            getattr(library, name)(x_, *stats, None, None, True, momentum=momentum)
    for got, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


def test_running_statistics_are_moved_in_place_outside_the_graph(rng):
    x = rng.standard_normal((4, 3, 2))
    mean, var = mg.tensor(np.full(3, 5.0)), mg.tensor(np.full(3, 7.0))
    memory = mean.array
    y = ops.batch_norm(mg.tensor(x, requires_grad=True), mean, var, training=True, momentum=0.25)
    assert mean.array is memory
    assert not mean.requires_grad
    assert not var.requires_grad
    np.testing.assert_allclose(mean.numpy(), 0.75 * 5 + 0.25 * x.mean(axis=(0, 2)))
    np.testing.assert_allclose(var.numpy(), 0.75 * 7 + 0.25 * x.var(axis=(0, 2), ddof=1))
    y.sum().backward()


def test_a_write_to_running_statistics_is_seen_by_a_graph_that_needs_them(rng):
    """The update counts as an in-place write: an evaluation recorded before must not use the new values."""
    x = mg.tensor(rng.standard_normal((4, 3)), requires_grad=True)
    mean, var = mg.tensor(np.zeros(3)), mg.tensor(np.ones(3))
    evaluated = ops.batch_norm(x, mean, var)
    ops.batch_norm(x, mean, var, training=True)
    with pytest.raises(mg.errors.GraphError, match="changed in place"):
        evaluated.sum().backward()


def test_evaluation_leaves_running_statistics_alone(rng):
    mean, var = mg.tensor(np.zeros(3)), mg.tensor(np.ones(3))
    ops.batch_norm(mg.tensor(rng.standard_normal((4, 3))), mean, var)
    ops.instance_norm(mg.tensor(rng.standard_normal((4, 3, 2))), mean, var, use_input_stats=False)
    assert mean.tolist() == [0, 0, 0]
    assert var.tolist() == [1, 1, 1]


def test_the_statistics_are_differentiable_outputs(rng):
    """`mean` and `var` stand in the gradient's text, so a second derivative must flow through them."""
    op = mg.op.get_operation("batch_norm")
    inputs = [mg.tensor(a, requires_grad=True) for a in (rng.standard_normal((3, 2, 2)), *vectors(rng, 2))]
    for pick in (1, 2, slice(None)):
        assert gradcheck(lambda *xs, pick=pick: op(*xs, eps=1e-3)[pick], inputs)
        assert gradgradcheck(lambda *xs, pick=pick: op(*xs, eps=1e-3)[pick], inputs)


@pytest.mark.parametrize(
    "name, training", [("batch_norm", True), ("batch_norm", False), ("instance_norm", True)]
)
def test_memory_layout_is_kept(rng, name, training):
    a = rng.standard_normal((2, 4, 3, 5)).astype(np.float32)
    for array in (a, channels_last(a)):
        x = mg.from_numpy(array).detach().requires_grad_()
        y = getattr(ops, name)(x, mg.zeros(4), mg.ones(4), mg.ones(4), mg.zeros(4), training)
        assert y.array.strides == array.strides
        (gx,) = mg.grad(y, x, mg.from_numpy(np.ones_like(array)))
        assert gx.array.strides == array.strides
        np.testing.assert_allclose(
            y.numpy(),
            by_definition(a, [1] * 4, [0] * 4, 1e-5) if name == "batch_norm" and training else y.numpy(),
            atol=1e-5,
        )


@pytest.mark.parametrize("shape", [(64, 4, 28, 28), (4096, 4), (2, 4, 300)])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_float32_is_accurate(rng, shape, offset):
    """Statistics over many numbers, far from 0: results and gradients keep the digits that the data has."""
    x32 = channels_last((offset + rng.standard_normal(shape)).astype(np.float32))
    w32, g32 = rng.uniform(0.5, 2, 4).astype(np.float32), rng.standard_normal(shape).astype(np.float32)
    results = {}
    for dtype in (np.float32, np.float64):
        x, w = (
            mg.tensor(x32.astype(dtype), requires_grad=True),
            mg.tensor(w32.astype(dtype), requires_grad=True),
        )
        b = mg.tensor(np.zeros(4, dtype), requires_grad=True)
        y = ops.batch_norm(x, None, None, w, b, True)
        results[dtype] = [
            y.numpy(),
            *(g.numpy() for g in mg.grad(y, [x, w, b], mg.tensor(g32.astype(dtype)))),
        ]
    limit = 1e-6 * (1 + offset)  # the spacing of float32 numbers grows with the offset
    for got, expected in zip(results[np.float32], results[np.float64], strict=True):
        assert np.abs(got - expected).max() <= limit * np.abs(expected).max()


def test_a_constant_channel_becomes_its_bias():
    y = ops.batch_norm(mg.full((4, 2), 1e4), None, None, mg.ones(2), mg.tensor([1.0, 2.0]), True)
    assert y.tolist() == [[1, 2]] * 4


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_with_float32_parameters(rng, dtype):
    x = mg.tensor(
        300 * rng.standard_normal((8, 3, 4)), dtype=dtype, requires_grad=True
    )  # the variance exceeds 65,504
    w, b = mg.ones(3).requires_grad_(), mg.zeros(3).requires_grad_()
    mean, var = mg.zeros(3), mg.ones(3)
    y = ops.batch_norm(x, mean, var, w, b, True, momentum=1.0)
    gx, gw, gb = mg.grad((y * y * y).sum(), [x, w, b])
    assert (y.dtype, gx.dtype, gw.dtype, gb.dtype) == (x.dtype, x.dtype, w.dtype, b.dtype)
    exact = x.numpy().astype(np.float64)
    np.testing.assert_allclose(var.numpy(), exact.var(axis=(0, 2), ddof=1), rtol=1e-5)
    np.testing.assert_allclose(
        y.numpy().astype(np.float64),
        by_definition(exact, [1] * 3, [0] * 3, 1e-5),
        atol=2e-3 if dtype == "float16" else 2e-2,
    )
    assert np.isfinite(gx.numpy().astype(np.float64)).all()


def test_an_empty_batch_passes_in_evaluation():
    assert ops.batch_norm(mg.zeros(0, 3, 2), mg.zeros(3), mg.ones(3)).shape == (0, 3, 2)
    assert ops.instance_norm(mg.zeros(0, 3, 2)).shape == (0, 3, 2)


def test_what_is_refused():
    x, three = mg.zeros(4, 3), mg.zeros(3)
    with pytest.raises(ShapeError, match=r"two values per channel.*\[1, 3\] has 1"):
        ops.batch_norm(mg.zeros(1, 3), None, None, training=True)
    with pytest.raises(ShapeError, match=r"\[0, 3\] has 0"):
        ops.batch_norm(mg.zeros(0, 3), None, None, training=True)
    with pytest.raises(ShapeError, match=r"instance_norm needs.*\[2, 3, 1\] has 1"):
        ops.instance_norm(mg.zeros(2, 3, 1))
    with pytest.raises(ShapeError, match=r"at least 2 dimensions"):
        ops.batch_norm(three, None, None, training=True)
    with pytest.raises(ShapeError, match=r"weight has shape \[4\].*must be \[3\]"):
        ops.batch_norm(x, None, None, mg.zeros(4), training=True)
    with pytest.raises(ShapeError, match=r"running_mean has shape \[4\]"):
        ops.batch_norm(x, mg.zeros(4), three)
    with pytest.raises(ArgumentError, match="needs running_mean and running_var"):
        ops.batch_norm(x, None, None)
    with pytest.raises(ArgumentError, match=r"momentum must lie between 0 and 1, not 1\.5"):
        ops.batch_norm(x, three, three, training=True, momentum=1.5)
    with pytest.raises(DtypeError, match=r"floating-point.*int64"):
        ops.batch_norm(mg.zeros(4, 3).long(), None, None, training=True)
    with pytest.raises(DtypeError, match="weight is float64, x is float32"):
        ops.batch_norm(x, None, None, mg.zeros(3).double(), training=True)
