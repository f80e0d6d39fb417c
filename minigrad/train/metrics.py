"""Numbers that say how well a classifier does."""

from __future__ import annotations

from minigrad.errors import ShapeError
from minigrad.tensor import Tensor


def accuracy(logits: Tensor, targets: Tensor) -> float:
    """Share of the targets that get the largest logit (the first, among equals), in [0, 1].

    logits:  (N, C) or (N, C, ...), any scores that grow with the probability.
    targets: (N,) or (N, ...), classes.

    Raises ShapeError for shapes that do not fit.

    >>> import minigrad as mg
    >>> accuracy(mg.tensor([[0.1, 0.9], [0.8, 0.2]]), mg.tensor([1, 1]))
    0.5
    """
    if logits.ndim < 2 or targets.shape != (logits.shape[0], *logits.shape[2:]):
        raise ShapeError(
            f"accuracy takes logits (N, C, ...) and targets (N, ...); got shapes {list(logits.shape)} and "
            f"{list(targets.shape)}"
        )
    return float((logits.numpy().argmax(axis=1) == targets.numpy()).mean())
