"""Nested states in one safetensors file: arrays under flattened keys, all else as JSON in the file's metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.errors import DataError, DtypeError
from minigrad.serialization import CHECKSUM, decode, encode, read_file, write_file
from minigrad.tensor import Tensor

_KEY = "minigrad_state"  # the metadata's key of the JSON text
_ARRAY, _TENSOR = "$array", "$tensor"  # {"$array": key} stands in the JSON where an array belongs


def save_state(state: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a nested state to a file, which is absent, old or complete at any instant.

    state: dictionaries and lists, nested to any depth, of tensors, NumPy arrays, numbers, texts and None. Arrays may
           have any memory layout.

    What `load_state` gives back equals it to the bit, but for what JSON does not have: keys that are numbers come
    back as texts, tuples as lists, NumPy's numbers as Python's.
    Raises DtypeError for other contents, naming where they are, and DataError if the file cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_state({"rate": 0.1, "mean": [np.zeros(2), None]}, f"{folder}/s.safetensors")
    ...     load_state(f"{folder}/s.safetensors")
    {'rate': 0.1, 'mean': [array([0., 0.]), None]}
    """
    arrays: dict[str, np.ndarray] = {}
    skeleton = _pack(state, "", arrays)
    write_file(path, encode(arrays, {_KEY: json.dumps(skeleton, separators=(",", ":"))}))


def load_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `save_state` wrote. Raises DataError for a file that is missing, damaged or of another kind."""
    arrays, metadata = decode(read_file(path), path)
    try:
        state = _unpack(json.loads(metadata[_KEY]), arrays)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{path} holds no state of a training run: {error!r:.80}") from error
    if CHECKSUM not in metadata or not isinstance(state, dict):
        raise DataError(f"{path} holds no state of a training run, or its header is damaged")
    return state


def _pack(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """What JSON can hold of a value; its arrays go to `arrays`."""
    if isinstance(value, (Tensor, np.ndarray)):
        while path in arrays:  # {"a/b": ..., "a": {"b": ...}}
            path += "'"
        arrays[path] = value.numpy() if isinstance(value, Tensor) else value
        return {_TENSOR if isinstance(value, Tensor) else _ARRAY: path}
    if isinstance(value, Mapping):
        unfit = [name for name in value if not isinstance(name, (str, int)) or str(name).startswith("$")]
        if unfit:
            raise DtypeError(
                f"a state's keys are names or whole numbers; {path or 'it'} has the key {unfit[0]!r}"
            )
        return {str(name): _pack(item, f"{path}/{name}".lstrip("/"), arrays) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_pack(item, f"{path}/{i}".lstrip("/"), arrays) for i, item in enumerate(value)]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise DtypeError(f"a state holds arrays, numbers and texts; {path} is of type {type(value).__name__}")


def _unpack(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_unpack(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {_ARRAY}:
        return arrays[value[_ARRAY]]
    if value.keys() == {_TENSOR}:
        return Tensor(arrays[value[_TENSOR]], device="cpu")
    return {name: _unpack(item, arrays) for name, item in value.items()}
