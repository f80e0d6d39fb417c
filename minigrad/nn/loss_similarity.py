"""Losses that compare inputs with one another, as modules, and the distances they rest on."""

from __future__ import annotations

from minigrad import ops
from minigrad.nn.loss import Loss
from minigrad.nn.operation_layer import OperationLayer


class CosineSimilarity(OperationLayer):
    """x1 . x2 / (max(||x1||, eps) max(||x2||, eps)) along `dim`; see `minigrad.nn.functional.cosine_similarity`.

    >>> import minigrad as mg
    >>> mg.nn.CosineSimilarity()(mg.tensor([[1.0, 0.0]]), mg.tensor([[3.0, 4.0]]))
    tensor([0.6])
    """

    operation = staticmethod(ops.cosine_similarity)
    settings = ("dim", "eps")
    shown = ()

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim, self.eps = dim, eps


class PairwiseDistance(OperationLayer):
    """The p-norm of x1 - x2 + eps along the last dimension; see `minigrad.nn.functional.pairwise_distance`.

    >>> import minigrad as mg
    >>> mg.nn.PairwiseDistance()(mg.tensor([[3.0, 4.0]]), mg.zeros(1, 2))
    tensor([5.])
    """

    operation = staticmethod(ops.pairwise_distance)
    settings = ("p", "eps", "keepdim")
    shown = ()

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.p, self.eps, self.keepdim = p, eps, keepdim


class HingeEmbeddingLoss(Loss):
    """The mean of x where target is 1, and of max(0, margin - x) where it is -1: x are distances.

    See `minigrad.nn.functional.hinge_embedding_loss`. Shapes: x and target alike.

    >>> import minigrad as mg
    >>> mg.nn.HingeEmbeddingLoss(reduction="none")(mg.tensor([0.3, 0.3]), mg.tensor([1.0, -1.0]))
    tensor([0.3, 0.7])
    """

    operation = staticmethod(ops.hinge_embedding_loss)
    settings = ("margin", "reduction")

    def __init__(self, margin: float = 1.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = margin


class MarginRankingLoss(Loss):
    """The mean of max(0, -target (x1 - x2) + margin): x1 is to be larger where target is 1, x2 where it is -1.

    See `minigrad.nn.functional.margin_ranking_loss`. Shapes: x1, x2 and target alike.

    >>> import minigrad as mg
    >>> mg.nn.MarginRankingLoss(1.0)(mg.tensor([0.5]), mg.tensor([0.0]), mg.tensor([1.0]))
    tensor(0.5)
    """

    operation = staticmethod(ops.margin_ranking_loss)
    settings = ("margin", "reduction")

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = margin


class CosineEmbeddingLoss(Loss):
    """The mean of 1 - cos(x1, x2) where target is 1, and of max(0, cos(x1, x2) - margin) where it is -1.

    See `minigrad.nn.functional.cosine_embedding_loss`. Shapes: x1, x2 (N, D); target (N,); or without N.

    >>> import minigrad as mg
    >>> mg.nn.CosineEmbeddingLoss()(mg.tensor([[1.0, 0.0]]), mg.tensor([[3.0, 4.0]]), mg.tensor([1.0]))
    tensor(0.4)
    """

    operation = staticmethod(ops.cosine_embedding_loss)
    settings = ("margin", "reduction")

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = margin


class TripletMarginLoss(Loss):
    """The mean of max(0, d(anchor, positive) - d(anchor, negative) + margin), d the p-norm of the difference.

    margin: how much nearer than the negative the positive is to be.
    p, eps: as for `PairwiseDistance`.
    swap:   take d(positive, negative) instead of d(anchor, negative) where that is smaller.

    See `minigrad.nn.functional.triplet_margin_loss`. Shapes: anchor, positive, negative (N, D).

    >>> import minigrad as mg
    >>> anchor, positive, negative = mg.zeros(1, 1), mg.full((1, 1), 2.0), mg.full((1, 1), 2.5)
    >>> mg.nn.TripletMarginLoss(eps=0.0)(anchor, positive, negative)
    tensor(0.5)
    """

    operation = staticmethod(ops.triplet_margin_loss)
    settings = ("margin", "p", "eps", "swap", "reduction")

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        *,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap
