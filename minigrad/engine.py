"""The engine, forward: every operation passes `apply`.

`apply` unwraps tensors, settles their types, runs the operation (its plain definition or a kernel of the
device), and records a Node where a gradient is wanted. The way back is `minigrad/backward.py`. Neither knows
any particular operation or Tensor's methods.

It is written for tensors of a few elements too, for which the arithmetic takes a tenth of the time: what an
operation always needs is settled when it is registered, and the usual case makes no detours.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import dtypes, observe
from minigrad.backend import Backend, default_backend
from minigrad.errors import ArgumentError, DeviceError, DtypeError, MinigradError, ShapeError
from minigrad.grad_mode import GradMode, _mode, enable_grad, is_grad_enabled, no_grad, set_grad_enabled  # noqa: F401
from minigrad.storage import Storage, storage_of

if TYPE_CHECKING:
    from minigrad.op import Operation

# Infinities and NaNs are values here, as they are on a GPU: log(0) is -inf and says nothing. A filter on the modules
# that compute costs nothing; `np.errstate` around each call would cost a microsecond.
_COMPUTING = r"minigrad\.(ops|engine|backward|backend|inplace|tensor|host|creation)\b"
warnings.filterwarnings("ignore", category=RuntimeWarning, module=_COMPUTING)

Tensor: Any = None  # set by minigrad.tensor, which stands above this module
_NUMBERS = (int, float, bool)
_COMPUTED_IN = dtypes.FLOATING - dtypes.HALF


_UNSEEN = (None, None)


class Node:
    """One recorded operation: where its gradient goes, and what that gradient needs.

    edges: per input None (no gradient wanted), or (Node, output number), or (leaf Tensor, 0).
    input_meta, output_meta: (shape, dtype) of each, to check gradients by and to fill missing ones in.
    kept:  {("input" | "output", index): (array, Storage, stamp)}; None once freed.
    order: a node is newer, its order higher, than all nodes its edges lead to.
    seen:  by observers, in the forward: the number of the call and the scope it ran in.
    """

    __slots__ = (
        "backend", "edges", "hooks", "input_meta", "kept", "op", "order", "output_meta", "params", "seen",
    )  # fmt: skip
    _counter = itertools.count()

    def __init__(self, op: Operation, backend: Backend, params: dict, inputs: tuple, outputs: tuple) -> None:
        self.op, self.backend, self.params = op, backend, params
        self.edges: list[tuple[Any, int] | None] = []
        self.input_meta: list[tuple[Any, Any]] = []
        self.output_meta: list[tuple[Any, Any]] = []
        self.kept: dict[tuple[str, int], tuple[Any, Storage | None, Any]] | None = {}
        self.hooks: dict[int, dict[int, Callable]] | None = None
        self.seen: tuple[int | None, Any] = _UNSEEN
        self.order = next(Node._counter)
        for x in inputs:
            if isinstance(x, Tensor):
                self.input_meta.append((x.array.shape, x.array.dtype))
                self.edges.append(edge_of(x) if x._requires_grad else None)
            else:
                self.input_meta.append(((), None))
                self.edges.append(None)
        for y in outputs:
            self.output_meta.append((y.array.shape, y.array.dtype))
        if op.keeps:
            self._keep(inputs, outputs)

    def _keep(self, inputs: tuple, outputs: tuple) -> None:
        """Keep what the gradient's argument names ask for."""
        op, kept = self.op, {}
        for i in range(len(inputs)) if op.variadic and op.kept_inputs else op.kept_inputs:
            if i not in op.kept_for or self.edges[op.kept_for[i]] is not None:
                kept["input", i] = _stamped(inputs[i])
        for i in op.kept_outputs:
            if i < len(outputs):
                kept["output", i] = _stamped(outputs[i])
        self.kept = kept

    def __repr__(self) -> str:
        return f"<{self.op.name}Backward>"

    @property
    def kept_bytes(self) -> int:
        """Bytes of the arrays that wait here for backward."""
        return sum(getattr(array, "nbytes", 0) for array, _, _ in (self.kept or {}).values())


def apply(op: Operation, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """Run an operation on tensors (numbers and None may stand among them); record it if a gradient is wanted."""
    if observe.interceptors:
        changed = observe.ask(apply, op, inputs, params)
        if changed is not NotImplemented:
            return changed
    if len(inputs) != op.arity:
        inputs = op.complete(inputs)
    params = {**op.defaults, **params} if params else op.defaults
    backend, inputs, arrays, half, wanted = _unwrap(op, inputs)
    call = None
    if observe.observers:
        call = observe.begin(op, "forward", backend, arrays, params, inputs=inputs)
    try:
        result = run_forward(op, backend, arrays, params)
    except MinigradError:
        raise
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        raise _explained(error, op, inputs, params) from error
    if call is not None:
        observe.end(call, result)
    if half is not None:
        result = _rounded(result, half)
    several = type(result) is tuple
    outputs = (
        tuple([Tensor._wrap(y, backend) for y in result]) if several else (Tensor._wrap(result, backend),)
    )
    if op.may_view:
        _share_storage(inputs, outputs, backend)
    node = None
    if wanted and op.gradient_fn is not None and _mode.grad_enabled:
        node = Node(op, backend, params, inputs, outputs)
        for i, y in enumerate(outputs):
            if y.array.dtype in dtypes.FLOATING:  # no other type has a gradient
                y._node, y._output, y._requires_grad = node, i, True
    if call is not None:
        observe.recorded(call, outputs, node)
    return outputs if several else outputs[0]


def _unwrap(op: Operation, inputs: tuple) -> tuple[Backend, tuple, list[Any], np.dtype | None, bool]:
    """The device, the inputs (with tensors made of NumPy's arrays), their raw arrays in the types to compute in, the
    half-precision type to round the result to, if any, and whether any input requires grad.
    """
    backend, dtype, one_dtype = None, None, True
    wanted, numbers, others = False, False, False
    arrays: list[Any] = []
    for x in inputs:
        if isinstance(x, Tensor):
            array = x.array
            if x.backend is not backend:
                if backend is not None:
                    raise DeviceError(
                        f"{op.name}: tensors on {backend.name} and on {x.backend.name}; move one with .to(device)"
                    )
                backend, dtype = x.backend, array.dtype
            elif array.dtype is not dtype:
                one_dtype = False
            wanted = wanted or x._requires_grad
            arrays.append(array)
        else:
            arrays.append(x)
            if type(x) in _NUMBERS:
                numbers = True
            elif x is not None:
                others = True
    backend = backend or default_backend()
    if others:
        inputs, one_dtype = tuple([_as_operand(op, x, backend) for x in inputs]), False
        arrays = [x.array if isinstance(x, Tensor) else x for x in inputs]
    # Tensors of one type stay as they are where it is one to compute in; beside floating point a number has no weight
    if one_dtype and dtype in (_COMPUTED_IN if numbers else op.computed_in):
        return backend, inputs, arrays, None, wanted
    arrays, half = _settle_types(op, arrays, backend)
    return backend, inputs, arrays, half, wanted


def _explained(error: Exception, op: Operation, inputs: tuple, params: dict[str, Any]) -> Exception:
    """NumPy's word, with what was given."""
    if unknown := set(params) - set(op.params):
        allowed = f"it has {', '.join(op.params)}" if op.params else "it has none"
        return TypeError(f"{op.name} has no option {', '.join(sorted(unknown))}; {allowed}")
    kind: type[MinigradError] = ShapeError
    if isinstance(error, (TypeError, OverflowError)):
        kind = DtypeError if isinstance(error, TypeError) else ArgumentError
    return kind(f"{op.name}({', '.join(map(describe, inputs))}): {error}")


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


def _rounded(result: Any, half: np.dtype) -> Any:
    """Half precision is computed wide and rounded once."""
    if type(result) is tuple:
        return tuple([_rounded(y, half) for y in result])
    return result.astype(half) if result.dtype == dtypes.float32 else result


def _share_storage(inputs: tuple, outputs: tuple, backend: Backend) -> None:
    """Views count writes together with the tensor they look into."""
    for x in inputs:
        for y in outputs:
            if isinstance(x, Tensor) and backend.xp.may_share_memory(y.array, x.array):
                y._storage = storage_of(x)


def edge_of(x: Any) -> tuple[Any, int]:
    """Where the gradient of a tensor goes: the node that made it, or the tensor itself if it is a leaf."""
    return (x, 0) if x._node is None else (x._node, x._output)


def _stamped(x: Any) -> tuple[Any, Storage | None, Any]:
    if not isinstance(x, Tensor):
        return x, None, None
    storage = x._storage or storage_of(x)
    return x.array, storage, storage.stamp(x.array) if storage.external else storage.version
