"""Showing the parts of composites: computed beside them, from the same inputs, and let go.

The composite's own result is what goes on; its parts run on tensors of their own, so observing them changes no bits.
When the composite's gradient has passed, the same gradients go through its parts.
"""

from __future__ import annotations

from typing import Any

from minigrad import engine
from minigrad.backward import backward
from minigrad.observe import Call, seen_by
from minigrad.ops.composites import COMPOSITES, expand
from minigrad.tensor import Tensor
from minigrad.tracing.tracer import Tracer


class Expansion:
    """An observer that has composites computed by their parts, for a tracer to see."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self._graphs: dict[int, tuple[list[Tensor], int]] = {}

    def before(self, call: Call) -> None:
        """Nothing is to be done before an operation."""

    def recorded(self, call: Call) -> None:
        """Run the parts of a composite."""
        record = self.tracer.by_call.get(call.number)
        if call.op.name not in COMPOSITES or record is None or self.tracer.inside is not None:
            return
        inputs = [_twin(x, wanted=call.node is not None) for x in call.inputs]
        self.tracer.inside = record.number
        try:
            with seen_by(self.tracer), engine.set_grad_enabled(call.node is not None):
                results = expand(call.op, inputs, call.params)
        finally:
            self.tracer.inside = None
        if call.node is not None:
            self._graphs[call.number] = (
                list(results) if isinstance(results, tuple) else [results],
                record.number,
            )

    def after(self, call: Call) -> None:
        """Send the gradients of a composite through its parts."""
        if call.phase != "gradient" or self.tracer.inside is not None:
            return
        found = self._graphs.pop(-1 if call.forward_number is None else call.forward_number, None)
        if found is None:
            return
        outputs, number = found
        pairs = [
            (y, g) for y, g in zip(outputs, call.arrays, strict=True) if g is not None and y.requires_grad
        ]
        seeds = [g if isinstance(g, Tensor) else Tensor._wrap(g, y.backend) for y, g in pairs]
        self.tracer.inside = number
        try:
            with seen_by(self.tracer):
                backward([y for y, _ in pairs], seeds, retain_graph=False, create_graph=False)
        finally:
            self.tracer.inside = None


def _twin(x: Any, wanted: bool) -> Any:
    """A leaf with the same values, memory included."""
    if not isinstance(x, Tensor):
        return x
    twin = Tensor._wrap(x.array, x.backend, storage=x._storage)
    twin._requires_grad = wanted and x._requires_grad
    return twin
