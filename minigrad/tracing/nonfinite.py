"""Where NaN and infinity began."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from minigrad import dtypes
from minigrad.backend import get_backend
from minigrad.errors import ArgumentError, NonFiniteError
from minigrad.observe import Call, observe
from minigrad.tensor import Tensor
from minigrad.tracing.held_values import values_of
from minigrad.tracing.operation_record import OperationRecord, TensorRecord
from minigrad.tracing.source_line import SourceLine, users_line
from minigrad.tracing.statistics import Statistics

if TYPE_CHECKING:
    from minigrad.tracing.trace import Trace


class NonFinite(NamedTuple):
    """The first operation with NaN or infinity in its result, and none in what it read.

    record:  of the operation.
    phase:   "forward" or "gradient".
    tensor:  the name of the output; for a gradient, of the input whose gradient it is.
    nans, infs: how many elements are.
    given:   whether they were there before: the input of that name, which no operation of the trace made so, has them;
             for a gradient, what backward began with.
    others:  where gradients of several operations were added up, and only their sum was looked at, the other ones that
             it may have been. The level "full" can tell.
    """

    record: OperationRecord
    phase: str
    tensor: str
    nans: int
    infs: int
    given: bool
    others: tuple[OperationRecord, ...] = ()

    def __str__(self) -> str:
        record = self.record
        what = f"{self.nans:,} NaN and {self.infs:,} infinite elements"
        place = f"{record.name} ({record.formula})"
        place += f" of {', '.join(m or 'the root module' for m in record.modules)}" if record.modules else ""
        place += f", {record.source}: {record.source.text}" if record.source else ""
        place += f", batch {record.batch}" if record.batch is not None else ""
        if self.given:
            came = "gradient of the output" if self.phase == "gradient" else "input"
            return f"the {came} {self.tensor} of {place} came with {what}"
        if self.phase == "gradient":
            place = " or of ".join([place, *(other.name for other in self.others)])
            return f"the gradient of {place} made {what} in that of {self.tensor}; all gradients before it are finite"
        return f"the output {self.tensor} of {place} has {what}, while all that it read is finite"


def first(trace: Trace, infinity: bool) -> NonFinite | None:
    """See `Trace.first_nonfinite`."""
    if trace.level == "meta":
        raise ArgumentError('a trace of the level "meta" holds no values: use level="stats"')
    forwards = [(r.forward_call, _in_forward, r) for r in trace.records]
    gradients = [(r.gradient_call, _in_gradient, r) for r in trace.records if r.gradient_call is not None]
    for _, look, record in sorted(forwards + gradients, key=lambda event: event[0]):
        if (found := look(trace, record, infinity)) is not None:
            return found
    return None


def _in_forward(trace: Trace, record: OperationRecord, infinity: bool) -> NonFinite | None:
    for y in record.outputs:
        if _bad(y.statistics, infinity):
            for x in record.inputs:
                if isinstance(x, TensorRecord) and _bad(x.statistics, infinity):
                    return _found(record, "forward", x.name, x.statistics, given=True)
            return _found(record, "forward", y.name, y.statistics)
    return None


def _in_gradient(trace: Trace, record: OperationRecord, infinity: bool) -> NonFinite | None:
    for y in record.outputs:
        if _bad(y.gradient, infinity):
            return _maker(trace, record, y, infinity)
    for x in record.inputs:
        if isinstance(x, TensorRecord) and _bad(x.gradient, infinity):
            return _found(record, "gradient", x.name, x.gradient)
    return None


def _maker(trace: Trace, record: OperationRecord, y: TensorRecord, infinity: bool) -> NonFinite:
    """Of the gradient that arrived at an output: who made it."""
    makers = []
    for reader in (trace.records[number] for number in record.children):
        if reader.gradient_call is not None and reader.inside == record.inside:
            inputs = [x for x in reader.inputs if isinstance(x, TensorRecord) and x.tensor == y.tensor]
            makers += [(reader, x) for x in inputs[:1]]
    sure = [m for m in makers if values_of(m[1].held_gradient) is not None and _holds_bad(m[1], infinity)]
    if not makers:
        return _found(record, "gradient", y.name, y.gradient, given=True)
    (maker, x), *rest = sure[:1] or makers
    return _found(maker, "gradient", x.name, y.gradient, others=tuple(other for other, _ in rest))


def _holds_bad(x: TensorRecord, infinity: bool) -> bool:
    xp = get_backend(x.device).xp
    return not bool((xp.isfinite if infinity else lambda a: ~xp.isnan(a))(x.gradient_value).all())


def _found(
    record: OperationRecord,
    phase: str,
    tensor: str,
    s: Statistics | None,
    *,
    given: bool = False,
    others: tuple[OperationRecord, ...] = (),
) -> NonFinite:
    assert s is not None
    return NonFinite(record, phase, tensor, s.nans, s.infs, given, others)


def _bad(statistics: Statistics | None, infinity: bool) -> bool:
    return statistics is not None and statistics.nans + (statistics.infs if infinity else 0) > 0


# ---------------------------------------------------------------- stopping there


_REMEMBERED = 1 << 16  # lines of forwards that may still get a gradient


class _Detector:
    """Looks at every result; remembers the lines of forwards, to name them for gradients."""

    def __init__(self, infinity: bool) -> None:
        self.infinity = infinity
        self.lines: dict[int, SourceLine | None] = {}
        self.root: Any = None
        self.entries: dict[int, int] = {}

    def before(self, call: Call) -> None:
        """Nothing is to be done before an operation."""

    def after(self, call: Call) -> None:
        """Look at a gradient's results."""
        if call.phase == "gradient":
            line = self.lines.get(-1 if call.forward_number is None else call.forward_number)
            wanted = [edge is not None for edge in call.node.edges]  # type: ignore[union-attr]
            given = [g for g in call.arrays if g is not None]
            made = [g for g, want in zip(call.outputs, wanted) if want and g is not None]
            self._check(call, made, given, line)

    def recorded(self, call: Call) -> None:
        """Look at a forward's results."""
        self._batch(call)
        line = users_line()
        if call.node is not None:
            self.lines[call.number] = line
            if len(self.lines) > _REMEMBERED:  # the oldest
                del self.lines[next(iter(self.lines))]
        self._check(call, call.results, [x for x in call.inputs if isinstance(x, Tensor)], line)

    def _batch(self, call: Call) -> int | None:
        scope = call.scope
        if scope is not None and self.root in (
            None,
            scope.root,
        ):  # a loss that is a module is no batch of its own
            self.root = scope.root
            return self.entries.setdefault(scope.entry, len(self.entries))
        return len(self.entries) - 1 if self.entries else None

    def _check(self, call: Call, made: Any, given: Any, line: SourceLine | None) -> None:
        for y in made:
            bad = self._count(call, y)
            if bad and not any(self._count(call, x) for x in given):
                what = "gradient" if call.phase == "gradient" else "result"
                where = (
                    f" of {', '.join(m or 'the root module' for m in call.modules)}" if call.modules else ""
                )
                batch = self._batch(call)
                raise NonFiniteError(
                    f"{bad:,} elements of the {what} of {call.op.name} ({call.op.formula}){where} are "
                    f"{'NaN or infinite' if self.infinity else 'NaN'}, while all that it was given is finite"
                    + (f"; called at {line}: {line.text}" if line else "")
                    + (f"; batch {batch} since detect_anomaly began" if batch is not None else "")
                )

    def _count(self, call: Call, x: Any) -> int:
        array = call.backend.xp.asarray(x.array if isinstance(x, Tensor) else x)  # a gradient may be a number
        if array.dtype not in dtypes.FLOATING:
            return 0
        xp = call.backend.xp
        strange = ~xp.isfinite(array) if self.infinity else xp.isnan(array)
        return int(strange.sum())


@contextmanager
def detect_anomaly(*, infinity: bool = True) -> Iterator[None]:
    """Within the block, stop at the operation, forward or backward, that first makes NaN or infinity of finite numbers.

    infinity: False stops for NaN only, where infinities are meant (a mask of -inf before a softmax).

    Raises NonFiniteError with the operation, its formula, the module, the line of your code and the batch. Every result
    is looked at, which takes about as long as an elementwise operation on it.

    >>> import minigrad as mg
    >>> with mg.detect_anomaly():
    ...     mg.log(mg.zeros(2)) * 0
    Traceback (most recent call last):
        ...
    minigrad.errors.NonFiniteError: 2 elements of the result of log (y = ln x) are NaN or infinite, ...
    """
    with observe(_Detector(infinity)):
        yield
