"""Computing a trace again: every operation, and its gradient, from what was recorded of its inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad import backward, engine
from minigrad.backend import get_backend
from minigrad.engine import Node
from minigrad.errors import ArgumentError
from minigrad.tensor import Tensor
from minigrad.tracing.held_values import values_of
from minigrad.tracing.operation_record import OperationRecord, TensorRecord

if TYPE_CHECKING:
    from minigrad.tracing.trace import Trace


class Difference(NamedTuple):
    """A value that came out otherwise.

    record:   the number of the operation's record.
    name:     the operation's, as "relu_3".
    phase:    "forward" or "gradient".
    tensor:   the output's name, or that of the input whose gradient it is.
    largest:  the largest absolute difference; infinite where one is NaN and the other is not, or where shapes or dtypes
              differ.
    """

    record: int
    name: str
    phase: str
    tensor: str
    largest: float


def replay(trace: Trace) -> list[Difference]:
    """See `Trace.replay`."""
    if trace.level != "full":
        raise ArgumentError(f'replay needs the values: level="full", not {trace.level!r}')
    found, done = [], 0
    for record in trace.records:
        if _holds_all(record):
            done += 1
            found += _replay(record)
    if trace.records and not done:
        raise ArgumentError(
            "the trace holds no operation's values: its filters or its budget kept all of them out"
        )
    return found


def _holds_all(record: OperationRecord) -> bool:
    tensors = [x for x in (*record.inputs, *record.outputs) if isinstance(x, TensorRecord)]
    return all(values_of(x.held) is not None for x in tensors)


def _replay(record: OperationRecord) -> list[Difference]:
    found = []
    inputs = tuple([_operand(x) for x in record.inputs])
    with engine.no_grad():
        results = record.op(*inputs, **record.params)
    outputs = results if isinstance(results, tuple) else (results,)
    for kept, y in zip(record.outputs, outputs, strict=True):
        found += _compare(record, "forward", kept.name, kept.value, y.array)
    gys = [values_of(y.held_gradient) for y in record.outputs]
    wanted = [
        x for x in record.inputs if isinstance(x, TensorRecord) and values_of(x.held_gradient) is not None
    ]
    if wanted and any(g is not None for g in gys):
        for operand, tensor in zip(record.inputs, inputs, strict=True):
            if isinstance(tensor, Tensor) and operand in wanted:
                tensor._requires_grad = True
        kept_outputs = tuple([_operand(y) for y in record.outputs])
        backend, again = get_backend(record.outputs[0].device), record.gradient_recorded
        node = Node(record.op, backend, record.params, inputs, kept_outputs)
        if again:  # under create_graph gradients run as operations on tensors, which may round otherwise than a kernel
            gys = [None if g is None else Tensor._wrap(g, backend) for g in gys]
        with engine.no_grad():
            gradients = backward._gradients_of(node, gys, node.edges, again)
        for operand, g in zip(record.inputs, gradients, strict=True):
            if operand in wanted and g is not None:
                now = g.array if again else g
                found += _compare(record, "gradient", operand.name, operand.gradient_value, now)
    return found


def _operand(record: Any) -> Any:
    if not isinstance(record, TensorRecord):
        return record.value
    return Tensor._wrap(record.value, get_backend(record.device))


def _compare(record: OperationRecord, phase: str, name: str, was: Any, now: Any) -> list[Difference]:
    """One difference or none: equal numbers are demanded, not close ones; NaNs are all the same, and so are zeros."""
    xp = get_backend(record.outputs[0].device).xp
    if was.shape != now.shape or was.dtype != now.dtype:
        return [Difference(record.number, record.name, phase, name, float("inf"))]
    same = (was == now) | ((was != was) & (now != now))
    if bool(same.all()):
        return []
    with np.errstate(invalid="ignore"):  # of equal infinities nothing is left
        apart = xp.abs(was[~same].astype("float64") - now[~same].astype("float64"))
    largest = float(xp.max(apart)) if not bool(xp.isnan(apart).any()) else float("inf")
    return [Difference(record.number, record.name, phase, name, largest)]
