"""A function whose gradient is checked: calling it at a point, and at points beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad import dtypes
from minigrad.autograd import grad
from minigrad.errors import ArgumentError, DtypeError, MinigradError
from minigrad.tensor import Tensor


class GradcheckError(MinigradError, AssertionError):
    """A gradient is wrong, or cannot be checked because the function has a kink wherever it was tried."""


class Checked:
    """A function and the point at which its gradient is checked.

    Every call gets fresh tensors, so that nothing of the user's changes.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        inputs: Any,
        names: dict[int, str] | None = None,
        what: str = "the gradient",
    ) -> None:
        self.fn, self.what = fn, what
        self.inputs: list[Any] = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        self.indices = [i for i, x in enumerate(self.inputs) if isinstance(x, Tensor) and x.requires_grad]
        if not self.indices:
            raise ArgumentError(
                "nothing to check: no input requires grad; make one with "
                "mg.tensor(data, dtype='float64', requires_grad=True)"
            )
        for i in self.indices:
            if (dtype := self.inputs[i].dtype) != dtypes.float64:
                raise DtypeError(
                    f"input {i} is {dtype}: difference quotients need float64; convert it with x.double()"
                )
        self.names = names or {i: f"input {i}" for i in self.indices}
        self.point = [np.array(self.inputs[i].numpy()) for i in self.indices]

    def describe(self, k: int) -> str:
        """What is checked: the gradient with respect to the k-th input that requires one."""
        return (
            f"{self.what} with respect to {self.names[self.indices[k]]} (float64{list(self.point[k].shape)})"
        )

    def leaves(self, point: Sequence[np.ndarray]) -> list[Tensor]:
        """Fresh tensors with these values."""
        devices = [self.inputs[i].backend for i in self.indices]
        return [
            Tensor(a, device=device, requires_grad=True) for a, device in zip(point, devices, strict=True)
        ]

    def call(self, leaves: list[Tensor]) -> list[Tensor]:
        """The floating-point outputs for these leaves; refuses a function that changes its inputs."""
        arguments = list(self.inputs)
        for i, leaf in zip(self.indices, leaves, strict=True):
            arguments[i] = leaf
        before = [x.numpy().tobytes() if isinstance(x, Tensor) else None for x in arguments]
        outputs = floating_outputs(self.fn(*arguments))
        for i, x in enumerate(arguments):
            if isinstance(x, Tensor) and x.numpy().tobytes() != before[i]:
                raise GradcheckError(f"the function changed its input {i} in place")
        return outputs

    def values(self, point: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The floating-point outputs at a point, as NumPy arrays."""
        return [y.numpy() for y in self.call(self.leaves(point))]

    def moved(self, k: int, x: np.ndarray) -> list[np.ndarray]:
        """The point with another value of the k-th checked input."""
        return [*self.point[:k], x, *self.point[k + 1 :]]

    def along(self, k: int, x: np.ndarray, u: np.ndarray) -> Callable[[float], list[np.ndarray]]:
        """The function on the line x + t u of the k-th checked input."""
        return lambda t: self.values(self.moved(k, x + t * u))

    def gradients(
        self, point: Sequence[np.ndarray], v: list[np.ndarray], create_graph: bool
    ) -> list[np.ndarray]:
        """J^T v: one array for each input that requires grad."""
        leaves = self.leaves(point)
        outputs = self.call(leaves)
        seeds = [Tensor(a, device=y.backend) for a, y in zip(v, outputs, strict=True)]
        return [g.numpy() for g in gradients_or_zeros(outputs, leaves, seeds, create_graph)]


def floating_outputs(outputs: Any) -> list[Tensor]:
    """The outputs that can have a gradient."""
    given = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    found = [y for y in given if isinstance(y, Tensor) and dtypes.is_floating(y.dtype)]
    if not found:
        raise ArgumentError("the function returned no floating-point tensor: there is no gradient to check")
    for y in found:
        if y.dtype != dtypes.float64:
            raise DtypeError(
                f"the function returned {y.dtype} for float64 inputs: difference quotients need double precision "
                "throughout"
            )
    return found


def gradients_or_zeros(
    outputs: list[Tensor], leaves: list[Tensor], seeds: Sequence[Tensor], create_graph: bool
) -> tuple[Tensor, ...]:
    """Gradients with respect to the leaves, zero for those the outputs do not depend on."""
    pairs = [(y, v) for y, v in zip(outputs, seeds, strict=True) if y.requires_grad]
    found: Sequence[Tensor | None] = [None] * len(leaves)
    if pairs:
        ys, vs = zip(*pairs, strict=True)
        found = grad(ys, leaves, vs, create_graph=create_graph, allow_unused=True)
    return tuple(
        Tensor(np.zeros(x.shape), device=x.backend) if g is None else g
        for g, x in zip(found, leaves, strict=True)
    )
