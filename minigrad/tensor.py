"""Tensor: an array on a device that remembers how it was made.

Its methods are one-line calls of operations; everything an operation means is defined in `minigrad/ops`,
everything about graphs in `minigrad/engine`. Names, arguments and results are PyTorch's.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import dtypes, engine, ops
from minigrad.backend import Backend, get_backend
from minigrad.backward import backward, seed
from minigrad.errors import DtypeError, GraphError, ShapeError
from minigrad.gradient_buffer import Home
from minigrad.hooks import HookHandle
from minigrad.host import from_python
from minigrad.inplace import InPlace
from minigrad.op import operators
from minigrad.storage import Storage, storage_of


def _caster(dtype: np.dtype) -> Callable[[Tensor], Tensor]:
    return lambda self: self.to(dtype=dtype)


class Tensor(InPlace):
    """An n-dimensional array on a device, with its place in the graph.

    array:         the raw NumPy (or CuPy) array. Writing to it goes unnoticed by autograd: use the in-place methods.
    backend:       the device's Backend; `device` is its name.
    requires_grad: whether gradients are wanted with respect to it, or flow through it.
    grad:          after `backward`, the accumulated gradient of a leaf, a Tensor of the same shape; else None.

    Make one with `mg.tensor(data)`, `mg.zeros(shape)`, `mg.from_numpy(array)`.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    # NumPy must leave `array + tensor` to us, and `np.exp(tensor)` must fail rather than lose the gradient.
    __array_ufunc__ = None

    _requires_grad = False  # what the engine reads and sets; users go through the property
    grad: Tensor | None = None
    _node: engine.Node | None = None
    _output: int = 0
    _retains_grad = False
    _storage: Storage | None = None
    _home: Home | None = None
    _hooks: dict[int, Callable] | None = None
    _accumulated_hooks: dict[int, Callable] | None = None

    array: Any
    backend: Backend

    def __init__(
        self,
        data: Any,
        *,
        dtype: Any = None,
        device: str | Backend | None = None,
        requires_grad: bool = False,
    ) -> None:
        backend = get_backend(
            device if device is not None else data.backend if isinstance(data, Tensor) else None
        )
        host = data.numpy() if isinstance(data, Tensor) else from_python(data, dtype)
        target = dtypes.as_dtype(dtype) if dtype is not None else dtypes.as_dtype(host.dtype)
        self.array = backend.from_host(np.array(host, dtype=target))
        self.backend = backend
        if requires_grad:
            self.requires_grad_()

    @classmethod
    def _wrap(cls, array: Any, backend: Backend, storage: Storage | None = None) -> Tensor:
        """A tensor around a raw array, without copying or checking it."""
        tensor: Tensor = object.__new__(Tensor)
        tensor.array, tensor.backend = array, backend
        if storage is not None:
            tensor._storage = storage
        return tensor

    # ------------------------------------------------ what it is

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the dimensions."""
        return self.array.shape

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of one dimension."""
        return self.array.shape if dim is None else self.array.shape[dim]

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.array.ndim

    def dim(self) -> int:
        """Number of dimensions."""
        return self.array.ndim

    def numel(self) -> int:
        """Number of elements."""
        return self.array.size

    @property
    def dtype(self) -> np.dtype:
        """Type of the elements."""
        return self.array.dtype

    @property
    def device(self) -> str:
        """Name of the device it lies on."""
        return self.backend.name

    @property
    def nbytes(self) -> int:
        """Bytes its elements take."""
        return self.array.nbytes

    requires_grad: Any = property(lambda self: self._requires_grad, lambda self, to: self.requires_grad_(to))

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user rather than by a recorded operation."""
        return self._node is None

    @property
    def grad_fn(self) -> engine.Node | None:
        """The recorded operation that made it."""
        return self._node

    @property
    def T(self) -> Tensor:
        """The transpose: dimensions in reverse order."""
        return ops.permute(self, tuple(reversed(range(self.ndim))))

    @property
    def mT(self) -> Tensor:
        """The last two dimensions swapped."""
        return ops.transpose(self, -2, -1)

    def __repr__(self) -> str:
        values = self.numpy()
        text = np.array2string(
            # NumPy would print bfloat16 without decimal points, like integers
            values.astype(dtypes.float32) if self.dtype == dtypes.bfloat16 else values,
            separator=", ",
            prefix="tensor(",
            threshold=1000,
            edgeitems=3,
        )
        facts = [] if self.dtype in (dtypes.float32, dtypes.int64, dtypes.bool_) else [f"dtype={self.dtype}"]
        facts += [f"shape={self.shape}"] if self.array.size == 0 or self.array.size > 1000 else []
        facts += [f"device={self.device!r}"] if self.device != "cpu" else []
        facts += (
            [f"grad_fn={self._node}"]
            if self._node is not None
            else ["requires_grad=True"]
            if self.requires_grad
            else []
        )
        return f"tensor({', '.join([text, *facts])})"

    def __len__(self) -> int:
        if not self.array.ndim:
            raise ShapeError("a 0-dimensional tensor has no length")
        return self.array.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return iter(ops.unbind(self, 0))

    def __copy__(self) -> Tensor:
        storage_of(self)  # made now, so that writes through either are counted for both
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self._node is not None:
            raise GraphError(
                "only leaves can be deep-copied; this tensor was made by an operation. Use x.detach()"
            )
        twin = memo[id(self)] = type(self).__new__(type(self))
        twin.array, twin.backend = self.array.copy(), self.backend
        twin.requires_grad, twin.grad = self.requires_grad, copy.deepcopy(self.grad, memo)
        return twin

    # ------------------------------------------------ to Python and NumPy

    def item(self) -> float | int | bool:
        """The only element, as a Python number. Raises ShapeError if there is not exactly one."""
        if self.array.size != 1:
            raise ShapeError(f"item() needs exactly one element; this tensor has shape {list(self.shape)}")
        return self.backend.to_host(self.array).reshape(-1)[0].item()

    def tolist(self) -> Any:
        """Its elements as nested Python lists."""
        return self.backend.to_host(self.array).tolist()

    def numpy(self) -> np.ndarray:
        """Its elements as a read-only NumPy array, sharing memory on the CPU.

        Read-only, since autograd would not see a write: change the tensor by its in-place methods, or change a copy.
        """
        view = self.backend.to_host(self.array).view()
        view.flags.writeable = False
        return view

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if copy or (dtype is not None and np.dtype(dtype) != array.dtype):
            if copy is False:
                raise ValueError(f"a {array.dtype} tensor cannot become {np.dtype(dtype)} without a copy")
            return np.array(array, dtype=dtype)
        return array

    def __dlpack__(self, **options: Any) -> Any:
        if self.requires_grad:
            raise GraphError("a tensor that requires grad cannot be shared by DLPack; share x.detach()")
        storage_of(self).external = True  # the consumer may write where we cannot count
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()

    def __bool__(self) -> bool:
        if self.array.size != 1:
            raise ShapeError(
                f"a tensor of shape {list(self.shape)} is neither true nor false; ask with .any() or .all()"
            )
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype in dtypes.FLOATING:
            raise DtypeError(f"only integer tensors can be an index; this one is {self.dtype}")
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    # ------------------------------------------------ gradients

    def backward(
        self, gradient: Tensor | None = None, retain_graph: bool | None = None, create_graph: bool = False
    ) -> None:
        """Add the gradient of this tensor with respect to each leaf to that leaf's `.grad`.

        gradient:     the gradient of the final result with respect to this tensor; 1 for a tensor of one element.
        retain_graph: keep what the graph saved, for another backward; default is the value of `create_graph`.
        create_graph: record the backward pass itself, so that gradients can be differentiated again.
        """
        backward(
            [self],
            [seed(self, gradient)],
            retain_graph=create_graph if retain_graph is None else retain_graph,
            create_graph=create_graph,
        )

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Say whether gradients are wanted with respect to this leaf."""
        if not self.is_leaf:
            raise GraphError(
                "requires_grad can be set on leaves only; this tensor was made by an operation. Use x.detach()"
            )
        if requires_grad and self.dtype not in dtypes.FLOATING:
            raise DtypeError(f"only floating-point tensors can require grad; this one is {self.dtype}")
        self._requires_grad = requires_grad
        return self

    def detach(self) -> Tensor:
        """The same memory, outside the graph."""
        return Tensor._wrap(self.array, self.backend, storage=storage_of(self))

    @property
    def data(self) -> Tensor:
        """The same as `detach()`, under PyTorch's older name."""
        return self.detach()

    def retain_grad(self) -> None:
        """Also fill in `.grad` of this tensor, which is no leaf, on backward."""
        if self._node is None or self._retains_grad:
            return
        self._retains_grad = True
        tensor = weakref.ref(self)

        def store(gradient: Tensor) -> None:
            if (found := tensor()) is not None:
                # a copy, as others may hold the array too
                found.grad = gradient.clone() if found.grad is None else found.grad + gradient

        self.register_hook(store)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        """Call `hook(gradient)` when this tensor's gradient is complete; what it returns, if not None, replaces it."""
        if not self.requires_grad:
            raise GraphError("no gradient will arrive here: the tensor does not require grad")
        if self._node is not None:
            self._node.hooks = {} if self._node.hooks is None else self._node.hooks
            hooks = self._node.hooks.setdefault(self._output, {})
        else:
            hooks = self._hooks = {} if self._hooks is None else self._hooks
        return HookHandle.adding(hook, hooks)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> HookHandle:
        """Call `hook(leaf)` each time this leaf's `.grad` has been added to."""
        if not self.is_leaf or not self.requires_grad:
            raise GraphError("only a leaf that requires grad accumulates a gradient")
        self._accumulated_hooks = {} if self._accumulated_hooks is None else self._accumulated_hooks
        return HookHandle.adding(hook, self._accumulated_hooks)

    # ------------------------------------------------ devices and types

    def to(self, *targets: Any, dtype: Any = None, device: Any = None) -> Tensor:
        """This tensor on a device and/or with a dtype: `x.to("cpu")`, `x.to(mg.float64)`, `x.to(other)`.

        The tensor itself if nothing changes. Casting between floating-point types passes gradients.
        """
        for target in targets:
            if isinstance(target, Tensor):
                dtype, device = target.dtype, target.backend
            elif isinstance(target, Backend) or (isinstance(target, str) and target not in dtypes.BY_NAME):
                device = target
            else:
                dtype = target
        result = self
        if device is not None and get_backend(device) is not self.backend:
            result = ops.to_device(result, get_backend(device))
        if dtype is not None and dtypes.as_dtype(dtype) != result.dtype:
            result = ops.cast(result, dtype=dtypes.as_dtype(dtype))
        return result

    def astype(self, dtype: Any) -> Tensor:
        """The same as `to(dtype)`, in NumPy's spelling, which gradient texts use."""
        return self.to(dtype=dtype)

    def type_as(self, other: Tensor) -> Tensor:
        """With the dtype of `other`."""
        return self.to(dtype=other.dtype)

    def float(self) -> Tensor:
        """As float32; likewise `double`, `half`, `bfloat16`, `long` (int64), `int` (int32) and `bool`."""
        return self.to(dtype=dtypes.float32)

    double, half, bfloat16 = _caster(dtypes.float64), _caster(dtypes.float16), _caster(dtypes.bfloat16)
    long, int, bool = _caster(dtypes.int64), _caster(dtypes.int32), _caster(dtypes.bool_)

    def cpu(self) -> Tensor:
        """On the CPU."""
        return self.to(device="cpu")

    def where(self, condition: Any, other: Any) -> Tensor:
        """This tensor where `condition` holds, `other` elsewhere."""
        return ops.where(condition, self, other)

    # ------------------------------------------------ operators

    __getitem__ = ops.getitem
    __add__, __radd__ = operators(ops.add)
    __sub__, __rsub__ = operators(ops.sub)
    __mul__, __rmul__ = operators(ops.mul)
    __truediv__, __rtruediv__ = operators(ops.div)
    __floordiv__, __rfloordiv__ = operators(ops.floor_divide)
    __mod__, __rmod__ = operators(ops.remainder)
    __pow__, __rpow__ = operators(ops.pow)
    __matmul__, __rmatmul__ = operators(ops.matmul)
    __and__ = __rand__ = ops.bitwise_and
    __or__ = __ror__ = ops.bitwise_or
    __xor__ = __rxor__ = ops.bitwise_xor
    __neg__, __abs__, __invert__ = ops.neg, ops.abs, ops.bitwise_not
    __lt__, __le__, __gt__, __ge__ = ops.lt, ops.le, ops.gt, ops.ge
    __eq__, __ne__ = ops.eq, ops.ne
    __hash__ = object.__hash__  # == compares elements, but a tensor is a dictionary's key by identity

    if TYPE_CHECKING:  # the methods attached below

        def __getattr__(self, name: str) -> Any: ...


# Every name in a family's METHODS is a method too: x.exp() is ops.exp(x).
for _name in ops.METHODS:
    setattr(Tensor, _name, getattr(ops, _name))
engine.Tensor = Tensor
