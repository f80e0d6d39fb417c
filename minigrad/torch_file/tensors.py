"""What PyTorch's own functions would have made of the numbers in a checkpoint: tensors on shared memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad import dtypes
from minigrad.backend import get_backend
from minigrad.errors import DataError
from minigrad.storage import Storage
from minigrad.tensor import Tensor
from minigrad.torch_file.machine import Builder, Opaque, damaged, fill, quoted

# The classes of memory, which say what is in it: our dtype, or the bytes of an element where we have none.
_KINDS: dict[str, np.dtype | int] = {
    "FloatStorage": dtypes.float32,
    "DoubleStorage": dtypes.float64,
    "HalfStorage": dtypes.float16,
    "BFloat16Storage": dtypes.bfloat16,
    "LongStorage": dtypes.int64,
    "IntStorage": dtypes.int32,
    "ShortStorage": dtypes.int16,
    "CharStorage": dtypes.int8,
    "ByteStorage": dtypes.uint8,
    "BoolStorage": dtypes.bool_,
    "ComplexFloatStorage": 8,
    "ComplexDoubleStorage": 16,
    "QInt8Storage": 1,
    "QUInt8Storage": 1,
    "QInt32Storage": 4,
    "QUInt4x2Storage": 1,
    "QUInt2x4Storage": 1,
    "UntypedStorage": 1,
}
_STORAGE_MODULES = {"torch", "torch.storage", "torch.cuda"}
_MAX_DIMS = 64  # NumPy's limit, and PyTorch's

# A tensor may be larger than its memory, by strides of 0. A file may describe tensors of this many bytes for each of
# its own, and this many besides; more is a small file that means to fill a large memory.
_GROWTH, _ALLOWANCE = 16, 1 << 26

_FOREIGN = {
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
    "torch._utils._rebuild_sparse_csr_tensor": "a sparse tensor",
    "torch._utils._rebuild_qtensor": "a quantised tensor",
    "torch._utils._rebuild_nested_tensor": "a nested tensor",
    "torch._utils._rebuild_meta_tensor_no_storage": "a tensor without values (of the meta device)",
    "torch._utils._rebuild_device_tensor_from_numpy": "a tensor of a foreign device",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": "a tensor of a foreign device",
    "torch._utils._rebuild_wrapper_subclass": "a tensor of a class of its own",
}


class Memory:
    """The memory that one or several tensors of a file lie in."""

    def __init__(self, itemsize: int, nbytes: int) -> None:
        self.itemsize, self.is_bool = itemsize, False
        self.raw = np.empty(nbytes, np.uint8)
        self.storage = Storage()

    def finish(self, swap: bool) -> None:
        """Once the file's bytes are there: bring them into this machine's order."""
        if swap and self.itemsize > 1:
            self.raw.view(f"u{self.itemsize}").byteswap(inplace=True)
        if self.is_bool:  # any other value than 0 or 1 is True in PyTorch, and undefined in NumPy
            np.not_equal(self.raw, 0, out=self.raw.view(np.bool_))


class _Elements(Opaque):
    """A memory, seen as elements of one kind. Used to make tensors of; by itself, nothing to read."""

    __slots__ = ("kind", "memory")

    def __init__(self, memory: Memory, kind: str) -> None:
        super().__init__(f"torch.{kind}")
        self.memory, self.kind = memory, kind


def largest_total(file_size: int) -> int:
    """How many bytes the tensors of a file may take."""
    return _GROWTH * file_size + _ALLOWANCE


class TensorBuilders:
    """Makes the tensors of one file. Their memory is taken at once, and has the file's contents once it is filled.

    room: bytes that all memory together may take: no more than the file has.
    """

    def __init__(self, room: int) -> None:
        self.room, self.largest = room, largest_total(room)
        self.memories: dict[str, Memory] = {}
        self.backend = get_backend("cpu")

    def table(self) -> dict[str, Builder]:
        """What stands in for the functions that PyTorch's files call."""
        foreign: dict[str, Builder] = {name: _foreign(what) for name, what in _FOREIGN.items()}
        return foreign | {
            "collections.OrderedDict": _dictionary,
            "collections.defaultdict": lambda factory=None, pairs=(): _dictionary(pairs),
            "_codecs.encode": _bytes,
            "torch.Size": tuple,
            "torch._utils._rebuild_tensor": self.tensor,
            "torch._utils._rebuild_tensor_v2": self.tensor,
            "torch._utils._rebuild_tensor_v3": self.tensor_of_dtype,
            "torch._utils._rebuild_parameter": lambda data, *marks: data,
            "torch._utils._rebuild_parameter_with_state": lambda data, *marks: data,
            "torch._tensor._rebuild_from_type_v2": self.subclass,
        }

    def persistent(self, reference: Any) -> Any:
        """The memory that a reference ("storage", class, key, device, number of elements) is about."""
        if type(reference) is tuple and len(reference) > 1 and reference[0] == "module":
            return reference[1]  # a class, beside which old files keep its source
        if type(reference) is not tuple or len(reference) not in (5, 6) or reference[0] != "storage":
            raise damaged("its pickle refers to something outside that is no memory of a tensor")
        _, kind, key, _, numel, *view = reference
        module, _, name = kind.name.rpartition(".") if isinstance(kind, Opaque) else ("", "", "")
        if module not in _STORAGE_MODULES or name not in _KINDS:
            raise damaged("its pickle refers to memory of an unknown kind")
        if view not in ([], [None]):
            raise DataError(
                "the file was written by a very old PyTorch (before 0.4), with memory inside other memory, which is "
                "not supported; load it with PyTorch and save it again"
            )
        if type(key) is not str or type(numel) is not int or numel < 0:
            raise damaged("its pickle refers to memory without a name or a size")
        return _Elements(self._memory(key, name, numel), name)

    def _memory(self, key: str, name: str, numel: int) -> Memory:
        kind = _KINDS[name]
        itemsize = kind if isinstance(kind, int) else kind.itemsize
        memory = self.memories.get(key)
        if memory is None:
            self.room -= numel * itemsize
            if self.room < 0:
                raise damaged(f"memory {quoted(key)} is larger than the file can hold")
            memory = self.memories[key] = Memory(itemsize, numel * itemsize)
            memory.is_bool = name == "BoolStorage"
        elif len(memory.raw) != numel * itemsize or memory.is_bool != (name == "BoolStorage"):
            raise damaged(f"memory {quoted(key)} has two different sizes or kinds")
        return memory

    def tensor(
        self, elements: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False, hooks: Any = None,
        marks: Any = None,
    ) -> Tensor | Opaque:  # fmt: skip
        """torch._utils._rebuild_tensor and _rebuild_tensor_v2: a view of some elements."""
        if not isinstance(elements, _Elements):
            raise damaged("a tensor in it has no memory")
        dtype = _KINDS[elements.kind]
        if not isinstance(dtype, np.dtype):
            return Opaque(f"a tensor on {elements.kind}", is_tensor=True)
        if marks:  # conjugated or negated when read
            return Opaque("a tensor to be conjugated or negated", is_tensor=True)
        size, stride = _integers("shape", size), _integers("strides", stride)
        (offset,) = _integers("offset", (offset,))
        if len(size) != len(stride) or len(size) > _MAX_DIMS:
            raise damaged(f"a tensor in it has {len(size)} sizes and {len(stride)} strides")
        raw, count, last = elements.memory.raw, 1, offset
        for n, step in zip(size, stride):
            count *= n
            last += (n - 1) * step
        if count * dtype.itemsize > self.largest:
            raise damaged("a tensor in it has far more bytes than the file")
        if count == 0:
            return Tensor._wrap(np.empty(size, dtype), self.backend)
        if (last + 1) * dtype.itemsize > len(raw):
            raise damaged("a tensor in it has elements beyond the end of its memory")
        # The stride of a dimension of length 1 has no meaning, and may be any number
        strides = [(step if n > 1 else 0) * dtype.itemsize for n, step in zip(size, stride)]
        array: np.ndarray = np.ndarray(size, dtype, raw, offset * dtype.itemsize, strides)
        return Tensor._wrap(array, self.backend, storage=elements.memory.storage)

    def tensor_of_dtype(self, *arguments: Any) -> Opaque:
        """torch._utils._rebuild_tensor_v3: of the dtypes that have no class of memory, of which we have none."""
        dtype = arguments[6] if len(arguments) > 6 else None
        name = quoted(dtype.name)[1:-1] if isinstance(dtype, Opaque) else "an unknown type"
        return Opaque(f"a tensor of {name}", is_tensor=True)

    def subclass(self, function: Any, kind: Any, arguments: Any, state: Any) -> Any:
        """torch._tensor._rebuild_from_type_v2: a tensor with attributes, which are not kept."""
        plain: dict[str, Builder] = {
            "torch._utils._rebuild_tensor_v2": self.tensor,
            "torch._utils._rebuild_tensor_v3": self.tensor_of_dtype,
        }
        name = function.name if isinstance(function, Opaque) else "an unknown function"
        if name not in plain:
            return Opaque(_FOREIGN.get(name, f"a tensor made by {quoted(name)[1:-1]}"), is_tensor=True)
        return plain[name](*arguments)


def _integers(what: str, values: Any) -> tuple[int, ...]:
    """Whole numbers from 0 that a 64-bit machine can count with."""
    if type(values) not in (tuple, list) or any(type(n) is not int or not 0 <= n < 1 << 62 for n in values):
        raise damaged(f"the {what} of a tensor in it are no whole numbers from 0 to 2^62")
    return tuple(values)


def _foreign(what: str) -> Builder:
    return lambda *arguments: Opaque(what, is_tensor=True)


def _bytes(text: Any, codec: Any) -> bytes:
    """How pickles before protocol 3 spell bytes."""
    if codec != "latin1":
        raise damaged("bytes in its pickle are not spelt as Python spells them")
    return text.encode(codec)


def _dictionary(pairs: Iterable[Any] = ()) -> dict[Any, Any]:
    """An OrderedDict, which is an ordinary dictionary since those keep their order. Python 2 gave it pairs at once."""
    made: dict[Any, Any] = {}
    if isinstance(pairs, dict):
        return dict(pairs)
    for key, value in pairs:
        fill(made, [key, value])
    return made
