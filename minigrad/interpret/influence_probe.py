"""A model, the data it is probed with and the loss: run as often as wanted, leaving no trace.

After a probe all is as it was, bit for bit: parameters and their gradients, buffers (running averages of batch norms),
the modes of modules, random streams, optimisers. Only hooks on modules are called, since they are part of what a model
computes; those on parameters are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad import creation, dtypes, engine
from minigrad.autograd import grad
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn import functional as F
from minigrad.nn.costs import undisturbed
from minigrad.nn.module import Module
from minigrad.storage import storage_of
from minigrad.tensor import Tensor

Loss = Callable[[Any, Any], Tensor]


class Probe:
    """What a measure of influence runs.

    model:    any Module.
    inputs:   a tensor (or NumPy array), or a tuple of them for a model with several inputs.
    targets:  what `loss(outputs, targets)` takes; NumPy arrays become tensors.
    loss:     returns one number, the mean over the examples.
    training: whether modules run in training mode.
    """

    def __init__(
        self, model: Module, inputs: Any, targets: Any, loss: Loss | None = None, training: bool = False
    ) -> None:
        if not isinstance(model, Module):
            raise ArgumentError(f"influence is measured in a Module, not in {type(model).__name__}")
        given = inputs if isinstance(inputs, tuple) else (inputs,)
        self.model, self.training = model, bool(training)
        self.inputs: list[Tensor] = [creation.as_tensor(x).detach() for x in given]
        self.targets = creation.as_tensor(targets) if isinstance(targets, np.ndarray) else targets
        self.loss: Loss = F.cross_entropy if loss is None else loss
        if not callable(self.loss):
            raise ArgumentError(f"loss must be a function of (outputs, targets), not {self.loss!r:.80}")
        if not self.inputs or not self.inputs[0].ndim or not self.inputs[0].shape[0]:
            raise ShapeError("a probe needs a batch of at least one example")

    @property
    def examples(self) -> int:
        """How many examples the batch has."""
        return self.inputs[0].shape[0]

    @contextmanager
    def running(self, record: bool) -> Iterator[None]:
        """Within the block the model is in the probe's mode, and graphs are recorded or not; see the module."""
        with undisturbed(self.model, self.inputs):
            self.model.train(self.training)
            with engine.set_grad_enabled(record):
                yield

    def forward(self) -> Tensor:
        """The loss; to be called in a `running` block."""
        value = self.loss(self.model(*self.inputs), self.targets)
        if not isinstance(value, Tensor) or value.array.size != 1:
            found = f"shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ShapeError(f"the loss must be one number, not {found}: take the mean over the batch")
        return value

    def value(self) -> float:
        """The loss, without a graph."""
        with self.running(record=False):
            return float(self.forward())

    def gradients(self, values: Mapping[str, Any] | None = None) -> tuple[float, dict[str, Any]]:
        """The loss and its gradients by all floating-point parameters, frozen ones too: arrays by dotted name.

        values: arrays that stand in for parameters of these names meanwhile.
        """
        named = {n: p for n, p in self.model.named_parameters() if p.dtype in dtypes.FLOATING}
        with borrowed(list(named.values()), learnt=True):
            for name, array in (values or {}).items():
                named[name].array = array
            with self.running(record=True):
                loss = self.forward()
                if not loss.requires_grad:
                    raise ArgumentError("the loss does not depend on any parameter of the model")
                found = grad(loss, list(named.values()), allow_unused=True)
        host = {n: p.backend.to_host(g.array) for (n, p), g in zip(named.items(), found) if g is not None}
        return float(loss), host

    def versions(self) -> tuple[Any, ...]:
        """A value that stays the same for as long as the model's parameters and buffers do."""
        tensors = (*self.model.parameters(), *self.model.buffers())
        return tuple((id(t.array), storage_of(t).version) for t in tensors)


@contextmanager
def borrowed(parameters: Sequence[Any], learnt: bool) -> Iterator[None]:
    """Within the block parameters do, or do not, ask for gradients, call no hooks, and may be given other arrays."""
    before = [(p, p.array, p._storage, p._hooks, p._requires_grad) for p in parameters]
    try:
        for p in parameters:
            p._storage, p._hooks, p._requires_grad = None, None, learnt
        yield
    finally:
        for p, *state in before:
            p.array, p._storage, p._hooks, p._requires_grad = state
