"""PyTorch's checkpoint files put together by hand, without PyTorch: ordinary ones, and ones nobody should write."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
KINDS = {
    "float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage", "bfloat16": "BFloat16Storage",
    "int64": "LongStorage", "int32": "IntStorage", "int16": "ShortStorage", "int8": "CharStorage",
    "uint8": "ByteStorage", "bool": "BoolStorage",
}  # fmt: skip


class Code(bytes):
    """Opcodes that leave one value on the stack."""


def code(value: Any) -> Code:
    """Opcodes for a plain value; Code in it stays as it is."""
    if isinstance(value, Code):
        return value
    if value is None or isinstance(value, bool):
        return Code(b"N" if value is None else b"\x88" if value else b"\x89")
    if isinstance(value, int):
        content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        short = len(content) < 256
        return Code(
            (b"\x8a" if short else b"\x8b") + struct.pack("<B" if short else "<i", len(content)) + content
        )
    if isinstance(value, float):
        return Code(b"G" + struct.pack(">d", value))
    if isinstance(value, (str, bytes)):
        content = value.encode() if isinstance(value, str) else value
        return Code((b"X" if isinstance(value, str) else b"B") + struct.pack("<I", len(content)) + content)
    if isinstance(value, dict):
        return Code(b"}(" + b"".join(code(k) + code(v) for k, v in value.items()) + b"u")
    items = b"".join(map(code, value))
    return Code(b"(" + items + b"t" if isinstance(value, tuple) else b"](" + items + b"e")


def name(dotted: str) -> Code:
    """GLOBAL: ask for a function or class."""
    module, _, last = dotted.rpartition(".")
    return Code(f"c{module}\n{last}\n".encode())


def call(dotted: str, *arguments: Any) -> Code:
    """REDUCE: call it."""
    return Code(name(dotted) + code(arguments) + b"R")


def pickled(value: Any) -> bytes:
    """A whole pickle, of protocol 2."""
    return b"\x80\x02" + code(value) + b"."


def memory(key: str, kind: str, numel: int, *view: Any) -> Code:
    """A reference to the memory of a tensor; old files have one more item, None."""
    return Code(code(("storage", name(f"torch.{kind}"), key, "cpu", numel, *view)) + b"Q")


def tensor(elements: Code, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> Code:
    """A tensor on some memory."""
    hooks = call("collections.OrderedDict")
    return call("torch._utils._rebuild_tensor_v2", elements, offset, size, stride, False, hooks)


def whole(key: str, array: np.ndarray, *view: Any) -> Code:
    """A tensor that is all of its memory, in C order."""
    stride = tuple(int(np.prod(array.shape[i + 1 :])) for i in range(array.ndim))
    return tensor(memory(key, KINDS[str(array.dtype)], array.size, *view), array.shape, stride)


def archive(
    pickle: bytes,
    contents: Mapping[str, bytes] = {},
    others: Mapping[str, bytes] = {},
    folder: str = "weights/",
) -> bytes:
    """A file in the zip format."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        entries = {"data.pkl": pickle, "byteorder": b"little", "version": b"3\n"}
        entries |= {f"data/{key}": content for key, content in contents.items()} | dict(others)
        for entry, content in entries.items():
            packed.writestr(zipfile.ZipInfo(folder + entry), content)
    return file.getvalue()


def stream(pickle: bytes, contents: Mapping[str, tuple[int, bytes]] = {}, little: bool = True) -> bytes:
    """A file in the format before it; of each piece of memory, the number of elements and the bytes."""
    machine = {
        "protocol_version": PROTOCOL,
        "little_endian": little,
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    head = pickled(MAGIC) + pickled(PROTOCOL) + pickled(machine) + pickle + pickled(list(contents))
    order = "<q" if little else ">q"
    return head + b"".join(struct.pack(order, numel) + content for numel, content in contents.values())


def of_state(state: Mapping[str, np.ndarray], legacy: bool = False) -> bytes:
    """What torch.save makes of a state_dict."""
    arrays = {str(i): array for i, array in enumerate(state.values())}
    tensors = {
        label: whole(key, array, *[None] * legacy)
        for label, (key, array) in zip(state, arrays.items(), strict=True)
    }
    pairs = b"".join(code(label) + t for label, t in tensors.items())
    pickle = pickled(Code(call("collections.OrderedDict") + b"(" + pairs + b"u"))
    if legacy:
        return stream(pickle, {key: (a.size, a.tobytes()) for key, a in arrays.items()})
    return archive(pickle, {key: a.tobytes() for key, a in arrays.items()})
