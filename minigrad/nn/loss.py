"""Losses as modules."""

from __future__ import annotations

from minigrad import ops
from minigrad.nn.module import Module
from minigrad.tensor import Tensor


class CrossEntropyLoss(Module):
    """The mean of -log softmax(x)[target]; see `minigrad.nn.functional.cross_entropy` for the formula with all options.

    weight:          (C,), how much each class counts, or None for 1; a buffer, so `to` moves it and `state_dict`
                     saves it.
    ignore_index:    targets of this value count for nothing.
    reduction:       "mean", "sum" or "none".
    label_smoothing: share of the target that is spread over all classes, in [0, 1].

    Shapes: x (N, C, ...), logits; target (N, ...), classes, or of x's shape, probabilities; y (), or (N, ...) with
    "none".

    >>> import minigrad as mg
    >>> mg.nn.CrossEntropyLoss()(mg.zeros(3, 2), mg.tensor([0, 1, 1]))
    tensor(0.6931472)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        self.weight: Tensor | None
        self.register_buffer("weight", weight)
        self.ignore_index, self.reduction, self.label_smoothing = ignore_index, reduction, label_smoothing

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Logits x (N, C, ...) and targets to the loss."""
        return ops.cross_entropy(
            x,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )
