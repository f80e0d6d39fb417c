"""What a trace knows of one operation: a record of the call, and of each tensor that went in or came out."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.op import Operation
from minigrad.tracing.held_values import Held, values_of
from minigrad.tracing.source_line import SourceLine
from minigrad.tracing.statistics import Statistics


@dataclass(slots=True, eq=False)
class TensorRecord:
    """A tensor, as an operation read or made it.

    name:       what the operation calls it: "x", "w", "y".
    shape, dtype, device, strides (in bytes).
    tensor:     its identity within the trace: the same number is the same array.
    parent:     of an input, the number of the record that made it; None if nothing in the trace did.
    parameter:  its dotted name, if it is a parameter or buffer of the module that ran.
    version:    how often minigrad had written to its memory.
    nbytes:     the bytes of its elements.
    statistics: of its values; for outputs, from the level "stats" on.
    gradient:   statistics of the loss's gradient by it, complete; for outputs, and for inputs that nothing in the trace
                made, such as parameters (of these, this operation's contribution).
    """

    name: str
    shape: tuple[int, ...]
    dtype: Any
    device: str
    strides: tuple[int, ...]
    tensor: int
    nbytes: int
    parent: int | None = None
    parameter: str | None = None
    version: int = 0
    statistics: Statistics | None = None
    gradient: Statistics | None = None
    held: Held | None = field(default=None, repr=False)
    held_gradient: Held | None = field(default=None, repr=False)

    @property
    def value(self) -> Any:
        """Its elements, an array not to be changed. Raises ArgumentError where the trace does not hold them."""
        return _given(self.held, f"the values of {self.name}")

    @property
    def gradient_value(self) -> Any:
        """The elements of its gradient. Raises ArgumentError where the trace does not hold them."""
        return _given(self.held_gradient, f"the gradient of {self.name}")


def _given(held: Held | None, what: str) -> Any:
    if (array := values_of(held)) is None:
        raise ArgumentError(
            f'{what} are not in the trace: ask for them with level="full", and see that the budget of bytes and the '
            "filters let them in (trace.dropped counts what the budget kept out)"
        )
    return array


@dataclass(slots=True, eq=False)
class ValueRecord:
    """An operand that is no tensor: a number or None."""

    name: str
    value: Any


@dataclass(slots=True, eq=False)
class OperationRecord:
    """One call of an operation, forward and backward.

    number:           its place in the trace, from 0.
    name:             the operation's name and which of its calls it is, from 1: "relu_3".
    op:               the operation.
    modules:          dotted paths of the modules it ran for: one, or those a composite joins; () outside of any module.
    source:           the line of the user's code that led to it.
    params:           its options.
    inputs, outputs:  records of what it read and made.
    children:         numbers of the records that read an output of it.
    inside:           the composite it is a part of, by number, where a trace expands them.
    batch:            which call of a root module it belongs to, from 0: the one that runs, or ran last before it.
    forward_seconds:  time of the forward, without operations inside it.
    gradient_seconds: time of its gradient; None if there was none.
    bytes_allocated:  memory that its outputs take, views taking none.
    bytes_saved:      of arrays kept for backward. Several operations may keep the same.
    bytes_freed:      how much of that was let go when backward had passed.
    random_state:     of the generator before the random numbers were drawn that this call is the first to follow; None
                      if there were none.
    forward_call, gradient_call: the numbers of these calls, which tell what came first; None without a gradient.
    gradient_recorded: whether the gradient ran under create_graph.
    """

    number: int
    name: str
    op: Operation
    modules: tuple[str, ...]
    source: SourceLine | None
    params: dict[str, Any]
    inputs: list[TensorRecord | ValueRecord]
    outputs: list[TensorRecord] = field(default_factory=list)
    children: list[int] = field(default_factory=list)
    inside: int | None = None
    batch: int | None = None
    forward_seconds: float = 0.0
    gradient_seconds: float | None = None
    bytes_allocated: int = 0
    bytes_saved: int = 0
    bytes_freed: int = 0
    random_state: dict[str, Any] | None = field(default=None, repr=False)
    forward_call: int = 0
    gradient_call: int | None = None
    gradient_recorded: bool = False

    @property
    def module(self) -> str | None:
        """The first of its modules; None outside of any."""
        return self.modules[0] if self.modules else None

    @property
    def parents(self) -> list[int]:
        """Numbers of the records that made its inputs, each once."""
        found = [x.parent for x in self.inputs if isinstance(x, TensorRecord) and x.parent is not None]
        return list(dict.fromkeys(found))

    @property
    def flops(self) -> float:
        """Floating-point operations of the forward, a multiply-add counting two."""
        return float(self.op.flops(_shapes(self.inputs), _shapes(self.outputs), self.params))

    @property
    def intensity(self) -> float:
        """Arithmetic intensity of the forward: floating-point operations per byte read and written.

        Source: Williams, Waterman & Patterson 2009, "Roofline".
        """
        moved = sum(t.nbytes for t in (*self.inputs, *self.outputs) if isinstance(t, TensorRecord))
        return self.flops / moved if moved else 0.0

    @property
    def formula(self) -> str:
        """The forward, in the field's notation."""
        return self.op.formula

    @property
    def gradient_formula(self) -> str:
        """The gradient; "" for an operation without one."""
        return self.op.gradient_formula

    @property
    def forward_code(self) -> str:
        """The text of the plain definition."""
        return inspect.getsource(self.op.forward)

    @property
    def gradient_code(self) -> str:
        """The text of the plain gradient; "" for an operation without one."""
        return "" if self.op.gradient_fn is None else inspect.getsource(self.op.gradient_fn)

    def input(self, name: str) -> TensorRecord:
        """The tensor it read under that name, as `record.input("w")`."""
        return _named(self, self.inputs, name, "input")

    def output(self, name: str | None = None) -> TensorRecord:
        """The tensor it made under that name; by default the first."""
        return self.outputs[0] if name is None else _named(self, self.outputs, name, "output")

    def __str__(self) -> str:
        """The whole record, to be read."""
        lines = [f"{self.name}   {self.formula}"]
        lines += [f"  gradient  {self.gradient_formula}"] if self.gradient_formula else []
        lines += [f"  module    {', '.join(m or '(root)' for m in self.modules)}"] if self.modules else []
        lines += [f"  line      {self.source}: {self.source.text}"] if self.source else []
        lines += (
            [f"  options   {', '.join(f'{k}={v!r}' for k, v in self.params.items())}"] if self.params else []
        )
        lines += [f"  in        {_line(record)}" for record in self.inputs]
        lines += [f"  out       {_line(record)}" for record in self.outputs]
        took = f"forward {1e3 * self.forward_seconds:.3f} ms"
        if self.gradient_seconds is not None:
            took += f", gradient {1e3 * self.gradient_seconds:.3f} ms"
        lines.append(f"  time      {took}")
        lines.append(
            f"  memory    {self.bytes_allocated:,} bytes allocated, {self.bytes_saved:,} saved for backward, "
            f"{self.bytes_freed:,} freed"
        )
        lines.append(f"  work      {self.flops:,.0f} FLOPs, {self.intensity:.2f} per byte")
        lines.append(f"  source    {self.op.source}")
        return "\n".join(lines)


def _shapes(records: Sequence[TensorRecord | ValueRecord]) -> list[tuple[int, ...]]:
    return [r.shape if isinstance(r, TensorRecord) else () for r in records]


def _named(record: OperationRecord, among: Sequence[Any], name: str, word: str) -> TensorRecord:
    for one in among:
        if one.name == name and isinstance(one, TensorRecord):
            return one
    own = ", ".join(one.name for one in among if isinstance(one, TensorRecord)) or "none"
    raise ArgumentError(f"{record.name} has no {word} {name!r} that is a tensor; it has {own}")


def _line(record: TensorRecord | ValueRecord) -> str:
    if isinstance(record, ValueRecord):
        return f"{record.name} = {record.value!r}"
    parts = [f"{record.name}  {record.dtype}{list(record.shape)}"]
    parts += [record.parameter] if record.parameter else []
    parts += [f"from record {record.parent}"] if record.parent is not None else []
    for word, found in (("", record.statistics), ("gradient ", record.gradient)):
        if found is not None:
            parts.append(
                f"{word}mean {found.mean:.4g}, std {found.std:.4g}, [{found.minimum:.4g}, {found.maximum:.4g}]"
            )
            strange = found.nans + found.infs
            parts += [f"{strange:,} not finite"] if strange else []
    return "  ".join(parts)
