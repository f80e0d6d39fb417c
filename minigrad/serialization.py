"""Saving and loading tensors by name, as safetensors: no code is stored, none is run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.errors import DataError
from minigrad.tensor import Tensor


def save(state_dict: Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Write named tensors to a safetensors file. The file appears whole or not at all.

    Raises DataError if the folder cannot be written to; OSError (a full disk, say) leaves an existing file as it was.
    """
    import safetensors.numpy

    # The library stores the bytes of strided arrays in the wrong order without a word: make every array contiguous first
    arrays = {name: np.ascontiguousarray(t.numpy()).reshape(t.shape) for name, t in state_dict.items()}
    path = Path(path)
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise DataError(f"cannot write {path}: the folder does not exist or is not writable")
    descriptor, temporary = tempfile.mkstemp(prefix=path.name, suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(safetensors.numpy.save(arrays))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(path: str | os.PathLike[str], device: Any = None) -> dict[str, Tensor]:
    """Read named tensors from a safetensors file. Raises DataError if it is missing or damaged."""
    import safetensors
    import safetensors.numpy

    try:
        arrays = safetensors.numpy.load(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except (safetensors.SafetensorError, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} is not a readable safetensors file: {error}") from error
    return {name: Tensor(array, device=device) for name, array in arrays.items()}
