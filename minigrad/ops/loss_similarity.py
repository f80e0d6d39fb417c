"""Likeness of vectors, and losses that pull pairs together or push them apart."""

from __future__ import annotations

from typing import Any

from minigrad import ops
from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import operation
from minigrad.ops.arguments import count, need_floating
from minigrad.ops.dims import as_dim
from minigrad.ops.reduction import check_pair, check_reduction, reduced

__all__ = [
    "cosine_embedding_loss",
    "cosine_similarity",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "pairwise_distance",
    "soft_margin_loss",
    "triplet_margin_loss",
]
METHODS: list[str] = []


def _length(xp: Any, a: Any, dim: int, eps: float) -> Any:
    """max(||a||, eps) along `dim`, which is kept. The maximum goes before the root, whose slope at 0 is infinite."""
    return xp.sqrt(xp.maximum(xp.sum(a * a, axis=dim, keepdims=True), eps * eps))


@operation(
    name="cosine_similarity",
    formula="y = a . b / (|a| |b|), lengths at least eps",
    gradient_formula="ga = gy (b / |b| - y a / |a|) / |a|, and gb likewise; without y where |a| is below eps",
    source="Salton & McGill 1983, chapter 4",
    samples=lambda draw: [
        draw.call(draw.normal(3, 4), draw.normal(3, 4), dim=1, eps=1e-8),
        draw.call(draw.normal(2, 3, 2), draw.normal(2, 3, 2), dim=0, eps=0.1),
    ],
    dtypes="promote",
    flops=lambda inputs, outputs, params: 6 * count(inputs[0]),
)
def _cosine_similarity(xp, a, b, *, dim, eps):
    return xp.sum((a / _length(xp, a, dim, eps)) * (b / _length(xp, b, dim, eps)), axis=dim)


@_cosine_similarity.gradient
def cosine_similarity_gradient(xp, gy, a, b, needs, *, dim, eps):
    length_a, length_b = _length(xp, a, dim, eps), _length(xp, b, dim, eps)
    unit_a, unit_b = a / length_a, b / length_b
    y = xp.sum(unit_a * unit_b, axis=dim, keepdims=True)
    gy = xp.expand_dims(gy, dim)
    ga = gb = None
    if needs[0]:
        ga = gy / length_a * (unit_b - xp.where(length_a > eps, y, 0) * unit_a)
    if needs[1]:
        gb = gy / length_b * (unit_a - xp.where(length_b > eps, y, 0) * unit_b)
    return ga, gb


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between vectors: y = x1 . x2 / (max(||x1||, eps) max(||x2||, eps)).

    Parameters
        x1, x2: floating-point, shapes that broadcast together.
        dim: the dimension of the common shape along which the vectors lie.
        eps: the smallest length, so that the likeness to a vector of zeros is 0.

    Returns y, of the common shape without `dim`.

    Gradient: gx1 = gy (x2 / ||x2|| - y x1 / ||x1||) / ||x1||, and gx2 likewise; a length below eps counts as constant.

    Source: Salton & McGill 1983, "Introduction to Modern Information Retrieval", chapter 4.

    >>> import minigrad as mg
    >>> mg.cosine_similarity(mg.tensor([[1.0, 0.0], [1.0, 0.0]]), mg.tensor([[3.0, 4.0], [-2.0, 0.0]]))
    tensor([ 0.6, -1. ])
    """
    need_floating("cosine_similarity", x1)
    need_floating("cosine_similarity", x2)
    if x1.shape != x2.shape:
        x1, x2 = ops.broadcast_tensors(x1, x2)
    if not x1.ndim:  # two numbers are vectors of one element
        x1, x2 = ops.reshape(x1, 1), ops.reshape(x2, 1)
    return _cosine_similarity(x1, x2, dim=as_dim(dim, x1.shape), eps=eps)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of x1 - x2 + eps along the last dimension; eps keeps the gradient finite where they are equal.

    >>> import minigrad as mg
    >>> mg.nn.functional.pairwise_distance(mg.tensor([[3.0, 4.0]]), mg.zeros(1, 2), eps=0.0)
    tensor([5.])
    """
    need_floating("pairwise_distance", x1)
    return ops.norm(x1 - x2 + eps, p, -1, keepdim)


def cosine_embedding_loss(
    x1: Any, x2: Any, target: Any, margin: float = 0.0, *, reduction: str = "mean"
) -> Any:
    """Pull like vectors together, push unlike ones apart until their cosine is at most `margin`.

        loss = 1 - cos(x1, x2) where target is 1, max(0, cos(x1, x2) - margin) where it is -1

    Parameters
        x1, x2: (N, D), or (D,).
        target: 1 or -1 for each pair, (N,), or 0-dimensional.
        margin: in [-1, 1].
        reduction: "none", "sum" or "mean".

    Source: the contrastive loss of Hadsell, Chopra & LeCun 2006, with the cosine in place of the distance.

    >>> import minigrad as mg
    >>> x1, x2 = mg.tensor([[1.0, 0.0], [1.0, 0.0]]), mg.tensor([[0.0, 2.0], [0.0, 2.0]])
    >>> mg.nn.functional.cosine_embedding_loss(x1, x2, mg.tensor([1, -1]), margin=-0.5, reduction="none")
    tensor([1. , 0.5])
    """
    check_reduction("cosine_embedding_loss", reduction)
    check_pair("cosine_embedding_loss", x1, x2)
    if target.shape != x1.shape[:-1]:
        raise ShapeError(
            f"cosine_embedding_loss: for vectors of shape {list(x1.shape)} target must have shape "
            f"{list(x1.shape[:-1])}, not {list(target.shape)}"
        )
    cosine = cosine_similarity(x1, x2, dim=-1)
    losses = _by_sign("cosine_embedding_loss", target, 1 - cosine, ops.clamp(cosine - margin, min=0))
    return reduced(ops, losses, reduction)


def hinge_embedding_loss(x: Any, target: Any, margin: float = 1.0, *, reduction: str = "mean") -> Any:
    """Make distances x small where target is 1, and larger than `margin` where it is -1.

        loss = x where target is 1, max(0, margin - x) where it is -1

    x and target have one shape; reduction is "none", "sum" or "mean".

    Source: Hadsell, Chopra & LeCun 2006, equation 4, with distances in place of their squares.

    >>> import minigrad as mg
    >>> mg.nn.functional.hinge_embedding_loss(mg.tensor([0.3, 0.3]), mg.tensor([1, -1]), reduction="none")
    tensor([0.3, 0.7])
    """
    check_reduction("hinge_embedding_loss", reduction)
    check_pair("hinge_embedding_loss", x, target)
    losses = _by_sign("hinge_embedding_loss", target, x, ops.clamp(margin - x, min=0))
    return reduced(ops, losses, reduction)


def margin_ranking_loss(
    x1: Any, x2: Any, target: Any, margin: float = 0.0, *, reduction: str = "mean"
) -> Any:
    """Rank x1 above x2 where target is 1, below it where target is -1: loss = max(0, margin - target (x1 - x2)).

    The three have one shape; reduction is "none", "sum" or "mean".

    Source: Herbrich, Graepel & Obermayer 2000, section 3.

    >>> import minigrad as mg
    >>> a, b = mg.tensor([2.0, 2.0]), mg.tensor([1.0, 1.0])
    >>> mg.nn.functional.margin_ranking_loss(a, b, mg.tensor([1, -1]), reduction="none")
    tensor([0., 1.])
    """
    check_reduction("margin_ranking_loss", reduction)
    check_pair("margin_ranking_loss", x1, x2)
    check_pair("margin_ranking_loss", x1, target)
    return reduced(ops, ops.clamp(margin - target * (x1 - x2), min=0), reduction)


def soft_margin_loss(x: Any, target: Any, *, reduction: str = "mean") -> Any:
    """Logistic loss of a score x for targets of 1 and -1: loss = log(1 + exp(-target x)).

    x and target have one shape; reduction is "none", "sum" or "mean".

    Source: Hastie, Tibshirani & Friedman 2009, "The Elements of Statistical Learning", equation 10.18.

    >>> import minigrad as mg
    >>> mg.nn.functional.soft_margin_loss(mg.tensor([0.0, 1000.0]), mg.tensor([1, -1]), reduction="none")
    tensor([6.931472e-01, 1.000000e+03])
    """
    check_reduction("soft_margin_loss", reduction)
    check_pair("soft_margin_loss", x, target)
    z = -target * x
    losses = ops.clamp(z, min=0) + ops.log1p(ops.exp(-ops.abs(z)))
    return reduced(ops, losses, reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Any:
    """Bring the anchor nearer to its positive than to its negative, by at least `margin`.

        loss = max(0, ||anchor - positive||_p - ||anchor - negative||_p + margin)

    Parameters
        anchor, positive, negative: (N, D), or (D,).
        swap: take the smaller of the negative's distances from the anchor and from the positive.
        eps: added to differences, see `pairwise_distance`.
        reduction: "none", "sum" or "mean".

    Source: Schroff, Kalenichenko & Philbin 2015, equation 1; swap: Balntas et al. 2016, section 3.2.

    >>> import minigrad as mg
    >>> a, p, n = mg.tensor([[0.0, 0.0]]), mg.tensor([[0.0, 1.0]]), mg.tensor([[1.5, 0.0]])
    >>> mg.nn.functional.triplet_margin_loss(a, p, n, eps=0.0)
    tensor(0.5)
    """
    check_reduction("triplet_margin_loss", reduction)
    check_pair("triplet_margin_loss", anchor, positive)
    check_pair("triplet_margin_loss", anchor, negative)
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = ops.minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced(ops, ops.clamp(near - far + margin, min=0), reduction)


def _by_sign(name: str, target: Any, if_one: Any, if_minus_one: Any) -> Any:
    """One of two losses, by a target of 1 or -1; any other is refused."""
    values = getattr(target, "array", target)
    other = values[(values != 1) & (values != -1)]
    if other.size:
        raise ArgumentError(f"{name}: each target must be 1 or -1; one is {other[0].item():g}")
    return ops.where(target == 1, if_one, if_minus_one)
