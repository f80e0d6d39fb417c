"""Sample calls of an operation, and the generator that makes their inputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np


class Sample(NamedTuple):
    """One call of an operation, as its tests, its page and the gradient check use it."""

    inputs: tuple[Any, ...]
    params: dict[str, Any]


class Draw:
    """Makes sample inputs: a seeded generator with the few distributions that operations need, in float64."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def normal(self, *shape: int) -> np.ndarray:
        """Standard normal numbers."""
        return self.rng.standard_normal(shape)

    def uniform(self, low: float, high: float, *shape: int) -> np.ndarray:
        """Uniform numbers in [low, high)."""
        return self.rng.uniform(low, high, shape)

    def apart(self, *shape: int, kinks: Iterable[float] = (), gap: float = 0.1) -> np.ndarray:
        """Distinct numbers, at least `gap` apart, and half of it from every kink: safe for max, sort, relu."""
        n = int(np.prod(shape))
        values = (self.rng.permutation(n) - n // 2 + 0.5) * gap + self.rng.uniform(-0.01, 0.01, n) * gap
        for kink in kinks:
            near = np.abs(values - kink) < gap / 2
            values = np.where(near, kink + np.where(values < kink, -gap / 2, gap / 2), values)
        return values.reshape(shape)

    def integers(self, low: int, high: int, *shape: int) -> np.ndarray:
        """int64 numbers in [low, high)."""
        return self.rng.integers(low, high, shape)

    def mask(self, *shape: int) -> np.ndarray:
        """Fair coin tosses, bool."""
        return self.rng.random(shape) < 0.5

    def call(self, *inputs: Any, **params: Any) -> Sample:
        """A sample call with these arrays (or numbers) and parameters."""
        return Sample(inputs, params)
