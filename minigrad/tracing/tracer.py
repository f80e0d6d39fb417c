"""The observer that writes a trace's records."""

from __future__ import annotations

import itertools
import threading
import time
import weakref
from typing import Any

from minigrad import backward, dtypes
from minigrad.backend import Backend, default_backend
from minigrad.observe import Call, parameter_name
from minigrad.storage import Storage, storage_of
from minigrad.tensor import Tensor
from minigrad.tracing.filters import Filters
from minigrad.tracing.held_values import Budget
from minigrad.tracing.operation_record import OperationRecord, TensorRecord, ValueRecord
from minigrad.tracing.sampling import positions
from minigrad.tracing.source_line import users_line
from minigrad.tracing.statistics import Statistics
from minigrad.tracing.update_record import UpdateRecord, updates_of


class _Thread(threading.local):
    """What a thread is doing.

    open:     the calls that it is in: [number, when it began, seconds spent in others inside it].
    seconds:  how long the latest forward or gradient took.
    inside:   the composite whose parts it runs, by number.
    waiting:  the record and node of its latest gradient, until it is known whether that lets go what was kept.
    updating: the parameters that an optimiser changes, with their values before, and when it began.
    """

    def __init__(self) -> None:
        self.open: list[list[Any]] = []
        self.seconds = 0.0
        self.inside: int | None = None
        self.waiting: tuple[OperationRecord, Any] | None = None
        self.updating: tuple[list[Any], list[Any], float] = [], [], 0.0


class Tracer:
    """Looks on, and writes down what it sees.

    level:   "meta", "stats" or "full".
    filters: of which operations statistics and values are taken.
    budget:  of bytes, for values.
    updates: whether to record what optimisers do.
    """

    def __init__(self, level: str, filters: Filters, budget: int, updates: bool) -> None:
        self.statistics, self.values = level != "meta", level == "full"
        self.filters, self.budget, self.updates_wanted = filters, Budget(budget), updates
        self.records: list[OperationRecord] = []
        self.updates: list[UpdateRecord] = []
        self.modules: dict[str, str] = {}
        self.by_call: dict[int, OperationRecord] = {}
        self._counts: dict[str, int] = {}
        self._identities = itertools.count()
        self._tensors: dict[int, tuple[weakref.ref, int, int | None]] = {}
        self._roots: dict[int, tuple[Any, str]] = {}
        self._parameters: dict[int, str] = {}  # names by the tensors' identity
        self._batches: dict[int, int] = {}
        self._random = {default_backend().name: _random_state(default_backend())}
        self._thread, self._lock = _Thread(), threading.Lock()

    # ------------------------------------------------ what observers are told

    def before(self, call: Call) -> None:
        """Start the clock."""
        self._settle()
        if call.backend.name not in self._random:
            self._random[call.backend.name] = _random_state(call.backend)
        self._thread.open.append([call.number, time.perf_counter(), 0.0])

    def after(self, call: Call) -> None:
        """Stop the clock; a gradient is complete."""
        now, seen, inside, began = time.perf_counter(), None, 0.0, 0.0
        calls = self._thread.open
        while seen != call.number:  # what lies above failed with an error, and never ended
            seen, began, inside = calls.pop()
        if calls:
            calls[-1][2] += now - began
        self._thread.seconds = now - began - inside
        if call.phase == "gradient" and call.forward_number in self.by_call:
            self._add_gradient(self.by_call[call.forward_number], call)

    def recorded(self, call: Call) -> None:
        """Write the record of a forward."""
        modules, batch = self._place(call)
        source = users_line()
        with self._lock:
            count = self._counts[call.op.name] = self._counts.get(call.op.name, 0) + 1
            number = len(self.records)
            record = OperationRecord(
                number,
                f"{call.op.name}_{count}",
                call.op,
                modules,
                source,
                call.params,
                [self._operand(i, x, call) for i, x in enumerate(call.inputs)],
                inside=self._thread.inside,
                batch=batch,
                forward_seconds=self._thread.seconds,
                random_state=self._drawn_from(call.backend),
                forward_call=call.number,
            )
            self.records.append(record)
        for parent in record.parents:
            self.records[parent].children.append(number)
        record.outputs = [self._result(i, y, number, call) for i, y in enumerate(call.results)]
        record.bytes_allocated = sum(
            y.array.nbytes for y in call.results if not (call.op.may_view and _is_view(call, y.array))
        )
        if call.node is not None:
            record.bytes_saved = call.node.kept_bytes
        self.by_call[call.number] = record
        if self.statistics and self.filters.admit(record):
            for kept, y in zip(record.outputs, call.results, strict=True):
                kept.statistics = statistics_of(call.backend, y.array)
            if any(y.statistics and y.statistics.finite < y.statistics.count for y in record.outputs):
                for operand, x in zip(record.inputs, call.inputs, strict=True):  # were they given to it?
                    if isinstance(operand, TensorRecord):
                        operand.statistics = statistics_of(call.backend, x.array)
            if self.values:
                self._hold_all(record, call)

    def before_update(self, optimizer: Any) -> None:
        """Remember the parameters that an optimiser is about to change."""
        if self.updates_wanted:
            self._settle()
            parameters = [
                p for group in optimizer.param_groups for p in group["params"] if p.grad is not None
            ]
            before = [p.array.copy() for p in parameters] if self.statistics else []
            self._thread.updating = parameters, before, time.perf_counter()

    def after_update(self, optimizer: Any) -> None:
        """Record what became of them."""
        if not self.updates_wanted:
            return
        (parameters, before, began), self._thread.updating = self._thread.updating, ([], [], 0.0)
        seconds = time.perf_counter() - began
        names = [self._name_of(p) for p in parameters]
        self.updates += updates_of(type(optimizer).__name__, parameters, names, before, seconds)

    def finish(self) -> None:
        """Nothing more will come."""
        self._settle()
        self._tensors.clear()
        self._thread.open.clear()  # of calls that failed

    @property
    def inside(self) -> int | None:
        """The composite whose parts this thread runs, by its record's number."""
        return self._thread.inside

    @inside.setter
    def inside(self, number: int | None) -> None:
        self._thread.inside = number

    # ------------------------------------------------ gradients

    def _add_gradient(self, record: OperationRecord, call: Call) -> None:
        node: Any = call.node
        record.gradient_seconds = (record.gradient_seconds or 0.0) + self._thread.seconds
        record.gradient_call = call.number
        record.gradient_recorded = any(isinstance(gy, Tensor) for gy in call.arrays)
        self._thread.waiting = record, node
        if not self.statistics or not self.filters.admit(record):
            return
        for kept, gy in zip(record.outputs, call.arrays, strict=True):
            if (array := _raw(gy)) is not None:
                kept.gradient = statistics_of(call.backend, array)
                if self.values:
                    kept.held_gradient = self.budget.hold(array, _storage(gy))
        for i, (operand, edge, gradient) in enumerate(zip(record.inputs, node.edges, call.outputs)):
            if not isinstance(operand, TensorRecord) or edge is None or gradient is None:
                continue
            outer = operand.parent is None or isinstance(edge[0], Tensor)
            if outer or self.values:  # as it is handed on: of the input's shape and dtype
                array = backward._fit(node, i, _raw(gradient), call.backend.xp)
                if outer:
                    operand.gradient = statistics_of(call.backend, array)
                if self.values:
                    operand.held_gradient = self.budget.hold(array, _storage(gradient))

    def _settle(self) -> None:
        """Of the latest gradient: what its node kept has been let go by now, or is retained."""
        if self._thread.waiting is not None:
            (record, node), self._thread.waiting = self._thread.waiting, None
            if node.kept is None:
                record.bytes_freed = record.bytes_saved

    # ------------------------------------------------ places, tensors, values

    def _place(self, call: Call) -> tuple[tuple[str, ...], int | None]:
        """Paths of the modules that run, and the number of the batch. A second root gets its class's name in front."""
        scope = call.scope
        if scope is None:
            return (), len(self._batches) - 1 if self._batches else None
        if id(scope.root) not in self._roots:
            kind = type(scope.root).__name__
            taken = {prefix for _, prefix in self._roots.values()}
            names = [kind, *(f"{kind}_{i}" for i in range(2, len(taken) + 3))]
            prefix = next(name for name in names if name not in taken) if self._roots else ""
            self._roots[id(scope.root)] = scope.root, prefix
            for path, module in scope.root.named_modules():
                self.modules[_join(prefix, path)] = type(module).__name__
        prefix = self._roots[id(scope.root)][1]
        batch = self._batches.get(scope.entry)
        if batch is None:  # a loss that is a module is no batch of its own
            first = next(iter(self._roots)) == id(scope.root)
            batch = len(self._batches) if first else max(len(self._batches) - 1, 0)
            if first:
                self._batches[scope.entry] = batch
        return (tuple([_join(prefix, path) for path in scope.modules]) if prefix else scope.modules), batch

    def _operand(self, i: int, x: Any, call: Call) -> TensorRecord | ValueRecord:
        names = call.op.inputs
        name = f"{names[0]}[{i}]" if call.op.variadic else names[i]
        if not isinstance(x, Tensor):
            return ValueRecord(name, x)
        record = self._tensor(name, x, None)
        if x._node is None:
            parameter = parameter_name(x)
            if parameter is not None and call.scope is not None:
                self._parameters[record.tensor] = _join(self._roots[id(call.scope.root)][1], parameter)
            record.parameter = self._parameters.get(record.tensor)
        return record

    def _result(self, i: int, y: Tensor, number: int, call: Call) -> TensorRecord:
        names = call.op.outputs
        record = self._tensor(names[i] if i < len(names) else f"{names[-1]}[{i}]", y, number)
        record.parent = None
        return record

    def _tensor(self, name: str, x: Tensor, maker: int | None) -> TensorRecord:
        array = x.array
        known = self._tensors.get(id(array))
        same = known is not None and known[0]() is array
        if known is None or not same or maker is not None:
            identity = known[1] if known is not None and same else next(self._identities)
            known = self._tensors[id(array)] = weakref.ref(array), identity, maker
        version = 0 if x._storage is None else x._storage.version
        return TensorRecord(
            name, array.shape, array.dtype, x.backend.name, array.strides, known[1], array.nbytes, known[2],
            version=version,
        )  # fmt: skip

    def _hold_all(self, record: OperationRecord, call: Call) -> None:
        """Hold the values of what came in and went out."""
        pairs = [
            *zip(record.inputs, call.inputs, strict=True),
            *zip(record.outputs, call.results, strict=True),
        ]
        for kept, tensor in pairs:
            if isinstance(kept, TensorRecord):
                kept.held = self.budget.hold(tensor.array, storage_of(tensor))

    def _name_of(self, p: Any) -> str | None:
        known = self._tensors.get(id(p.array))
        return self._parameters.get(known[1]) if known is not None and known[0]() is p.array else None

    def _drawn_from(self, backend: Backend) -> dict[str, Any] | None:
        """The generator's state before it was drawn from, if it was since the record before this one."""
        before, now = self._random.get(backend.name), _random_state(backend)
        self._random[backend.name] = now
        return before if before is not None and before != now else None


def statistics_of(backend: Backend, array: Any) -> Statistics | None:
    """Of an array of numbers; None for one of truth values."""
    if array.dtype == dtypes.bool_:
        return None
    numbers, sample = backend.statistics(array, positions(array.size))
    return Statistics(numbers, backend.to_host(sample))


def _raw(x: Any) -> Any:
    return x.array if isinstance(x, Tensor) else x


def _storage(x: Any) -> Storage | None:
    return storage_of(x) if isinstance(x, Tensor) else None


def _is_view(call: Call, y: Any) -> bool:
    return any(hasattr(a, "nbytes") and call.backend.xp.may_share_memory(a, y) for a in call.arrays)


def _random_state(backend: Backend) -> dict[str, Any]:
    return backend.rng.bit_generator.state


def _join(prefix: str, path: str) -> str:
    return f"{prefix}.{path}" if prefix and path else prefix or path
