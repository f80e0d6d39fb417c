"""Checking and normalising the dimensions, lengths and shapes that users pass. Errors name what is allowed."""

from __future__ import annotations

import operator
from typing import Any

from minigrad.errors import ArgumentError, DtypeError


def as_int(value: Any, name: str) -> int:
    """An int from anything that is one: NumPy's integers and integer tensors of one element, no float, no bool."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise DtypeError(f"{name} must be an int, not {type(value).__name__} {value!r:.80}") from None


def as_ints(values: Any, name: str) -> tuple[int, ...]:
    """Several ints, from one int, a sequence, or arguments that are either: f(2, 3) and f((2, 3)) are the same."""
    if isinstance(values, (tuple, list)) and len(values) == 1 and isinstance(values[0], (tuple, list)):
        values = values[0]
    if not isinstance(values, (tuple, list)):
        values = (values,)
    return tuple(as_int(v, name) for v in values)


def as_dim(dim: Any, shape: tuple, *, extra: int = 0, name: str = "dim") -> int:
    """A dimension of a tensor of that shape, counted from the front. Without any, it is treated as having one.

    extra: how many dimensions the result has more than the tensor (1 where a new one is put in).
    """
    n = (len(shape) + extra) or 1
    d = as_int(dim, name)
    if not -n <= d < n:
        raise ArgumentError(
            f"{name} {d} is out of range for a tensor of shape {list(shape)}; allowed: {-n} to {n - 1}"
        )
    return d % n


def as_dims(dims: Any, shape: tuple, *, name: str = "dims") -> tuple[int, ...]:
    """Several different dimensions, counted from the front, in the order given."""
    given = as_ints(dims, name)
    found = tuple(as_dim(d, shape, name=name) for d in given)
    if len(set(found)) != len(found):
        raise ArgumentError(f"{name} {given} names a dimension of shape {list(shape)} twice")
    return found
