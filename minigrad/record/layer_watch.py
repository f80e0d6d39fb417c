"""Numbers of each layer's input and output, and of their gradients, taken as a step passes."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad import dtypes
from minigrad.interpret.influence_units import unit_dim
from minigrad.nn.module import Module
from minigrad.observe import Call
from minigrad.optim.optimizer import Optimizer
from minigrad.tensor import Tensor
from minigrad.tracing.sampling import positions

KINDS = ("input", "output", "input_gradient", "output_gradient")


class Look(NamedTuple):
    """What was seen of one signal: its shape, how many units it has, some of its elements, and on request the numbers
    over all elements and each unit's share of zeros."""

    shape: tuple[int, ...]
    units: int
    sample: np.ndarray
    numbers: np.ndarray | None
    zeros: np.ndarray | None


class _Entry(NamedTuple):
    """A call of a layer: its scope, the identity of what it reads, the numbers of its first and last operation."""

    scope: Any
    input: int
    first: int
    last: int


class LayerWatch:
    """An observer of one model's layers: modules without children, under the paths they have in it.

    A layer's input is what its first operation reads, its output what its last one returns; layers that a composite
    joins are one layer, under the path of the first. After a step `looks` holds what was seen, by (kind, path); a layer
    that was called several times is seen in its last call, with the gradients of that call. What runs after the
    optimiser's step (a validation, say) is not looked at. A layer whose operations read its input several times has no
    input gradient here: each of them knows a part of it.

    wanted:    says which paths to look at.
    optimizer: whose step ends it; None for any.
    rates:     those that its step took, None until then.
    """

    def __init__(
        self, model: Module, wanted: Callable[[str], bool], optimizer: Optimizer | None = None
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self.paths = {
            path for path, m in model.named_modules() if wanted(path) and not any(True for _ in m.children())
        }
        self.begin(1, False)

    def begin(self, look: int, full: bool) -> None:
        """Forget what was seen, and look at so many elements from now on; `full`: at all of them."""
        self.look, self.full = look, full
        self.forget()

    def forget(self) -> None:
        """Forget what was seen."""
        self.looks: dict[tuple[str, str], Look] = {}
        self.updated = False
        self.rates: list[float] | None = None
        self._seen: dict[int, tuple[weakref.ref, int, tuple[Any, Any]]] = {}
        self._layer_of: dict[int, str] = {}  # by the number of the layer's last operation
        self._first: dict[int, str] = {}  # by that of its first
        self._entry: dict[str, _Entry] = {}  # of a layer: its last call

    def before(self, call: Call) -> None:
        """The gradient by a layer's output is complete."""
        if call.phase == "gradient" and (layer := self._layer_of.get(call.forward_number)) is not None:  # type: ignore[arg-type]
            self._see("output_gradient", layer, call.arrays[0], call)

    def after(self, call: Call) -> None:
        """The gradient by a layer's input is there."""
        if call.phase == "gradient" and (layer := self._first.get(call.forward_number)) is not None:  # type: ignore[arg-type]
            self._see("input_gradient", layer, call.outputs[0], call)

    def recorded(self, call: Call) -> None:
        """An operation of a layer has run."""
        scope = call.scope
        if self.updated or scope is None or scope.root is not self.model or call.op.may_view:
            return
        layer = scope.modules[0]
        if layer not in self.paths:
            return
        entry = self._entry.get(layer)
        if entry is not None:
            self._layer_of.pop(entry.last, None)
        if entry is None or entry.scope is not scope:  # another call of the layer: scopes are made anew
            if entry is not None:
                self._first.pop(entry.first, None)
            entry = _Entry(scope, id(call.inputs[0]), call.number, call.number)
            self._first[call.number] = layer
            self._see("input", layer, call.inputs[0], call)
        elif any(id(x) == entry.input for x in call.inputs):
            self._first.pop(entry.first, None)
        self._entry[layer] = entry._replace(last=call.number)
        self._layer_of[call.number] = layer
        self._see("output", layer, call.results[0], call)

    def before_update(self, optimizer: Any) -> None:
        """The rates that the step takes: they may be set at any time before it."""
        if self.optimizer in (None, optimizer):
            self.rates = [float(group["lr"]) for group in optimizer.param_groups]

    def after_update(self, optimizer: Any) -> None:
        """The step is over."""
        if self.optimizer in (None, optimizer):
            self.updated = True

    def _see(self, kind: str, layer: str, x: Any, call: Call) -> None:
        array, version = x, 0
        if isinstance(x, Tensor):
            array = x.array
            version = 0 if x._storage is None else x._storage.version
        if not hasattr(array, "dtype") or array.dtype not in dtypes.FLOATING or not array.size:
            return
        backend = call.backend
        zeros = None
        numbers, sample = self._look_at(array, version, backend)
        if self.full and kind == "output":
            zeros = _zeros_by_unit(call, array)
        units = array.shape[unit_dim(call.op.name, array.shape)] if array.ndim > 1 else 1
        host = backend.to_host(sample)
        if host.dtype.itemsize < 4:
            host = host.astype(np.float32)
        self.looks[kind, layer] = Look(array.shape, units, host, numbers, zeros)

    def _look_at(self, array: Any, version: int, backend: Any) -> tuple[Any, Any]:
        """Numbers, if all is looked at, and a sample. One layer's output is the next one's input, and so are their
        gradients: looked at once."""
        known = self._seen.get(id(array))
        if known is not None and known[0]() is array and known[1] == version:
            return known[2]
        if self.full:
            found = backend.statistics(array, positions(array.size))
        else:
            found = None, array.ravel(order="K").take(positions(array.size, self.look))
        self._seen[id(array)] = weakref.ref(array), version, found
        return found


def _zeros_by_unit(call: Call, y: Any) -> np.ndarray:
    """For each unit the share of its outputs that are 0."""
    if y.ndim < 2:
        return np.zeros(0)
    dim = unit_dim(call.op.name, y.shape) % y.ndim
    return call.backend.zeros_by_unit(y, dim) / max(y.size // y.shape[dim], 1)
