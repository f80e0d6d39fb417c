"""Loss change allocation: which weights made the loss fall (or rise) between two states of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad import dtypes
from minigrad.errors import ArgumentError, ShapeError
from minigrad.interpret.influence_probe import Loss, Probe
from minigrad.interpret.influence_units import by_unit, parameter_groups
from minigrad.nn.module import Module


@dataclass
class LossChange:
    """The change of the loss between two states, allocated to parameters. As text, a table of the layers.

    allocation: for each parameter's dotted name an array of its shape, float64: what each weight's change did to the
                loss. Negative where it made the loss fall.
    before, after: the loss at the two states.
    total:      the sum of all allocations.
    residual:   total - (after - before): what the quadrature missed.
    tolerance:  what was asked for.
    reached:    whether |residual| is within tolerance |after - before|, or within the rounding of the two losses.
    pieces:     in how many equal pieces the path was cut.
    """

    allocation: dict[str, np.ndarray]
    before: float
    after: float
    tolerance: float
    reached: bool
    pieces: int
    _units: dict[str, np.ndarray] = field(repr=False, default_factory=dict)

    @property
    def actual(self) -> float:
        """after - before."""
        return self.after - self.before

    @property
    def total(self) -> float:
        return float(sum(a.sum() for a in self.allocation.values()))

    @property
    def residual(self) -> float:
        return self.total - self.actual

    @property
    def relative_residual(self) -> float:
        """|residual| / |actual|; infinite if the loss did not change but allocations do not add up to 0."""
        if not self.residual:
            return 0.0
        return abs(self.residual) / abs(self.actual) if self.actual else float("inf")

    def by_unit(self) -> dict[str, np.ndarray]:
        """Sums over each unit's weight and bias, float64 (units,) for each layer."""
        return dict(self._units)

    def by_layer(self) -> dict[str, float]:
        """Sums over each layer."""
        return {layer: float(values.sum()) for layer, values in self._units.items()}

    def __str__(self) -> str:
        layers = self.by_layer()
        width = max([len("(sum)"), *map(len, layers)])
        lines = [f"{layer or '(model)':<{width}}  {value:+.4e}" for layer, value in layers.items()]
        verdict = "within" if self.reached else "NOT within"
        return "\n".join([
            *lines,
            f"{'(sum)':<{width}}  {self.total:+.4e}",
            f"loss {self.before:.6g} -> {self.after:.6g}, change {self.actual:+.4e}, residual {self.residual:+.1e} "
            f"({self.relative_residual:.1e} of it, {verdict} the tolerance {self.tolerance:g}) "
            f"with the path in {self.pieces} piece{'s' if self.pieces > 1 else ''}",
        ])  # fmt: skip

    __repr__ = __str__


def parameter_values(model: Module) -> dict[str, np.ndarray]:
    """Copies of all floating-point parameters, by dotted name: a state for `loss_change` to start from.

    >>> import minigrad as mg
    >>> list(parameter_values(mg.nn.Linear(2, 1)))
    ['weight', 'bias']
    """
    return {
        name: np.array(p.backend.to_host(p.array))
        for name, p in model.named_parameters()
        if p.dtype in dtypes.FLOATING
    }


def loss_change(
    model: Module,
    before: Mapping[str, Any],
    inputs: Any,
    targets: Any,
    *,
    after: Mapping[str, Any] | None = None,
    loss: Loss | None = None,
    tolerance: float = 1e-3,
    most_pieces: int = 32,
    training: bool = False,
) -> LossChange:
    """Allocate the change of the loss between two states to the weights, along the straight line between them:

        a_i = integral over s from 0 to 1 of dL/dtheta_i(before + s (after - before)) (after_i - before_i) ds

        sum over i of a_i = L(after) - L(before)

    before:      values by the parameters' dotted names, as `parameter_values(model)` gives them. Not `state_dict()`,
                 which shares the model's memory and so changes with it. What is not named did not change.
    inputs, targets, loss, training: as for `influence`. The loss is a function of the parameters alone: a batch norm
                 uses its running averages as they are now (in training mode the batch's statistics), a dropout in
                 training mode the same mask everywhere on the path. So what a change of running averages did to the
                 loss in evaluation is no part of it.
    after:       the other state; by default the parameters as they are.
    tolerance:   the residual that is good enough, relative to the change of the loss.
    most_pieces: how finely the path may be cut to get there, from 1.

    The integral is taken by Simpson's rule, which is exact for gradients up to cubic along the path, in 1, 2, 4, ...
    equal pieces until the sum agrees with the change that is measured. It takes 2 pieces + 1 gradients. Where
    `most_pieces` do not reach the tolerance, `reached` is False, and the text says so. The loss's own rounding limits
    what can be told of a small change: use `model.double()` where that matters.

    Returns a LossChange. The model is left as it was. Raises ArgumentError for names that are no parameters, for memory
    shared with the model and for a tolerance or number out of range; ShapeError for values of another shape.
    Source: Lan et al. 2019, "LCA: loss change allocation for neural network training", section 2, where the rule is
    that of a Runge-Kutta step of fourth order, which for this integral is Simpson's.

    >>> import minigrad as mg
    >>> net = mg.nn.Linear(2, 1, bias=False)
    >>> before = parameter_values(net)
    >>> _ = net.weight.data.add_(mg.tensor([[1.0, 0.0]]))
    >>> change = loss_change(net, before, mg.ones(4, 2), mg.zeros(4, 1), loss=mg.nn.functional.mse_loss)
    >>> change.reached, change.pieces, change.by_unit()[""].shape
    (True, 1, (1,))
    """
    if not tolerance > 0 or most_pieces < 1:
        raise ArgumentError(
            f"tolerance must be positive and most_pieces at least 1, not {tolerance} and {most_pieces}"
        )
    probe = Probe(model, inputs, targets, loss, training)
    start = _state(model, before, "before")
    end = _state(model, after, "after") if after is not None else parameter_values(model)
    path = _Path(probe, start, end)
    pieces = 1
    while True:
        sums = path.integral(pieces)
        first, last = path.losses
        residual = sum(float(a.sum()) for a in sums.values()) - (last - first)
        # A loss is rounded to its type, and its own sum before that: a few units of the last place
        rounding = 4 * float(np.finfo(path.dtype).eps) * max(abs(first), abs(last))
        reached = bool(abs(residual) <= max(tolerance * abs(last - first), rounding))
        if reached or 2 * pieces > most_pieces:
            break
        pieces *= 2
    units = {
        layer: sum(by_unit(model, name, sums[name]).sum(axis=1) for name, _ in members if name in sums)
        for layer, members in parameter_groups(model).items()
    }
    return LossChange(sums, first, last, tolerance, reached, pieces, units)


def _state(model: Module, values: Mapping[str, Any], which: str) -> dict[str, np.ndarray]:
    """A state of all floating-point parameters, checked."""
    known = {n: p for n, p in model.named_parameters() if p.dtype in dtypes.FLOATING}
    buffers = {name for name, _ in model.named_buffers()}
    unknown = [name for name in values if name not in known and name not in buffers]
    if unknown:
        raise ArgumentError(f"{which}: {type(model).__name__} has no floating-point parameter {unknown[0]!r}")
    state = {}
    for name, p in known.items():
        own = p.backend.to_host(p.array)
        value = values.get(name, own)
        array = p.backend.to_host(value.array) if hasattr(value, "array") else np.asarray(value)
        if array.shape != own.shape:
            raise ShapeError(
                f"{which}: {name} has shape {list(array.shape)}, the parameter {list(own.shape)}"
            )
        if name in values and np.may_share_memory(array, own):
            raise ArgumentError(
                f"{which}: {name} shares its memory with the model, so it changes when the model learns: "
                "keep parameter_values(model)"
            )
        state[name] = array
    return state


class _Path:
    """The straight line between two states, and the gradients found on it."""

    def __init__(self, probe: Probe, start: dict[str, np.ndarray], end: dict[str, np.ndarray]) -> None:
        self.probe, self.start = probe, start
        self.parameters = dict(probe.model.named_parameters())
        self.change = {n: np.subtract(end[n], start[n], dtype=np.float64) for n in start}
        self.end = end
        self.dtype = np.result_type(np.float32, *(self.parameters[n].dtype for n in start))
        first, ends = self._at(0.0)
        last, more = self._at(1.0)
        self.losses = first, last
        # Weighted as in the trapezoidal rule; Simpson's is a third of it and two thirds of the rule by midpoints
        self.trapezoid = {n: 0.5 * (ends[n] + more[n]) for n in ends}
        self.middles = self._sum_of_middles(1)
        self.pieces = 1

    def _at(self, s: float) -> tuple[float, dict[str, np.ndarray]]:
        """The loss at a point of the path, and the gradients there times the change, float64."""
        values = {}
        for name, change in self.change.items():
            p = self.parameters[name]
            state = self.end[name] if s == 1 else self.start[name] + s * change
            array = p.backend.xp.empty_like(p.array)  # in the parameter's own layout
            array[...] = p.backend.xp.asarray(state)
            values[name] = array
        loss, gradients = self.probe.gradients(values)
        return loss, {n: change * gradients.get(n, 0.0) for n, change in self.change.items()}

    def _sum_of_middles(self, pieces: int) -> dict[str, np.ndarray]:
        sums = {n: np.zeros_like(change) for n, change in self.change.items()}
        for piece in range(pieces):
            for name, product in self._at((piece + 0.5) / pieces)[1].items():
                sums[name] += product
        return sums

    def integral(self, pieces: int) -> dict[str, np.ndarray]:
        """Simpson's rule in so many pieces: as many as the last time, or twice as many."""
        if pieces != self.pieces:
            for name, product in self.middles.items():
                self.trapezoid[name] += product
            self.middles, self.pieces = self._sum_of_middles(pieces), pieces
        return {n: (self.trapezoid[n] + 2 * self.middles[n]) / (3 * pieces) for n in self.change}
