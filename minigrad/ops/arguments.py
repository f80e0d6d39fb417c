"""What operations along dimensions share: what they are given is checked and brought to one canonical form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad import dtypes
from minigrad.engine import describe
from minigrad.errors import DtypeError
from minigrad.ops.arithmetic import cast
from minigrad.ops.dims import as_dim, as_dims
from minigrad.ops.shape import reshape


def need_tensor(name: str, x: Any) -> None:
    """Refuse what is neither a tensor nor a NumPy array."""
    if not hasattr(x, "ndim") or not hasattr(x, "dtype"):
        raise DtypeError(f"{name} takes a tensor, not {type(x).__name__}; make one with mg.tensor(...)")


def need_floating(name: str, x: Any) -> None:
    """Refuse integers and bools, for which the result would have to be of a type nobody asked for."""
    need_tensor(name, x)
    if not dtypes.is_floating(x.dtype):
        raise DtypeError(f"{name} needs floating-point numbers, not {describe(x)}; convert with x.float()")


def line_dim(name: str, x: Any, dim: Any) -> int:
    """The one dimension to work along, counted from the front."""
    need_tensor(name, x)
    return as_dim(dim, x.shape)


def reduced_dims(name: str, x: Any, dim: Any) -> tuple[int, ...] | None:
    """The dimensions to reduce, sorted and counted from the front; None for all, as None and () both mean."""
    need_tensor(name, x)
    if dim is None:
        return None
    dims = as_dims(dim, x.shape, name="dim")
    return tuple(sorted(dims)) if dims and x.ndim else None


def as_type(x: Any, dtype: Any) -> Any:
    """`x` with that dtype; None leaves it alone."""
    return x if dtype is None or dtypes.as_dtype(dtype) == x.dtype else cast(x, dtype=dtypes.as_dtype(dtype))


def along_lines(op: Callable[..., Any], x: Any, *, dim: int, **params: Any) -> Any:
    """Call an operation that works on lines; a 0-dimensional tensor counts as a line of one element."""
    if x.ndim:
        return op(x, dim=dim, **params)
    y = op(reshape(x, (1,)), dim=0, **params)
    return tuple(reshape(part, ()) for part in y) if isinstance(y, tuple) else reshape(y, ())


def count(shape: tuple[int, ...], dim: tuple[int, ...] | None = None) -> int:
    """How many elements a tensor of that shape has along the dimensions `dim`; None for all."""
    n = 1
    for i, length in enumerate(shape):
        n *= length if dim is None or i in dim else 1
    return n


def kept_shape(shape: tuple[int, ...], dim: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape with the dimensions that a reduction over `dim` takes away kept at length 1."""
    return tuple(1 if dim is None or i in dim else n for i, n in enumerate(shape))
