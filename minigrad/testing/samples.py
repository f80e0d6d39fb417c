"""Calling an operation on its own samples, in the ways that its promises are about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad import dtypes
from minigrad.autograd import grad
from minigrad.backend import default_backend
from minigrad.creation import from_numpy
from minigrad.errors import MinigradError
from minigrad.op import Operation
from minigrad.sample import Draw, Sample
from minigrad.tensor import Tensor


class OperationError(MinigradError, AssertionError):
    """An operation does not keep one of its promises."""


class SampleCall:
    """One sample of an operation: arrays, numbers and parameters, and what calling with them gives.

    Its floating-point inputs are the ones whose gradients are checked.
    """

    def __init__(self, op: Operation, sample: Sample) -> None:
        self.op, self.arguments, self.params = op, sample.inputs, sample.params
        self.floating = [
            i for i, x in enumerate(self.arguments) if isinstance(x, np.ndarray) and _floating(x)
        ]

    def __str__(self) -> str:
        inputs = [
            f"{x.dtype}{list(x.shape)}" if isinstance(x, np.ndarray) else repr(x) for x in self.arguments
        ]
        return f"{self.op.name}({', '.join(inputs + [f'{k}={v!r:.60}' for k, v in self.params.items()])})"

    def require(self, condition: Any, message: str) -> None:
        """Raise OperationError with this call in front of the message, unless the condition holds."""
        if not condition:
            raise OperationError(f"{self}: {message}")

    def tensors(self, dtype: np.dtype = dtypes.float64) -> list[Any]:
        """Fresh inputs; the floating-point ones as leaves of this dtype."""
        inputs = [Tensor(x) if isinstance(x, np.ndarray) else x for x in self.arguments]
        for i in self.floating:
            inputs[i] = inputs[i].to(dtype=dtype).requires_grad_()
        return inputs

    def laid_out(self, layout: Callable[[np.ndarray], np.ndarray]) -> list[Any]:
        """The inputs of `tensors` on arrays that `layout` has made of the sample's."""
        inputs = [from_numpy(layout(x)) if isinstance(x, np.ndarray) else x for x in self.arguments]
        for i in self.floating:
            inputs[i].requires_grad_()
        return inputs

    def run(self, inputs: Sequence[Any]) -> tuple[Tensor, ...]:
        """The outputs, always as a tuple and always from the same random stream."""
        with _same_randomness():
            outputs = self.op(*inputs, **self.params)
        return outputs if isinstance(outputs, tuple) else (outputs,)

    def run_back(
        self, inputs: Sequence[Any], create_graph: bool = False
    ) -> tuple[tuple[Tensor, ...], list[np.ndarray | None]]:
        """The outputs, and the gradients of the inputs that require one for fixed gradients that arrive."""
        outputs = self.run(inputs)
        leaves = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
        roots = [y for y in outputs if y.requires_grad]
        if not roots:
            return outputs, [None] * len(leaves)
        gys = [Tensor(np.cos(np.arange(y.numel())).reshape(y.shape), dtype=y.dtype) for y in roots]
        before = [gy.numpy().tobytes() for gy in gys]
        found = grad(roots, leaves, gys, create_graph=create_graph, allow_unused=True)
        self.require([gy.numpy().tobytes() for gy in gys] == before, "the gradient has changed gy")
        return outputs, [None if g is None else g.numpy() for g in found]


def all_samples(op: Operation) -> list[SampleCall]:
    """Every sample of an operation, the same arrays each time."""
    return [SampleCall(op, sample) for sample in op.samples(Draw(0))]


def differentiable_samples(op: Operation) -> list[SampleCall]:
    """The samples whose gradient can be checked; none for an operation that has none.

    Raises OperationError for an operation with a gradient whose samples leave it unchecked.
    """
    if op.gradient_fn is None:
        return []
    found = [call for call in all_samples(op) if call.floating]
    if not found:
        raise OperationError(
            f"{op.name} has a gradient, but no sample with a floating-point array to check it on"
        )
    return found


def _floating(x: np.ndarray) -> bool:
    return dtypes.is_floating(x.dtype)


@contextmanager
def _same_randomness() -> Iterator[None]:
    """The same random stream each time, and afterwards the one there was."""
    backend = default_backend()
    before = backend.rng
    backend.manual_seed(0)
    try:
        yield
    finally:
        backend.rng = before
