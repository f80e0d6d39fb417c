"""Layers' outputs, found and changed by an interceptor: for scores that need one pass, and for ablations."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad import dtypes
from minigrad.autograd import grad
from minigrad.errors import ArgumentError, GraphError
from minigrad.interpret.influence_probe import Probe, borrowed
from minigrad.interpret.influence_scores import unit_products
from minigrad.interpret.influence_units import Layers, check_layers, has_units, unit_dim
from minigrad.observe import intercept
from minigrad.scopes import current, current_modules
from minigrad.tensor import Tensor

Unit = tuple[str, int]


class Use(NamedTuple):
    """One use of a layer in a forward: which of the operations, in their order, puts out the layer's output."""

    number: int
    modules: tuple[str, ...]
    unit_dim: int
    units: int


class Forward(NamedTuple):
    """A forward: its loss, the uses of layers in it, and all its operations, each with the modules it was run for."""

    loss: float
    uses: list[Use]
    steps: list[tuple[str, tuple[str, ...]]]

    @property
    def units(self) -> dict[str, int]:
        """How many units there are by the path of a module; all modules of a composite have its units."""
        return {path: use.units for use in self.uses for path in use.modules}


class _Watch:
    """An interceptor that notes a forward's operations, in this thread, and those that end a layer."""

    def __init__(self, model: Any, layers: Layers) -> None:
        self.model, self.layers, self.thread = model, layers, threading.get_ident()
        self.steps: list[tuple[str, tuple[str, ...]]] = []
        self.ends: dict[
            int, tuple[Any, Use, Tensor]
        ] = {}  # by scope, which stands in it so that its id stays its own

    def __call__(self, op: Any, inputs: tuple, params: dict, proceed: Callable[[tuple, dict], Any]) -> Any:
        result = proceed(inputs, params)
        if threading.get_ident() == self.thread:
            scope, number = current(), len(self.steps)
            self.steps.append((op.name, current_modules()))
            if scope is not None and scope.root is self.model and self.layers.include(scope):
                y = result[0] if isinstance(result, tuple) else result
                self.ends.pop(id(scope), None)
                if has_units(y):
                    self.see(y)
                    dim = unit_dim(op.name, y.shape)
                    self.ends[id(scope)] = scope, Use(number, scope.modules, dim, y.shape[dim]), y
        return result

    def see(self, y: Tensor) -> None:
        """An output of a layer, or what may turn out to be none if more operations follow."""


class _Differentiating(_Watch):
    """Has the graph begin at the first layer's output: no gradient of any parameter is computed."""

    def see(self, y: Tensor) -> None:
        if not y.requires_grad:
            y.requires_grad_()


def watched_forward(probe: Probe) -> Forward:
    """One forward of the probe, all its layers looked at."""
    watch = _Watch(probe.model, Layers("*"))
    with probe.running(record=False), intercept(watch):
        loss = float(probe.forward())
    return Forward(loss, sorted(use for _, use, _ in watch.ends.values()), watch.steps)


def output_products(
    probe: Probe, patterns: tuple[str, ...] | str | None = None
) -> tuple[float, dict[str, np.ndarray]]:
    """The loss, and for each layer the derivatives of each example's loss by gates on its units, float64 (N, C)."""
    watch = _Differentiating(probe.model, Layers(patterns))
    parameters = [p for p in probe.model.parameters() if p.dtype in dtypes.FLOATING]
    with borrowed(parameters, learnt=False), probe.running(record=True), intercept(watch):
        loss = probe.forward()
    ends = sorted((use, y) for _, use, y in watch.ends.values())
    if not loss.requires_grad:
        raise ArgumentError(
            "the loss depends on no output of a layer; choose layers by patterns of their paths"
        )
    found: dict[str, np.ndarray] = {}
    for (use, y), gy in zip(ends, grad(loss, [y for _, y in ends], allow_unused=True)):
        layer = use.modules[0]
        products = np.zeros((y.shape[0], use.units))
        if gy is not None:
            products = unit_products(y, gy, unit_dim=use.unit_dim, backend=y.backend)
        if layer in found and found[layer].shape != products.shape:
            raise ArgumentError(f"layer {layer!r} is used with different numbers of examples in one forward")
        found[layer] = found[layer] + products if layer in found else products
    return float(loss), found


class _Ablating:
    """An interceptor that sets one unit to zero wherever its layer puts it out."""

    def __init__(self, forward: Forward, layer: str, unit: int) -> None:
        self.uses = {use.number: use for use in forward.uses if layer in use.modules}
        self.steps, self.unit, self.count, self.thread = forward.steps, unit, 0, threading.get_ident()

    def __call__(self, op: Any, inputs: tuple, params: dict, proceed: Callable[[tuple, dict], Any]) -> Any:
        result = proceed(inputs, params)
        if threading.get_ident() != self.thread:
            return result
        number, self.count = self.count, self.count + 1
        self.same(number < len(self.steps) and self.steps[number] == (op.name, current_modules()))
        use = self.uses.get(number)
        if use is None:
            return result
        y, rest = (result[0], result[1:]) if isinstance(result, tuple) else (result, None)
        array = y.backend.xp.array(y.array)  # in the layout it has
        array[(slice(None),) * use.unit_dim + (self.unit,)] = 0
        y = Tensor._wrap(array, y.backend)
        return y if rest is None else (y, *rest)

    def same(self, so_far: bool) -> None:
        """Raise GraphError where the operations are not those of the forward with all units."""
        if not so_far:
            raise GraphError(
                "the model runs other operations when a unit is zero: its control flow depends on values, "
                "and what the layer puts out cannot be told"
            )


def increases_without(probe: Probe, forward: Forward, units: Sequence[Unit]) -> np.ndarray:
    """How much the loss rises with each of the units set to zero, one at a time; float64."""
    counts = forward.units
    check_layers([layer for layer, _ in units], counts)
    for layer, unit in units:
        if not 0 <= unit < counts[layer]:
            raise ArgumentError(f"layer {layer!r} has units 0 to {counts[layer] - 1}, not {unit}")
    losses = []
    for layer, unit in units:
        without = _Ablating(forward, layer, unit)
        with probe.running(record=False), intercept(without):
            losses.append(float(probe.forward()))
        without.same(without.count == len(forward.steps))
    return np.asarray(losses, np.float64) - forward.loss
