"""The options of a parameter group: plain numbers, within their ranges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.tensor import Tensor

_NOT_NEGATIVE = ("lr", "weight_decay", "eps", "lr_decay", "momentum_decay", "initial_accumulator_value")
_SHARES = ("momentum", "alpha")
_SWITCHES = ("nesterov", "maximize", "amsgrad", "centered", "decoupled_weight_decay")


def plain(value: Any) -> Any:
    """The value with Python's own numbers for those of NumPy and for tensors of one element; lists become tuples.

    NumPy's float64 would make float32 arithmetic slow, and neither they nor tensors can be written as JSON.
    """
    if isinstance(value, (list, tuple)):
        return tuple(plain(v) for v in value)
    if isinstance(value, (np.generic, np.ndarray, Tensor)) and value.shape in ((), (1,)):
        return value.item()
    return value


def check_ranges(options: dict[str, Any]) -> None:
    """Refuse, with an ArgumentError, values that no optimiser can use; options it does not know pass."""
    for name in _NOT_NEGATIVE:
        value = options.get(name, 0)
        if not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            raise ArgumentError(f"{name} must be a number >= 0, not {value!r}")
    for name in _SHARES:
        value = options.get(name, 0)
        if not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise ArgumentError(f"{name} must lie in [0, 1], not {value!r}")
    for name in _SWITCHES:
        value = options.get(name, False)
        if not isinstance(value, bool):
            raise ArgumentError(f"{name} must be True or False, not {value!r}")
    betas = options.get("betas", (0, 0))
    if (
        not isinstance(betas, tuple)
        or len(betas) != 2
        or not all(isinstance(b, (int, float)) and 0 <= b < 1 for b in betas)
    ):
        raise ArgumentError(f"betas must lie in [0, 1), and be two, not {betas!r}")
