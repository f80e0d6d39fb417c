"""Numbers that say how well a model does, exact over all the examples they have seen, however these came in batches."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from minigrad import ops
from minigrad.engine import no_grad
from minigrad.errors import ArgumentError, StateError
from minigrad.tensor import Tensor
from minigrad.train.confusion import F1, ConfusionMatrix, Precision, Recall
from minigrad.train.metric import Mean, Metric, target_classes


def accuracy(logits: Tensor, targets: Tensor) -> float:
    """Share of the targets that get the largest logit (the first, among equals), in [0, 1].

    logits:  (N, C) or (N, C, ...), any scores that grow with the probability.
    targets: (N,) or (N, ...), classes; or of the logits' shape, probabilities, of which the largest counts.

    Raises ShapeError for shapes that do not fit.

    >>> import minigrad as mg
    >>> accuracy(mg.tensor([[0.1, 0.9], [0.8, 0.2]]), mg.tensor([1, 1]))
    0.5
    """
    return float((logits.numpy().argmax(axis=1) == target_classes("accuracy", logits, targets)).mean())


class Accuracy(Metric):
    """Share of the targets that get the largest logit; see `accuracy`.

    >>> import minigrad as mg
    >>> share = Accuracy()
    >>> share.update(mg.tensor([[0.0, 1.0], [0.0, 1.0]]), mg.tensor([1, 1]))
    >>> share.update(mg.tensor([[0.0, 1.0]]), mg.tensor([0]))
    >>> share.compute()
    0.67
    """

    saved = ("right", "count")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.right = self.count = 0

    def update(self, output: Tensor, targets: Tensor) -> None:
        right = self._is_right(output.numpy(), target_classes(type(self).__name__, output, targets))
        self.right += int(right.sum())
        self.count += right.size

    def _is_right(self, logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
        return logits.argmax(axis=1) == classes

    def compute(self) -> float:
        return self.right / self.count if self.count else math.nan


class TopKAccuracy(Accuracy):
    """Share of the targets that are among the k classes with the largest logits, in [0, 1].

    Among equal logits the first count as larger, a NaN counts as the smallest. Shapes as for `accuracy`. Raises
    ArgumentError for k < 1.

    >>> import minigrad as mg
    >>> top2 = TopKAccuracy(2)
    >>> top2.update(mg.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), mg.tensor([1, 2]))
    >>> top2.compute()
    0.5
    """

    def __init__(self, k: int) -> None:
        if not isinstance(k, int) or k < 1:
            raise ArgumentError(f"k must be a whole number from 1, not {k!r}")
        self.k = k
        super().__init__()

    def _is_right(self, logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
        scores, classes = np.moveaxis(logits, 1, -1), classes[..., None]  # (N, ..., C) and (N, ..., 1)
        own = np.take_along_axis(scores, classes, -1)
        before = (scores == own) & (np.arange(scores.shape[-1]) < classes)
        ranks = ((scores > own) | before).sum(-1)
        return (ranks < self.k) & ~np.isnan(own[..., 0])


class Perplexity(Metric):
    """exp of the mean cross entropy (natural logarithm) per target: how many classes the model hesitates between.

    ignore_index: targets of this value do not count.

    logits (N, C, ...) and targets (N, ...), as for `cross_entropy`. Over several batches it is the
    exponential of one mean over all targets, never a mean of perplexities. Infinite above about exp(709).

    >>> import minigrad as mg
    >>> perplexity = Perplexity()
    >>> perplexity.update(mg.zeros(3, 8), mg.tensor([0, 5, 7]))
    >>> perplexity.compute()
    8.00
    """

    saved = ("total", "count")

    def __init__(self, ignore_index: int = -100) -> None:
        self.ignore_index = ignore_index
        self.reset()

    def reset(self) -> None:
        self.total, self.count = 0.0, 0

    def update(self, output: Tensor, targets: Tensor) -> None:
        classes = target_classes(type(self).__name__, output, targets)
        with no_grad():
            loss = ops.cross_entropy(output, targets, ignore_index=self.ignore_index, reduction="sum")
        self.total += loss.item()
        self.count += int((classes != self.ignore_index).sum())

    def compute(self) -> float:
        if not self.count:
            return math.nan
        mean = self.total / self.count
        return math.exp(mean) if not mean > 709 else math.inf


BY_NAME: dict[str, Callable[[], Metric]] = {
    "accuracy": Accuracy,
    "confusion": ConfusionMatrix,
    "precision": Precision,
    "recall": Recall,
    "f1": F1,
    "perplexity": Perplexity,
}

Metrics = Mapping[str, Callable[[Any, Any], float] | Metric] | Iterable[str]


def metrics_by_name(metrics: Metrics) -> dict[str, Metric]:
    """Metrics from names ("accuracy", "top5_accuracy", "precision", "recall", "f1", "perplexity", "confusion"), or from
    a dictionary {name: Metric, or a function for `Mean`}.

    >>> list(metrics_by_name(["accuracy", "top5_accuracy"]))
    ['accuracy', 'top5_accuracy']
    """
    if isinstance(metrics, str):
        metrics = [metrics]
    if not isinstance(metrics, Mapping):
        metrics = {name: _metric(name) for name in metrics}
    if "loss" in metrics:
        raise ArgumentError("the name loss is taken: the loss is measured in any case")
    return {name: metric if isinstance(metric, Metric) else Mean(metric) for name, metric in metrics.items()}


def _metric(name: str) -> Metric:
    top = re.fullmatch(r"top(\d+)_accuracy", str(name))
    if top:
        return TopKAccuracy(int(top[1]))
    if name not in BY_NAME:
        known = ", ".join([*BY_NAME, "top5_accuracy (or another number)"])
        raise ArgumentError(
            f"there is no metric {name!r}; known are {known}. A function can be given as {{name: f}}"
        )
    return BY_NAME[name]()


class Totals:
    """Loss and metrics over the batches of an epoch."""

    def __init__(self, metrics: Metrics) -> None:
        self.loss, self.metrics = Mean(), metrics_by_name(metrics)

    def reset(self) -> Totals:
        """Forget what was seen; returns itself."""
        for metric in self._all().values():
            metric.reset()
        return self

    def add(self, loss: float, output: Any, targets: Any) -> None:
        """Take in a batch, whose mean loss is given."""
        self.loss.add(loss, len(targets))
        for metric in self.metrics.values():
            metric.update(output, targets)

    def results(self, purpose: str) -> dict[str, Any]:
        """The numbers by name, matrices as lists of lists; an ArgumentError if there was nothing to `purpose`."""
        if not self.loss.count:
            raise ArgumentError(f"there is nothing to {purpose}: the loader yields no examples")
        results = {name: metric.compute() for name, metric in self._all().items()}
        return {
            name: value.tolist() if hasattr(value, "tolist") else value for name, value in results.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """What was seen, in numbers and NumPy arrays by the metrics' names."""
        return {name: metric.state_dict() for name, metric in self._all().items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a saved state. Raises StateError for one with other metrics."""
        if set(state_dict) != set(self._all()):
            raise StateError(
                f"the run measured {', '.join(sorted(state_dict))}, the trainer {', '.join(sorted(self._all()))}"
            )
        for name, metric in self._all().items():
            metric.load_state_dict(state_dict[name])

    def _all(self) -> dict[str, Metric]:
        return {"loss": self.loss, **self.metrics}
