"""What each module of a model costs, seen while the model runs once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad import dtypes, engine
from minigrad.nn.fusing import without_composites
from minigrad.nn.module import Module
from minigrad.observe import Call, intercept, observe
from minigrad.tensor import Tensor


@dataclass
class Row:
    """One module of a summary. All numbers are its own: what its children have and do stands in their rows.

    name, kind:    its dotted path in the model ("" for the model itself) and the name of its class.
    output_shapes: of the tensors it returned, in all its calls; empty if it was not called.
    trainable:     number of learnt parameters; those shared with an earlier module are counted there.
    frozen:        number of parameters that do not require grad.
    flops:         floating-point operations of the forward, a multiply-add counting two.
    output_bytes:  memory that the results of its operations take; views take none.
    kept_bytes:    memory of activations that stays until backward; what two operations keep is counted once, at the
                   first, and parameters are not counted.
    calls:         how often it was called.
    """

    name: str
    kind: str
    trainable: int = 0
    frozen: int = 0
    flops: int = 0
    output_bytes: int = 0
    kept_bytes: int = 0
    calls: int = 0
    output_shapes: list[tuple[int, ...]] = field(default_factory=list)


class CostWatch:
    """Attributes every operation of a forward to the module that runs at the time."""

    def __init__(self, model: Module) -> None:
        self.model = model
        self.of_module = {module: Row(name, type(module).__name__) for name, module in model.named_modules()}
        self.rows = list(self.of_module.values())
        counted: set[int] = set()
        for module, row in self.of_module.items():
            for _, parameter in module._own_parameters():
                if id(parameter) not in counted:
                    counted.add(id(parameter))
                    row.trainable += parameter.array.size * parameter.requires_grad
                    row.frozen += parameter.array.size * (not parameter.requires_grad)
        self.running = [self.rows[0]]  # the modules that we are inside of, the innermost last
        # From which node of the graph on which module was running: nodes are numbered as they are made
        self.since: list[int] = [-1]
        self.whose: list[Row] = [self.rows[0]]
        self.rounded: np.dtype | None = None

    def entering(self, row: Row) -> Any:
        """The hook before a module's forward."""

        def hook(module: Module, args: tuple) -> None:
            self.running.append(row)
            self._switch()

        return hook

    def leaving(self, row: Row) -> Any:
        """The hook after a module's forward."""

        def hook(module: Module, args: tuple, output: Any) -> None:
            while self.running.pop() is not row:
                pass  # a module that failed, where its parent caught the error
            self._switch()
            row.calls += 1
            row.output_shapes += [t.shape for t in _tensors(output)]

        return hook

    def _switch(self) -> None:
        self.since.append(next(engine.Node._counter))
        self.whose.append(self.running[-1])

    def note_types(self, op: Any, inputs: tuple, params: dict, proceed: Any) -> Any:
        """An interceptor that changes nothing: half precision is seen here, and as float32 by observers."""
        floats = [x for x in inputs if isinstance(x, Tensor) and x.dtype in dtypes.FLOATING]
        common = dtypes.result_type(floats) if floats else None
        self.rounded = common if floats and common in floats[0].backend.storage_only else None
        return proceed(inputs, params)

    def before(self, call: Call) -> None:
        """Nothing is to be done before an operation."""

    def after(self, call: Call) -> None:
        """Count an operation that has run."""
        row, shapes = self.running[-1], [getattr(y, "shape", ()) for y in call.outputs]
        row.flops += int(call.op.flops([getattr(a, "shape", ()) for a in call.arrays], shapes, call.params))
        for y in call.outputs:
            if not (call.op.may_view and any(_share(call, a, y) for a in call.arrays)):
                narrow = self.rounded is not None and y.dtype == dtypes.float32
                row.output_bytes += y.nbytes // 2 if narrow else y.nbytes

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch every operation and every module within the block; modules run one by one, to be told apart."""
        with ExitStack() as stack:
            stack.enter_context(without_composites())
            for module, row in self.of_module.items():
                stack.callback(module.register_forward_pre_hook(self.entering(row)).remove)
                stack.callback(module.register_forward_hook(self.leaving(row)).remove)
            stack.enter_context(intercept(self.note_types))
            stack.enter_context(observe(self))
            yield

    def count_kept(self, outputs: Any) -> None:
        """Add up what the graph below the outputs keeps."""
        counted = {id(_owner(t.array)) for t in (*self.model.parameters(), *self.model.buffers())}
        nodes = {t._node for t in _tensors(outputs) if t._node is not None}
        waiting = list(nodes)
        while waiting:
            for edge in waiting.pop().edges:
                if edge is not None and isinstance(edge[0], engine.Node) and edge[0] not in nodes:
                    nodes.add(edge[0])
                    waiting.append(edge[0])
        for node in sorted(nodes, key=lambda node: node.order):
            row = self.whose[bisect_right(self.since, node.order) - 1]
            for array, _, _ in (node.kept or {}).values():
                if hasattr(array, "nbytes") and id(owner := _owner(array)) not in counted:
                    counted.add(id(owner))
                    row.kept_bytes += owner.nbytes


@contextmanager
def undisturbed(model: Module, inputs: list[Tensor]) -> Iterator[None]:
    """Within the block, buffers are copies and random numbers are borrowed; afterwards all is as it was."""
    attributes = [(module, dict(vars(module))) for module in model.modules()]
    buffers = [(buffer, buffer.array, buffer._storage) for buffer in model.buffers()]
    generators = [t.backend.rng.bit_generator for t in (*inputs, *model.parameters())]
    states = {id(generator): (generator, generator.state) for generator in generators}
    for buffer, array, _ in buffers:
        buffer.array, buffer._storage = array.copy(), None
    try:
        yield
    finally:
        for generator, state in states.values():
            generator.state = state
        for buffer, array, storage in buffers:
            buffer.array, buffer._storage = array, storage
        for module, values in attributes:
            vars(module).clear()
            vars(module).update(values)


def _tensors(value: Any) -> list[Tensor]:
    """All tensors in what a module returns."""
    if isinstance(value, Tensor):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [t for part in parts for t in _tensors(part)]


def _share(call: Call, a: Any, y: Any) -> bool:
    return hasattr(a, "nbytes") and call.backend.xp.may_share_memory(a, y)


def _owner(array: Any) -> Any:
    """The array whose memory a view looks into: as long as the view is kept, so is all of it."""
    while isinstance(array.base, type(array)):
        array = array.base
    return array
