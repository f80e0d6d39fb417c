"""What all metrics share: taking in batches one by one, a result that is exact over all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, ShapeError
from minigrad.tensor import Tensor


class Metric:
    """Base of the metrics: `update(output, targets)` takes in a batch, `compute()` gives the result over all batches
    since `reset()`.

    A subclass defines the three, and names in `saved` the attributes in which it gathers.
    """

    saved: tuple[str, ...] = ()

    def reset(self) -> None:
        """Forget what was seen."""
        raise NotImplementedError(f"{type(self).__name__} does not define reset()")

    def update(self, output: Any, targets: Any) -> None:
        """Take in a batch."""
        raise NotImplementedError(f"{type(self).__name__} does not define update()")

    def compute(self) -> Any:
        """A number, or an array of them, over everything seen; NaN if that is nothing."""
        raise NotImplementedError(f"{type(self).__name__} does not define compute()")

    def state_dict(self) -> dict[str, Any]:
        """What was seen, in numbers and NumPy arrays."""
        return {name: getattr(self, name) for name in self.saved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a saved state of the same metric."""
        for name in self.saved:
            setattr(self, name, state_dict[name])


class Mean(Metric):
    """The mean over examples of a function of a batch: (output, targets) -> the mean over the batch's examples.

    function: itself a mean over examples: a mean of precisions, say, is no precision. None: call `add` instead.

    >>> largest = Mean(lambda output, targets: output.abs().mean().item())
    >>> for outputs in ([1.0, 3.0], [8.0]):
    ...     largest.update(Tensor(outputs), targets=Tensor(outputs))
    >>> largest.compute()
    4.0
    """

    saved = ("total", "count")

    def __init__(self, function: Callable[[Any, Any], float] | None = None) -> None:
        self.function = function
        self.reset()

    def reset(self) -> None:
        self.total, self.count = 0.0, 0

    def update(self, output: Any, targets: Any) -> None:
        if self.function is None:
            raise ArgumentError("this Mean has no function of outputs and targets: give it numbers by add()")
        self.add(float(self.function(output, targets)), len(targets))

    def add(self, mean: float, count: int) -> None:
        """Take in a mean over `count` examples."""
        self.total += count * mean
        self.count += count

    def compute(self) -> float:
        return self.total / self.count if self.count else math.nan


def target_classes(name: str, logits: Tensor, targets: Tensor) -> np.ndarray:
    """The targets as classes, (N, ...)."""
    if logits.ndim >= 2 and targets.shape == (logits.shape[0], *logits.shape[2:]):
        return targets.numpy()
    if logits.ndim >= 2 and targets.shape == logits.shape and targets.dtype.kind == "f":
        return targets.numpy().argmax(axis=1)
    raise ShapeError(
        f"{name} takes logits (N, C, ...) and targets (N, ...); got shapes {list(logits.shape)} and "
        f"{list(targets.shape)}"
    )
