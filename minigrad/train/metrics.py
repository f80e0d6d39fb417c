"""Numbers that say how well a classifier does."""

from __future__ import annotations

from minigrad.tensor import Tensor


def accuracy(logits: Tensor, targets: Tensor) -> float:
    """Share of rows of `logits` (N, C) whose largest entry stands at the target (N,), in [0, 1]."""
    return float((logits.numpy().argmax(axis=1) == targets.numpy()).mean())
