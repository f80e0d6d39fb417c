"""The engine, forward: every operation passes `apply`.

`apply` unwraps tensors, settles their types, runs the operation (its plain definition or a kernel of the
device), and records a Node where a gradient is wanted. The way back is `minigrad/backward.py`. Neither knows
any particular operation or Tensor's methods.
"""

from __future__ import annotations

import inspect
import itertools
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ContextDecorator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import dtypes, observe
from minigrad.backend import Backend, default_backend
from minigrad.errors import ArgumentError, DeviceError, DtypeError, MinigradError, ShapeError
from minigrad.storage import Storage, storage_of

if TYPE_CHECKING:
    from minigrad.op import Operation

# Infinities and NaNs are values here, as they are on a GPU: log(0) is -inf and says nothing. A filter on the modules
# that compute costs nothing; `np.errstate` around each call would cost a microsecond.
_COMPUTING = r"minigrad\.(ops|engine|backward|backend|inplace|tensor|host|creation)\b"
warnings.filterwarnings("ignore", category=RuntimeWarning, module=_COMPUTING)

Tensor: Any = None  # set by minigrad.tensor, which stands above this module
_NUMBERS = (int, float, bool)


class _Mode(threading.local):  # a loader's thread must not switch off the gradients of the main one
    grad_enabled = True


_mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operations of this thread record a graph."""
    return _mode.grad_enabled


class _GradMode(ContextDecorator):
    """Whether graphs are recorded in this thread, within a block or a decorated function; may be entered again."""

    def __init__(self, mode: bool) -> None:
        self._enabled = mode
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(_mode.grad_enabled)
        _mode.grad_enabled = self._enabled

    def __exit__(self, *error: object) -> None:
        _mode.grad_enabled = self._before.pop()

    def __call__(self, function: Any) -> Any:
        if inspect.isgeneratorfunction(function):  # its body runs after the call, when the mode is left again
            raise ArgumentError(
                f"{function.__name__} is a generator, which a decorator cannot keep from recording graphs; "
                "write `with mg.no_grad():` inside it"
            )
        return super().__call__(function)

    def _recreate_cm(self) -> _GradMode:  # a decorated function may run in several threads
        return _GradMode(self._enabled)


class set_grad_enabled(_GradMode):
    """Record graphs, or do not, in this thread: from now on, or within a block, or within a decorated function.

    `mg.set_grad_enabled(False)`; `with mg.set_grad_enabled(training): ...`; `@mg.set_grad_enabled(False)`.
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode))
        super().__enter__()  # at once: as a statement it has no block to enter

    def __enter__(self) -> None:
        if not self._before:
            super().__enter__()

    def __call__(self, function: Any) -> Any:
        self.__exit__()
        return super().__call__(function)


def no_grad() -> AbstractContextManager[None]:
    """Record no graph within the block: `with mg.no_grad(): ...`, or `@mg.no_grad()` above a function."""
    return _GradMode(False)


def enable_grad() -> AbstractContextManager[None]:
    """Record graphs within the block, also inside `no_grad`."""
    return _GradMode(True)


class Node:
    """One recorded operation: where its gradient goes, and what that gradient needs.

    edges: per input None (no gradient wanted), or (Node, output number), or (leaf Tensor, 0).
    input_meta, output_meta: (shape, dtype) of each, to check gradients by and to fill missing ones in.
    kept:  {("input" | "output", index): (array, Storage, stamp)}; None once freed.
    """

    __slots__ = ("backend", "edges", "hooks", "input_meta", "kept", "op", "order", "output_meta", "params")
    _counter = itertools.count()

    def __init__(
        self, op: Operation, backend: Backend, params: dict, edges: tuple, input_meta: list, output_meta: list
    ) -> None:
        self.op, self.backend, self.params = op, backend, params
        self.edges: tuple[tuple[Any, int] | None, ...] = edges
        self.input_meta, self.output_meta = input_meta, output_meta
        self.kept: dict[tuple[str, int], tuple[Any, Storage | None, Any]] | None = {}
        self.hooks: dict[int, dict[int, Callable]] | None = None
        self.order = next(Node._counter)

    def __repr__(self) -> str:
        return f"<{self.op.name}Backward>"

    @property
    def kept_bytes(self) -> int:
        """Bytes of the arrays that wait here for backward."""
        return sum(getattr(array, "nbytes", 0) for array, _, _ in (self.kept or {}).values())


def apply(op: Operation, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """Run an operation on tensors (numbers and None may stand among them); record it if a gradient is wanted."""
    for interceptor in observe.interceptors:
        inputs, params = interceptor(op, inputs, params)
    backend, dtype, uniform, wanted, others = None, None, True, False, None
    for x in inputs:
        if isinstance(x, Tensor):
            if backend is None:
                backend, dtype = x.backend, x.array.dtype
            elif x.backend is not backend:
                raise DeviceError(
                    f"{op.name}: tensors on {backend.name} and on {x.backend.name}; move one with .to(device)"
                )
            elif x.array.dtype is not dtype:
                uniform = False
            wanted = wanted or x._requires_grad
        elif x is not None:
            others = [x] if others is None else [*others, x]
    if len(inputs) != len(op.inputs) and not op.variadic:
        inputs = op.complete(inputs)
    if others is not None or backend is None:
        backend = backend or default_backend()
        if any(type(x) not in _NUMBERS for x in others or ()):
            inputs, uniform = tuple(_as_operand(op, x, backend) for x in inputs), False
        uniform = uniform and dtype in dtypes.FLOATING  # beside floating point, a Python number has no weight
    if op.defaults:
        params = {**op.defaults, **params}
    arrays = [x.array if isinstance(x, Tensor) else x for x in inputs]
    half = None
    if not uniform or dtype in dtypes.HALF or (op.dtypes == "float" and dtype not in dtypes.FLOATING):
        arrays, half = _settle_types(op, arrays, backend)

    if observe.observers:
        run = partial(_run_or_explain, op, backend, inputs, arrays, params)
        result = observe.execute(run, op, "forward", backend, arrays, params, None)
    else:
        result = _run_or_explain(op, backend, inputs, arrays, params)
    results = result if type(result) is tuple else (result,)
    if half is not None:  # computed wide, rounded once
        results = tuple(y.astype(half) if y.dtype == dtypes.float32 else y for y in results)
    outputs = tuple([Tensor._wrap(y, backend) for y in results])
    if op.may_view:
        _share_storage(inputs, outputs, backend)
    if wanted and _mode.grad_enabled and op.gradient_fn is not None:
        _record(op, backend, params, inputs, outputs)
    return outputs if type(result) is tuple else outputs[0]


def _run_or_explain(
    op: Operation, backend: Backend, inputs: tuple, arrays: Sequence[Any], params: dict[str, Any]
) -> Any:
    """`run_forward`, whose errors say what was given."""
    try:
        return run_forward(op, backend, arrays, params)
    except MinigradError:
        raise
    except (ValueError, IndexError, TypeError, OverflowError) as error:  # NumPy's word: add what was given
        if unknown := set(params) - set(op.params):
            allowed = f"it has {', '.join(op.params)}" if op.params else "it has none"
            raise TypeError(f"{op.name} has no option {', '.join(sorted(unknown))}; {allowed}") from error
        kind: type[MinigradError] = ShapeError
        if isinstance(error, (TypeError, OverflowError)):
            kind = DtypeError if isinstance(error, TypeError) else ArgumentError
        raise kind(f"{op.name}({', '.join(map(describe, inputs))}): {error}") from error


def run_forward(op: Operation, backend: Backend, arrays: Sequence[Any], params: dict[str, Any]) -> Any:
    """The forward on raw arrays: the device's kernel where it has one and takes the call, else the plain definition."""
    kernel = backend.kernels.get(op.name)
    result = None
    if kernel is not None and kernel.forward is not None:
        result = kernel.forward(backend.xp, *arrays, **params)
    if result is None:
        result = op.forward(backend.xp, *arrays, **params)
    if type(result) is backend.array_type:
        return result
    asarray = backend.xp.asarray  # NumPy turns 0-dimensional arrays into scalars; tensors hold arrays
    return tuple(map(asarray, result)) if type(result) in (tuple, list) else asarray(result)


def describe(x: Any) -> str:
    """A short word on an operand for error messages: its dtype and shape, or the number it is."""
    return f"{x.dtype}{list(x.shape)}" if hasattr(x, "dtype") else repr(x)


def _as_operand(op: Operation, x: Any, backend: Backend) -> Any:
    """An input that is no tensor: NumPy's arrays become constants, its scalars numbers; the rest is refused."""
    if isinstance(x, Tensor) or x is None or type(x) in _NUMBERS:
        return x
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, np.ndarray):
        return Tensor._wrap(
            backend.from_host(x.astype(dtypes.as_dtype(x.dtype), copy=False)),
            backend,
            storage=Storage(external=True),
        )
    raise DtypeError(
        f"{op.name} takes tensors and numbers, not {type(x).__name__}; make a tensor with mg.tensor(...)"
    )


def _settle_types(op: Operation, arrays: list[Any], backend: Backend) -> tuple[list[Any], np.dtype | None]:
    """Cast operands to their common type; also returns the half-precision type to round a widened result to, if any."""
    if op.dtypes == "move":
        return arrays, None
    chosen = [i for i, a in enumerate(arrays) if a is not None and (op.promoted is None or i in op.promoted)]
    if op.dtypes == "same":
        chosen = [i for i in chosen if type(arrays[i]) not in _NUMBERS and arrays[i].dtype in dtypes.FLOATING]
        if len({arrays[i].dtype for i in chosen}) > 1:
            given = ", ".join(map(describe, arrays))
            raise DtypeError(
                f"{op.name}({given}): floating-point operands must have one dtype; convert with .to(dtype)"
            )
    if not chosen:
        return arrays, None
    dtype = dtypes.result_type(arrays[i] for i in chosen)
    if op.dtypes == "float" and dtype not in dtypes.FLOATING:
        dtype = dtypes.DEFAULT_FLOAT
    half = dtype if dtype in backend.storage_only else None
    compute = dtype if half is None else dtypes.float32
    arrays, alone = list(arrays), all(type(arrays[i]) in _NUMBERS for i in chosen)
    for i in chosen:
        # Beside an array, a Python number has no weight in NumPy either and stays one; alone it must become an array
        if alone or (type(arrays[i]) not in _NUMBERS and arrays[i].dtype != compute):
            arrays[i] = backend.xp.asarray(arrays[i]).astype(compute)
    return arrays, half


def _share_storage(inputs: tuple, outputs: tuple, backend: Backend) -> None:
    """Views count writes together with the tensor they look into."""
    for x in inputs:
        for y in outputs:
            if isinstance(x, Tensor) and backend.xp.may_share_memory(y.array, x.array):
                y._storage = storage_of(x)


def _record(op: Operation, backend: Backend, params: dict, inputs: tuple, outputs: tuple) -> None:
    """Hang a Node on the outputs that can have a gradient."""
    edges = tuple([edge_of(x) if isinstance(x, Tensor) and x.requires_grad else None for x in inputs])
    input_meta = [(x.array.shape, x.array.dtype) if isinstance(x, Tensor) else ((), None) for x in inputs]
    node = Node(op, backend, params, edges, input_meta, [(y.array.shape, y.array.dtype) for y in outputs])
    kept: dict[tuple[str, int], Any] = {}
    for i in range(len(inputs)) if op.variadic and op.kept_inputs else op.kept_inputs:
        if i not in op.kept_for or edges[op.kept_for[i]] is not None:
            kept["input", i] = _keep(inputs[i])
    for i in range(len(outputs)) if op.kept_outputs else ():
        if i in op.kept_outputs:
            kept["output", i] = _keep(outputs[i])
    node.kept = kept
    for i, y in enumerate(outputs):
        if y.array.dtype in dtypes.FLOATING:
            y._node, y._output, y._requires_grad = node, i, True


def edge_of(x: Any) -> tuple[Any, int]:
    """Where the gradient of a tensor goes: the node that made it, or the tensor itself if it is a leaf."""
    return (x, 0) if x._node is None else (x._node, x._output)


def _keep(x: Any) -> tuple[Any, Storage | None, Any]:
    if not isinstance(x, Tensor):
        return x, None, None
    storage = x._storage or storage_of(x)
    return x.array, storage, storage.stamp(x.array) if storage.external else storage.version
