"""Metrics that are made of how often each class was taken for each other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, ShapeError
from minigrad.tensor import Tensor
from minigrad.train.metric import Metric, target_classes


class ConfusionMatrix(Metric):
    """How often each true class (row) was taken for each class (column): integers of shape (C, C).

    Shapes as for `accuracy`; C is that of the logits.

    >>> import minigrad as mg
    >>> confusion = ConfusionMatrix()
    >>> confusion.update(mg.tensor([[2.0, 1.0], [2.0, 1.0], [1.0, 2.0]]), mg.tensor([0, 1, 1]))
    >>> confusion.compute()
    array([[1, 0],
           [1, 1]])
    """

    saved = ("counts",)

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.counts = np.zeros((0, 0), dtype=np.int64)

    def update(self, output: Tensor, targets: Tensor) -> None:
        true = target_classes(type(self).__name__, output, targets).ravel()
        predicted = output.numpy().argmax(axis=1).ravel()
        C = output.shape[1]
        if self.counts.size == 0:
            self.counts = np.zeros((C, C), dtype=np.int64)
        if len(self.counts) != C or (true.size and not 0 <= true.min() <= true.max() < C):
            raise ShapeError(
                f"{type(self).__name__} counts {len(self.counts)} classes; got logits of {C} classes and targets from "
                f"{true.min()} to {true.max()}"
            )
        self.counts = self.counts + np.bincount(true * C + predicted, minlength=C * C).reshape(C, C)

    def compute(self) -> Any:
        return self.counts


class _Share(ConfusionMatrix):
    """A quotient of each class's counts.

    average: "macro", the mean over the classes that occur among targets or predictions; "micro", the quotient of the
             sums over all classes; None, an array of one number for each class. 0 / 0 counts as 0.
    """

    def __init__(self, average: str | None = "macro") -> None:
        if average not in ("macro", "micro", None):
            raise ArgumentError(f'average must be "macro", "micro" or None, not {average!r}')
        self.average = average
        super().__init__()

    def _quotient(self, right: Any, predicted: Any, true: Any) -> tuple[Any, Any]:
        raise NotImplementedError

    def compute(self) -> Any:
        right, predicted, true = self.counts.diagonal(), self.counts.sum(axis=0), self.counts.sum(axis=1)
        above, below = self._quotient(right, predicted, true)
        if self.average == "micro":
            above, below = above.sum(), below.sum()
        shares = above / np.maximum(below, 1)
        if self.average is None:
            return shares
        if not self.counts.any():
            return math.nan
        return float(shares if self.average == "micro" else shares[predicted + true > 0].mean())


class Precision(_Share):
    """Of the examples taken for a class, the share that is of it. Arguments as for `F1`."""

    def _quotient(self, right: Any, predicted: Any, true: Any) -> tuple[Any, Any]:
        return right, predicted


class Recall(_Share):
    """Of the examples of a class, the share that is recognised. Arguments as for `F1`."""

    def _quotient(self, right: Any, predicted: Any, true: Any) -> tuple[Any, Any]:
        return right, true


class F1(_Share):
    """The harmonic mean of precision and recall: F1 = 2 P R / (P + R) = 2 right / (predicted + true) of each class.

    average: "macro", the mean over the classes that occur among targets or predictions; "micro", one quotient of the
             sums over all classes (with one class for each example that is the accuracy); None, an array of one number
             for each class. 0 / 0 counts as 0.

    Shapes as for `accuracy`. Raises ArgumentError for another average.

    >>> import minigrad as mg
    >>> logits, targets = mg.tensor([[2.0, 1.0], [2.0, 1.0], [1.0, 2.0]]), mg.tensor([0, 1, 1])
    >>> for average in (None, "macro"):
    ...     f1 = F1(average)
    ...     f1.update(logits, targets)
    ...     print(f1.compute())
    [0.67 0.67]
    0.67
    """

    def _quotient(self, right: Any, predicted: Any, true: Any) -> tuple[Any, Any]:
        return 2 * right, predicted + true
