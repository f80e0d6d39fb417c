"""Saving and loading tensors by name, as safetensors: no code is stored, none is run."""

from __future__ import annotations

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
    import safetensors.numpy

    for name, t in state_dict.items():
        if not isinstance(t, Tensor):
            raise DtypeError(
                f"save takes tensors by name; {name!r} is {type(t).__name__}. Make it one with mg.tensor(...)"
            )
    # The library stores the bytes of strided arrays in the wrong order without a word: make every array contiguous
    # first
    arrays = {name: np.ascontiguousarray(t.numpy()).reshape(t.shape) for name, t in state_dict.items()}
    content = safetensors.numpy.save(arrays)
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


def load(path: str | os.PathLike[str], device: str | Backend | None = None) -> dict[str, Tensor]:
    """Read named tensors from a safetensors file, onto a device.

    Returns new tensors by name, in alphabetical order. Raises DataError if the file is missing, damaged, of another
    kind, or holds types that minigrad does not have.
    """
    import safetensors

    try:
        # Not the library's own function for NumPy: that one knows no bfloat16
        entries = dict(safetensors.deserialize(Path(path).read_bytes()))
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except safetensors.SafetensorError as error:
        raise DataError(f"{path} is damaged or no safetensors file: {error}") from error
    foreign = {name: entry["dtype"] for name, entry in entries.items() if entry["dtype"] not in _DTYPES}
    if foreign:
        raise DataError(
            f"{path} holds types that are not supported: {foreign}; known are {', '.join(_DTYPES)}"
        )
    return {
        name: Tensor(np.frombuffer(e["data"], _DTYPES[e["dtype"]]).reshape(e["shape"]), device=device)
        for name, e in sorted(entries.items())
    }
