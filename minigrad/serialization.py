"""Saving and loading tensors by name, as safetensors: no code is stored, none is run.

Every file written here carries a checksum of all its bytes, so that damage is noticed; files from elsewhere need none.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minigrad import dtypes
from minigrad.errors import DataError, DtypeError
from minigrad.tensor import Tensor

if TYPE_CHECKING:
    from minigrad.backend import Backend

# The format's names of the types
_DTYPES = {
    "BOOL": dtypes.bool_,
    "U8": dtypes.uint8,
    "I8": dtypes.int8,
    "I16": dtypes.int16,
    "I32": dtypes.int32,
    "I64": dtypes.int64,
    "F16": dtypes.float16,
    "BF16": dtypes.bfloat16,
    "F32": dtypes.float32,
    "F64": dtypes.float64,
}
# The metadata's key of the checksum (SHA-256) of the whole file, in which its own digits are zeros; and a second mark,
# so that damage to the first does not make the file look like one from elsewhere
CHECKSUM = "minigrad_checksum"
_MARK = {"written_by": "minigrad"}
_ZEROS = b"0" * 64


def save(state_dict: Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Write named tensors to a safetensors file, which is absent, old or complete at any instant.

    state_dict: tensors of any dtype, shape and memory layout by name, as `Module.state_dict()` gives them.
    path:       of the file, by custom ending in `.safetensors`; its folder must exist.

    Raises DtypeError for what is no tensor, DataError if the file cannot be written (no such folder, no permission,
    a full disk); an older file is then as it was.

    >>> import minigrad as mg, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save({"weight": mg.ones(2)}, f"{folder}/w.safetensors")
    ...     load(f"{folder}/w.safetensors")
    {'weight': tensor([1., 1.])}
    """
    for name, t in state_dict.items():
        if not isinstance(t, Tensor):
            raise DtypeError(
                f"save takes tensors by name; {name!r} is {type(t).__name__}. Make it one with mg.tensor(...)"
            )
    write_file(path, encode({name: t.numpy() for name, t in state_dict.items()}))


def load(path: str | os.PathLike[str], device: str | Backend | None = None) -> dict[str, Tensor]:
    """Read named tensors from a safetensors file, onto a device.

    Returns new tensors by name, in alphabetical order. Raises DataError if the file is missing, damaged, of another
    kind, or holds types that minigrad does not have.
    """
    arrays, _ = decode(read_file(path), path)
    return {name: Tensor(array, device=device) for name, array in sorted(arrays.items())}


def encode(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> bytearray:
    """A safetensors file's content: arrays of minigrad's dtypes by name, texts by name, and the checksum."""
    import safetensors.numpy

    for name, array in arrays.items():
        if array.dtype not in _DTYPES.values():
            raise DtypeError(f"{name!r} has dtype {array.dtype}; a file can hold {', '.join(dtypes.BY_NAME)}")
    # The library stores the bytes of strided arrays in the wrong order without a word: make every array contiguous
    # first
    plain = {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in arrays.items()}
    marks = {**_MARK, CHECKSUM: _ZEROS.decode()}
    content = _ordered(safetensors.numpy.save(plain, metadata={**(metadata or {}), **marks}))
    start = _checksum_place(content)
    content[start : start + 64] = _checksum(content, start)
    return content


def _ordered(content: bytes) -> bytearray:
    """The same file with its texts in order: the library shuffles them, and equal states must give equal bytes."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the arrays behind it stay aligned
    return bytearray(len(text).to_bytes(8, "little") + text + content[end:])


def decode(
    content: bytes | bytearray, path: str | os.PathLike[str]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and texts of a safetensors file's content; `path` is for messages.

    Texts include the checksum's, if there is one: it has then been found right. Raises DataError for damage.
    """
    import safetensors

    try:
        # Not the library's own function for NumPy: that one knows no bfloat16
        entries = dict(safetensors.deserialize(bytes(content)))
    except safetensors.SafetensorError as error:
        raise DataError(f"{path} is damaged or no safetensors file: {error}") from error
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata = header.get("__metadata__") or {}
    if CHECKSUM in metadata or _MARK.items() <= metadata.items():
        start = _checksum_place(content)
        if start < 0 or content[start : start + 64] != _checksum(content, start):
            raise DataError(f"{path} is damaged: its checksum does not match its content")
    foreign = {name: entry["dtype"] for name, entry in entries.items() if entry["dtype"] not in _DTYPES}
    if foreign:
        raise DataError(
            f"{path} holds types that are not supported: {foreign}; known are {', '.join(_DTYPES)}"
        )
    arrays = {
        name: np.frombuffer(e["data"], _DTYPES[e["dtype"]]).reshape(e["shape"]) for name, e in entries.items()
    }
    return arrays, metadata


def read_file(path: str | os.PathLike[str]) -> bytes:
    """A file's content. Raises DataError if there is no such file, or none that can be read."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def write_file(path: str | os.PathLike[str], content: bytes | bytearray) -> None:
    """Put `content` at `path`, where at any instant, power failures included, the old file or the whole new one stands.

    Raises DataError if it cannot be written; what was there is then as it was.
    """
    path = Path(path)
    unfinished = path.with_name(f"{path.name}.tmp{os.getpid()}")
    try:
        with open(unfinished, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
    with suppress(OSError):  # some systems cannot open a folder, some file systems cannot sync one
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name, too, is on the disk when we return
        finally:
            os.close(folder)


def _checksum_place(content: bytes | bytearray) -> int:
    """Where the digits of the checksum begin; -1 if there are none."""
    key = f'"{CHECKSUM}":"'.encode()
    place = content.find(key, 0, 8 + int.from_bytes(content[:8], "little"))
    return place + len(key) if place >= 0 else -1


def _checksum(content: bytes | bytearray, start: int) -> bytes:
    view = memoryview(content)
    digest = hashlib.sha256(view[:start])
    digest.update(_ZEROS)
    digest.update(view[start + 64 :])
    return digest.hexdigest().encode()
