"""Cosine similarity, distances, and the losses of pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import ops
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from tests.oracle import compare_with_torch

REDUCTIONS = ["none", "mean", "sum"]


@given(st.integers(1, 5), st.integers(1, 5))
def test_cosine_similarity_follows_the_definition(n, d):
    rng = np.random.default_rng(n)
    a, b = rng.standard_normal((2, n, d))
    expected = [
        math.fsum(x * y for x, y in zip(u, v, strict=True)) / (math.hypot(*u) * math.hypot(*v))
        for u, v in zip(a.tolist(), b.tolist(), strict=True)
    ]
    y = ops.cosine_similarity(mg.tensor(a), mg.tensor(b))
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "shape1, shape2, dim",
    [
        ((3, 4), (3, 4), 1),
        ((2, 3, 4), (2, 3, 4), 0),
        ((3, 1, 4), (2, 4), -1),
        ((4,), (4,), 0),
        ((3, 4), (1, 1), 1),
    ],
)
def test_cosine_similarity_equals_pytorch(torch, rng, shape1, shape2, dim, dtype):
    compare_with_torch(
        lambda a, b: ops.cosine_similarity(a, b, dim),
        lambda a, b: torch.nn.functional.cosine_similarity(a, b, dim),
        [rng.standard_normal(shape1), rng.standard_normal(shape2)],
        dtype=dtype,
    )


def test_numbers_are_vectors_of_one_element():
    y = ops.cosine_similarity(mg.tensor(-2.0), mg.tensor([3.0, -4.0]).reshape(2)[0], dim=0)
    assert y.shape == ()
    assert y.item() == -1


def test_likeness_to_zero_is_0_with_a_finite_gradient(torch):
    compare_with_torch(
        lambda a, b: ops.cosine_similarity(a, b, eps=0.5),
        lambda a, b: torch.nn.functional.cosine_similarity(a, b, eps=0.5),
        [np.array([[0.0, 0.0], [1.0, 2.0]]), np.array([[1.0, 2.0], [2.0, 1.0]])],
        order=1,
    )
    a = mg.zeros(1, 3).requires_grad_()
    y = ops.cosine_similarity(a, mg.ones(1, 3))
    assert y.item() == 0
    (ga,) = mg.grad(y, a, create_graph=True)
    (second,) = mg.grad(ga.sum(), a)
    assert np.isfinite(second.numpy()).all()


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("keepdim", [False, True])
def test_pairwise_distance_equals_pytorch(torch, rng, p, keepdim):
    compare_with_torch(
        lambda a, b: ops.pairwise_distance(a, b, p, keepdim=keepdim),
        lambda a, b: torch.nn.functional.pairwise_distance(a, b, p, keepdim=keepdim),
        [rng.standard_normal((3, 4)), rng.standard_normal((3, 4))],
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_losses_of_pairs_equal_pytorch(torch, rng, margin, reduction):
    a, b = 2 * rng.standard_normal((2, 6))
    target = np.array([1, -1, 1, -1, -1, 1])
    functional, options = torch.nn.functional, {"margin": margin, "reduction": reduction}
    compare_with_torch(
        lambda x, t: ops.hinge_embedding_loss(x, t, **options),
        lambda x, t: functional.hinge_embedding_loss(x, t, **options),
        [a, target],
    )
    compare_with_torch(
        lambda x, y, t: ops.margin_ranking_loss(x, y, t, **options),
        lambda x, y, t: functional.margin_ranking_loss(x, y, t, **options),
        [a, b, target],
    )
    compare_with_torch(
        lambda x, t: ops.soft_margin_loss(x, t, reduction=reduction),
        lambda x, t: functional.soft_margin_loss(x, t, reduction=reduction),
        [a, target.astype(np.float64)],
        differentiable=[0],
    )
    compare_with_torch(
        lambda x, y, t: ops.cosine_embedding_loss(x, y, t, **options),
        lambda x, y, t: functional.cosine_embedding_loss(x, y, t, **options),
        [rng.standard_normal((6, 3)), rng.standard_normal((6, 3)), target],
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("p", [1.0, 2.0])
def test_triplet_margin_loss_equals_pytorch(torch, rng, p, swap, reduction):
    compare_with_torch(
        lambda a, b, c: ops.triplet_margin_loss(a, b, c, 0.8, p, swap=swap, reduction=reduction),
        lambda a, b, c: torch.nn.functional.triplet_margin_loss(
            a, b, c, 0.8, p, swap=swap, reduction=reduction
        ),
        list(rng.standard_normal((3, 5, 4))),
    )


def test_one_pair_without_a_batch(torch, rng):
    compare_with_torch(
        ops.cosine_embedding_loss,
        torch.nn.functional.cosine_embedding_loss,
        [rng.standard_normal(3), rng.standard_normal(3), np.array(-1)],
    )


def test_what_is_refused():
    a = mg.zeros(2, 3)
    with pytest.raises(
        DtypeError, match=r"cosine_similarity needs floating-point numbers, not int64\[2, 3\]"
    ):
        ops.cosine_similarity(a, a.long())
    with pytest.raises(ArgumentError, match=r"dim 2 is out of range for a tensor of shape \[2, 3\]"):
        ops.cosine_similarity(a, a, 2)
    with pytest.raises(ShapeError, match=r"\[2, 3\].*\[2, 2\]"):
        ops.cosine_similarity(a, mg.zeros(2, 2))
    with pytest.raises(ShapeError, match=r"target must have shape \[2\], not \[2, 1\]"):
        ops.cosine_embedding_loss(a, a, mg.ones(2, 1))
    with pytest.raises(ShapeError, match=r"margin_ranking_loss: x has shape \[2, 3\] and target \[3\]"):
        ops.margin_ranking_loss(a, a, mg.ones(3))
    with pytest.raises(ShapeError, match=r"triplet_margin_loss: x has shape \[2, 3\] and target \[3\]"):
        ops.triplet_margin_loss(a, a, mg.ones(3))
    with pytest.raises(ArgumentError, match="hinge_embedding_loss: reduction"):
        ops.hinge_embedding_loss(a, a, reduction="batchmean")
    with pytest.raises(ArgumentError, match="hinge_embedding_loss: each target must be 1 or -1; one is 0"):
        ops.hinge_embedding_loss(a, mg.zeros(2, 3))
    with pytest.raises(ArgumentError, match="cosine_embedding_loss: each target must be 1 or -1; one is 2"):
        ops.cosine_embedding_loss(a, a, mg.tensor([1, 2]))
