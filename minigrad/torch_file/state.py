"""Finding a model's weights in what a checkpoint holds: tensors by name, perhaps under a key, perhaps with a prefix."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from minigrad.errors import DataError
from minigrad.tensor import Tensor
from minigrad.torch_file.formats import read
from minigrad.torch_file.machine import Opaque, quoted
from minigrad.torch_file.tensors import largest_total

# Under what training scripts keep the weights; the first that is there is taken.
USUAL_KEYS = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "module",
    "weights",
    "params",
    "model_ema",
)
# What wrappers put before every name: DataParallel and DistributedDataParallel, and torch.compile
_WRAPPERS = ("module.", "_orig_mod.")


class StateDict(NamedTuple):
    """A model's weights, and how they were found.

    tensors:  by name.
    key:      under which the file keeps them; None if they are all it holds.
    others:   keys with other tensors by name, that could have been meant.
    prefix:   taken away from every name; "" for none.
    left_out: names beside the tensors that hold something else, with what it is.
    """

    tensors: dict[str, Tensor]
    key: str | None
    others: list[str]
    prefix: str
    left_out: dict[str, str]


def read_state_dict(path: str | os.PathLike[str], key: str | None = None) -> dict[str, Tensor]:
    """A model's weights from a file written by torch.save, as `load_state_dict` takes them.

    path: of the file, see `read`.
    key:  under which the file keeps them; by default the tensors that the file holds directly, or those under one of
          the usual keys ("state_dict", "model", ...).

    Returns tensors by name, without the prefix "module." that DataParallel puts before all of them.
    Raises DataError if the file cannot be read, or has no such tensors, or some of a kind that minigrad lacks.
    """
    return find_state_dict(path, key).tensors


def find_state_dict(path: str | os.PathLike[str], key: str | None = None) -> StateDict:
    """The same as `read_state_dict`, with an account of how they were found."""
    value = read(path)
    try:
        chosen, key, others = _choose(value, key)
        tensors, left_out = _separate(chosen, largest_total(os.path.getsize(path)))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    prefix = ""
    for _ in _WRAPPERS:  # in whatever order they were put on
        wrapper = next((w for w in _WRAPPERS if all(n.startswith(w) and n != w for n in tensors)), "")
        tensors = {name.removeprefix(wrapper): t for name, t in tensors.items()}
        prefix += wrapper
    return StateDict(tensors, key, others, prefix, left_out)


def _choose(value: Any, key: str | None) -> tuple[dict[Any, Any], str | None, list[str]]:
    """The dictionary with the weights, its key, and the keys of other dictionaries with tensors."""
    if not isinstance(value, dict):
        raise DataError(f"the file holds {describe(value)}, not tensors by name; {_advice(value)}")
    nested = [name for name, part in value.items() if isinstance(name, str) and _has_tensors(part)]
    if key is None:
        key = next((usual for usual in USUAL_KEYS if usual in nested), None)
        if key is None and _has_tensors(value):
            return value, None, nested
        if key is None and len(nested) != 1:
            problem = (
                "several sets of tensors by name; choose one by its key" if nested else "no tensors by name"
            )
            raise DataError(f"the file holds {problem}; there are {_listed(nested or list(value))}")
        key = key or nested[0]
    elif key not in nested:
        there = f"holds {describe(value[key])}" if key in value else "is not there"
        raise DataError(f"key {quoted(key)} {there}; tensors by name are under {_listed(nested)}")
    return value[key], key, [name for name in nested if name != key]


def _has_tensors(value: Any) -> bool:
    """Whether this is a dictionary of names, one of which at least belongs to a tensor."""
    return (
        isinstance(value, dict)
        and all(isinstance(name, str) for name in value)
        and any(
            isinstance(part, Tensor) or (isinstance(part, Opaque) and part.is_tensor)
            for part in value.values()
        )
    )


def _separate(chosen: dict[Any, Any], largest: int) -> tuple[dict[str, Tensor], dict[str, str]]:
    tensors = {name: part for name, part in chosen.items() if isinstance(part, Tensor)}
    for name, part in chosen.items():
        if isinstance(part, Opaque) and part.is_tensor:
            raise DataError(
                f"{quoted(name)} is {part.name}, which minigrad does not have; in PyTorch, convert it (.to_dense(), "
                ".dequantize(), .float()) and save again"
            )
    total = sum(t.array.nbytes for t in tensors.values())
    if total > largest:
        raise DataError(f"its tensors would take {total:,} bytes, far more than the file has")
    left_out = {str(name): describe(part) for name, part in chosen.items() if not isinstance(part, Tensor)}
    return tensors, left_out


def describe(value: Any) -> str:
    """What a value is, in a word or two."""
    if isinstance(value, Tensor):
        return f"a {value.dtype} tensor of shape {list(value.shape)}"
    if isinstance(value, Opaque):
        return value.name if value.is_tensor else f"an object made by {quoted(value.name)[1:-1]}"
    if isinstance(value, (dict, list, tuple)):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"a value of type {type(value).__name__}"


def _advice(value: Any) -> str:
    if isinstance(value, Opaque):
        return "a whole model is saved by its class, which cannot be read; in PyTorch, save model.state_dict() instead"
    return "in PyTorch, save a dictionary of them, as model.state_dict() is"


def _listed(names: list[Any]) -> str:
    """The first names of a list."""
    return ", ".join([quoted(name) for name in names[:10]] + ["..."] * (len(names) > 10)) or "no key at all"
