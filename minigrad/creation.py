"""New tensors: from data, filled, counted, random."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad import dtypes
from minigrad.backend import Backend, get_backend
from minigrad.errors import ArgumentError, DtypeError
from minigrad.inplace import fill
from minigrad.storage import Storage
from minigrad.tensor import Tensor


def tensor(
    data: Any, *, dtype: Any = None, device: str | Backend | None = None, requires_grad: bool = False
) -> Tensor:
    """A new tensor holding a copy of `data`: numbers, nested lists, NumPy arrays, tensors.

    dtype:         of the elements; by default that of a NumPy array or tensor, float32 for Python's floats, int64
                   for its ints, bool for its bools.
    device:        where it lies; by default where `data` does if that is a tensor, else the default device.
    requires_grad: whether gradients are wanted with respect to it.

    Raises ShapeError for lists that are not rectangular, DtypeError for what is no number.

    >>> tensor([[1, 2], [3, 4]]).shape
    (2, 2)
    """
    return Tensor(data, dtype=dtype, device=device, requires_grad=requires_grad)


def as_tensor(data: Any, *, dtype: Any = None, device: str | Backend | None = None) -> Tensor:
    """`data` as a tensor: itself if it is one of that dtype and device; on the memory of a NumPy array where it can be.

    Everything else is copied, as by `tensor`.
    """
    if isinstance(data, Tensor):
        return data.to(dtype=dtype, device=device)
    if isinstance(data, np.ndarray):
        return from_numpy(data, device).to(dtype=dtype)
    return Tensor(data, dtype=dtype, device=device)


def from_numpy(array: np.ndarray, device: str | Backend | None = None) -> Tensor:
    """A tensor on `array`'s own memory (on the CPU). Writing to the array writes to the tensor.

    Should that happen between a forward and the backward that needs the contents, backward raises GraphError.
    """
    if not isinstance(array, np.ndarray):
        raise DtypeError(f"from_numpy takes a NumPy array, not {type(array).__name__}; use mg.tensor(...)")
    array = array.astype(dtypes.as_dtype(array.dtype), copy=False)
    backend = get_backend(device)
    return Tensor._wrap(backend.from_host(array), backend, storage=Storage(external=True))


def from_dlpack(source: Any) -> Tensor:
    """A tensor on the memory of another library's CPU tensor, through DLPack; otherwise as `from_numpy`."""
    if not hasattr(source, "__dlpack__"):
        raise DtypeError(f"from_dlpack takes a tensor that speaks DLPack, not {type(source).__name__}")
    try:
        array = np.from_dlpack(source)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise DtypeError(
            f"from_dlpack cannot share this {type(source).__name__}: {error} (NumPy's DLPack knows no bfloat16; other "
            "devices' tensors, and those that require grad, must be moved or detached first)"
        ) from error
    return from_numpy(array)


def _shape(size: tuple) -> tuple[int, ...]:
    """Sizes are given as f(2, 3) or f((2, 3))."""
    size = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    if any(not isinstance(n, (int, np.integer)) or n < 0 for n in size):
        raise ArgumentError(f"a shape is made of integers >= 0, not {size}")
    return tuple(int(n) for n in size)


def _finish(make: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    backend = get_backend(device)
    result = Tensor._wrap(
        make(backend).astype(dtypes.as_dtype(dtype or dtypes.DEFAULT_FLOAT), copy=False), backend
    )
    return result.requires_grad_() if requires_grad else result


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros."""
    return full(_shape(size), 0.0, dtype=dtype, device=device, requires_grad=requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return full(_shape(size), 1.0, dtype=dtype, device=device, requires_grad=requires_grad)


def full(
    size: Any, fill_value: float, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor in which every element is `fill_value`; by default int64 for an int, bool for a bool, else float32."""
    shape = _shape((size,))
    dtype = dtypes.as_dtype(dtype or dtypes.result_type([fill_value]))
    return _finish(lambda b: _filled(b, shape, fill_value, dtype), dtype, device, requires_grad)


def _filled(backend: Backend, shape: tuple[int, ...], value: float, dtype: np.dtype) -> Any:
    array = backend.xp.empty(shape, dtype=dtype)
    fill(array, value)
    return array


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor whose contents are whatever the memory held."""
    return _finish(
        lambda b: b.xp.empty(_shape(size), dtype=dtypes.as_dtype(dtype or float)),
        dtype,
        device,
        requires_grad,
    )


def zeros_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros in the shape, dtype and device of `x`."""
    return zeros(x.shape, dtype=dtype or x.dtype, device=device or x.backend, requires_grad=requires_grad)


def ones_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones in the shape, dtype and device of `x`."""
    return ones(x.shape, dtype=dtype or x.dtype, device=device or x.backend, requires_grad=requires_grad)


def full_like(x: Tensor, fill_value: float, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`fill_value` in the shape, dtype and device of `x`."""
    return full(x.shape, fill_value, dtype=dtype or x.dtype, device=x.backend, requires_grad=requires_grad)


def arange(
    start: float, end: float | None = None, step: float = 1, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """start, start + step, ... up to but without `end` (one argument is `end`); int64 for integers, else float32.

    >>> arange(3)
    tensor([0, 1, 2])
    """
    start, end = (0, start) if end is None else (start, end)
    _check_ends("arange", dtype, start, end, step)
    if step == 0 or (end - start) * step < 0:
        raise ArgumentError(f"arange from {start} to {end} in steps of {step} never arrives")
    return _finish(
        lambda b: b.xp.arange(start, end, step),
        dtype or dtypes.result_type([start, end, step]),
        device,
        False,
    )


def linspace(start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`steps` numbers from `start` to `end`, both included, evenly spaced; `steps` is 0 or more."""
    if not isinstance(steps, int) or steps < 0:
        raise ArgumentError(f"linspace needs a whole number of steps >= 0, not {steps!r}")
    first, last = float(start), float(end)
    _check_ends("linspace", dtype, first, last)
    return _finish(lambda b: b.xp.linspace(first, last, steps), dtype, device, False)


def _check_ends(name: str, dtype: Any, *ends: float) -> None:
    """Refuse ends that are not finite, and fractions where whole numbers are asked for."""
    if not all(math.isfinite(end) for end in ends):
        raise ArgumentError(f"{name} needs finite numbers, not {', '.join(map(str, ends))}")
    whole = dtype is not None and not dtypes.is_floating(dtypes.as_dtype(dtype))
    if whole and any(end != int(end) for end in ends):
        raise ArgumentError(
            f"{name} of {dtypes.as_dtype(dtype)} needs whole numbers, not {', '.join(map(str, ends))}"
        )


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The identity matrix of n rows and m (default n) columns."""
    n, m = _shape((n, n if m is None else m))
    return _finish(lambda b: b.xp.eye(n, m), dtype, device, requires_grad)


def rand(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform random numbers in [0, 1), from the device's stream (`mg.manual_seed`); floating point."""
    shape, precision = _shape(size), _drawn_in(dtype)
    return _finish(lambda b: b.xp.asarray(b.rng.random(shape, dtype=precision)), dtype, device, requires_grad)


def randn(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Standard normal random numbers, from the device's stream (`mg.manual_seed`); floating point."""
    shape, precision = _shape(size), _drawn_in(dtype)
    return _finish(
        lambda b: b.xp.asarray(b.rng.standard_normal(shape, dtype=precision)), dtype, device, requires_grad
    )


def _drawn_in(dtype: Any) -> str:
    """The precision in which random numbers are drawn that are to become `dtype`."""
    if dtype is not None and not dtypes.is_floating(dtypes.as_dtype(dtype)):
        raise DtypeError(
            f"these random numbers are floating point, not {dtypes.as_dtype(dtype)}; randint draws integers"
        )
    return "float32" if dtype is None else "float64"


def rand_like(x: Tensor) -> Tensor:
    """Uniform random numbers in [0, 1) in the shape, dtype and device of `x`."""
    return rand(x.shape, dtype=x.dtype, device=x.backend)


def randn_like(x: Tensor) -> Tensor:
    """Standard normal random numbers in the shape, dtype and device of `x`."""
    return randn(x.shape, dtype=x.dtype, device=x.backend)


def randint(low: int, high: Any, size: Any = None, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Random integers in [low, high), int64; two arguments are `high` and `size`, with `low` 0.

    >>> randint(6, (1000,)).max() < 6
    tensor(True)
    """
    low, high, size = (0, low, high) if size is None else (low, high, size)
    if not isinstance(high, (int, np.integer)) or low >= high:
        raise ArgumentError(f"randint needs integers low < high, not {low} and {high}")
    shape = _shape((size,))
    return _finish(
        lambda b: b.xp.asarray(b.rng.integers(low, high, shape)), dtype or dtypes.int64, device, False
    )


def randperm(n: int, *, device: Any = None) -> Tensor:
    """The integers 0 to n - 1 in random order, int64."""
    (n,) = _shape((n,))
    return _finish(lambda b: b.xp.asarray(b.rng.permutation(n)), dtypes.int64, device, False)
