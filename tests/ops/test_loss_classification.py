"""Cross entropy and negative log-likelihood: against their definition, against PyTorch, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import observe, ops
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from tests.oracle import compare_with_torch

REDUCTIONS = ["none", "mean", "sum"]
SHAPES = [(5, 4), (2, 4, 3), (2, 3, 2, 2), (4,)]


def classes_for(rng, shape, ignore=None):
    """Class indices for scores of that shape, about a third of them ignored."""
    classes = shape[min(1, len(shape) - 1)]
    target = rng.integers(0, classes, shape[:1] * (len(shape) > 1) + shape[2:])
    return target if ignore is None else np.where(rng.random(target.shape) < 1 / 3, ignore, target)


def by_definition(logits, target, weight, ignore_index, smoothing):
    """Loss and weight of each sample, from rows of logits and one class each, in Python floats."""
    losses, weights = [], []
    for row, t in zip(logits.tolist(), target.tolist(), strict=True):
        largest = max(row)
        log_total = largest + math.log(sum(math.exp(v - largest) for v in row))
        q = [(1 - smoothing) * (c == t) + smoothing / len(row) for c in range(len(row))]
        counted = t != ignore_index
        losses.append(counted * -sum(weight[c] * q[c] * (row[c] - log_total) for c in range(len(row))))
        weights.append(weight[t] if counted else 0.0)
    return np.array(losses), np.array(weights)


@given(st.integers(1, 6), st.integers(1, 5), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([-100, 0, 2]))
def test_cross_entropy_follows_the_definition(n, classes, smoothing, ignore_index):
    rng = np.random.default_rng(n + classes)
    x, w, t = 3 * rng.standard_normal((n, classes)), rng.uniform(0.5, 2, classes), rng.integers(0, classes, n)
    losses, weights = by_definition(x, t, w, ignore_index, smoothing)
    expected = {
        "none": losses,
        "sum": losses.sum(),
        "mean": losses.sum() / weights.sum() if weights.sum() else np.nan,
    }
    for reduction in REDUCTIONS:
        y = ops.cross_entropy(
            mg.tensor(x),
            mg.tensor(t),
            mg.tensor(w),
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=smoothing,
        )
        np.testing.assert_allclose(y.numpy(), expected[reduction], rtol=1e-12, atol=1e-12)


def test_one_hot_probabilities_are_class_indices(rng):
    x, t = mg.tensor(rng.standard_normal((5, 4, 2))), rng.integers(0, 4, (5, 2))
    one_hot = mg.tensor(np.moveaxis(np.eye(4)[t], -1, 1))
    for options in ({}, {"label_smoothing": 0.2}, {"reduction": "none"}):
        by_class, by_share = (ops.cross_entropy(x, target, **options) for target in (mg.tensor(t), one_hot))
        np.testing.assert_allclose(by_class.numpy(), by_share.numpy(), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_cross_entropy_equals_pytorch(torch, rng, shape, reduction, dtype):
    x = 2 * rng.standard_normal(shape)
    w = rng.uniform(0.5, 2, shape[min(1, len(shape) - 1)])
    for weight in (None, w):
        for options in ({}, {"ignore_index": 1}, {"ignore_index": -7, "label_smoothing": 0.3}):
            t = classes_for(rng, shape, options.get("ignore_index") if len(shape) > 1 else None)
            options = {"reduction": reduction, **options}
            compare_with_torch(
                lambda x, t, w, options=options: ops.cross_entropy(x, t, w, **options),
                lambda x, t, w, options=options: torch.nn.functional.cross_entropy(x, t, w, **options),
                [x, t, weight],
                differentiable=[0],
                dtype=dtype,
            )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_probability_targets_equal_pytorch(torch, rng, shape, reduction, dtype):
    x, t = 2 * rng.standard_normal(shape), rng.uniform(0, 1, shape)
    for weight in (None, rng.uniform(0.5, 2, shape[min(1, len(shape) - 1)])):
        for smoothing in (0.0, 0.3):
            options = {"reduction": reduction, "label_smoothing": smoothing}
            compare_with_torch(
                lambda x, t, w, options=options: ops.cross_entropy(x, t, w, **options),
                lambda x, t, w, options=options: torch.nn.functional.cross_entropy(x, t, w, **options),
                [x, t, weight],
                dtype=dtype,
            )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_nll_loss_equals_pytorch(torch, rng, shape, reduction):
    x, w = rng.standard_normal(shape), rng.uniform(0.5, 2, shape[min(1, len(shape) - 1)])
    for weight in (None, w):
        for ignore in (-100, 1):
            t = classes_for(rng, shape, ignore if len(shape) > 1 else None)
            options = {"reduction": reduction, "ignore_index": ignore}
            compare_with_torch(
                lambda x, t, w, options=options: ops.nll_loss(x, t, w, **options),
                lambda x, t, w, options=options: torch.nn.functional.nll_loss(x, t, w, **options),
                [x, t, weight],
                differentiable=[0],
            )


def test_cross_entropy_is_one_operation(rng):
    class Names:
        def __init__(self):
            self.seen = []

        def before(self, call):
            self.seen.append((call.op.name, call.phase))

        def after(self, call):
            pass

    x = mg.tensor(rng.standard_normal((3, 4)), requires_grad=True)
    with observe.observe(Names()) as names:
        ops.cross_entropy(x, mg.tensor([0, 1, 3])).backward()
    assert names.seen == [("cross_entropy", "forward"), ("cross_entropy", "gradient")]


def test_the_gradient_is_softmax_minus_one_hot(rng):
    x = mg.tensor(rng.standard_normal((3, 4)), requires_grad=True)
    (gx,) = mg.grad(ops.cross_entropy(x, mg.tensor([0, 1, 3]), reduction="sum"), x)
    e = np.exp(x.numpy())
    np.testing.assert_allclose(
        gx.numpy(), e / e.sum(axis=1, keepdims=True) - np.eye(4)[[0, 1, 3]], atol=1e-15
    )


def test_extreme_logits_stay_finite():
    x = mg.tensor([[1000.0, -1000.0], [-math.inf, 0.0]], requires_grad=True)
    y = ops.cross_entropy(x, mg.tensor([1, 1]), reduction="none")
    assert y.tolist() == [2000, 0]
    assert mg.grad(y.sum(), x)[0].tolist() == [[1, -1], [0, 0]]
    assert mg.grad(ops.cross_entropy(x, mg.tensor([1, 1])), x, create_graph=True)[0].tolist() == [
        [0.5, -0.5],
        [0, 0],
    ]


@pytest.mark.parametrize("target", [np.zeros(0, np.int64), np.full(3, -100)])
def test_the_mean_over_no_target_is_nan(target):
    x = mg.zeros(len(target), 4).requires_grad_()
    y = ops.cross_entropy(x, mg.tensor(target))
    assert math.isnan(y.item())
    assert mg.grad(y, x)[0].tolist() == [[0, 0, 0, 0]] * len(target)  # no target, nothing to learn
    assert ops.cross_entropy(x, mg.tensor(target), reduction="sum").item() == 0
    assert ops.nll_loss(x, mg.tensor(target), reduction="none").tolist() == [0] * len(target)
    assert math.isnan(ops.cross_entropy(mg.zeros(0, 4), mg.zeros(0, 4)).item())


@pytest.mark.parametrize("dtype", ["int32", "uint8", "int8"])
def test_any_integer_type_counts_classes(rng, dtype):
    x = mg.tensor(rng.standard_normal((3, 4)))
    expected = ops.cross_entropy(x, mg.tensor([0, 1, 3])).item()
    assert ops.cross_entropy(x, mg.tensor([0, 1, 3], dtype=dtype)).item() == expected
    assert ops.cross_entropy(x, np.array([0, 1, 3], dtype)).item() == expected


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_wide(rng, dtype):
    x = mg.tensor(rng.standard_normal((300, 10)), dtype=dtype, requires_grad=True)
    t = mg.tensor(rng.integers(0, 10, 300))
    y = ops.cross_entropy(x, t)
    exact = ops.cross_entropy(x.detach().double(), t).item()
    assert y.dtype == x.dtype
    assert abs(y.item() - exact) <= (1e-3 if dtype == "float16" else 1e-2) * exact
    assert mg.grad(y, x)[0].dtype == x.dtype


@pytest.mark.parametrize("loss", [ops.cross_entropy, ops.nll_loss])
def test_targets_that_are_refused(loss):
    x = mg.zeros(2, 3, 2)
    with pytest.raises(
        ArgumentError,
        match=r"target\[1, 0\] is 3; with 3 classes .* between 0 and 2, or be ignore_index=-100",
    ):
        loss(x, mg.tensor([[0, 1], [3, 2]]))
    with pytest.raises(ArgumentError, match=r"target\[0, 1\] is -1"):
        loss(x, mg.tensor([[0, -1], [0, 2]]))
    with pytest.raises(ArgumentError, match=r"target is 5; with 3 classes"):
        loss(mg.zeros(3), mg.tensor(5))
    loss(x, mg.tensor([[0, 3], [3, 2]]), ignore_index=3)
    with pytest.raises(ShapeError, match=r"class indices must have shape \[2, 2\], not \[2\]"):
        loss(x, mg.tensor([0, 1]))
    with pytest.raises(DtypeError, match=r"integers of shape \[2, 2\], not float32\[2, 2\].*target.long"):
        loss(x, mg.zeros(2, 2))
    with pytest.raises(DtypeError, match=r"not bool\[2, 2\]"):
        loss(x, mg.zeros(2, 2).bool())
    with pytest.raises(DtypeError, match=r"takes a tensor, not list"):
        loss(x, [[0, 1], [1, 2]])


def test_other_arguments_that_are_refused():
    x, t = mg.zeros(2, 3), mg.tensor([0, 1])
    with pytest.raises(DtypeError, match=r"class probabilities and must be floating-point, not int64"):
        ops.cross_entropy(x, mg.zeros(2, 3).long())
    with pytest.raises(ArgumentError, match=r"reduction must be 'none' or 'mean' or 'sum', not 'average'"):
        ops.cross_entropy(x, t, reduction="average")
    with pytest.raises(ArgumentError, match=r"label_smoothing must lie between 0 and 1, not 1\.5"):
        ops.cross_entropy(x, t, label_smoothing=1.5)
    with pytest.raises(ShapeError, match=r"weight has shape \[2\].*must be \[3\], one number per class"):
        ops.cross_entropy(x, t, mg.ones(2))
    with pytest.raises(DtypeError, match=r"floating-point operands must have one dtype"):
        ops.cross_entropy(x, t, mg.ones(3).double())
    with pytest.raises(ShapeError, match=r"at least one class, not float32\[2, 0\]"):
        ops.cross_entropy(mg.zeros(2, 0), t)
    with pytest.raises(ShapeError, match=r"not float32\[\]"):
        ops.nll_loss(mg.tensor(1.0), mg.tensor(0))
    with pytest.raises(DtypeError, match=r"cross_entropy needs floating-point numbers, not int64\[2, 3\]"):
        ops.cross_entropy(x.long(), t)
