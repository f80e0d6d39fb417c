"""New tensors: from data, filled, counted, random."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import dtypes
from minigrad.backend import Backend, get_backend
from minigrad.errors import ArgumentError, DtypeError
from minigrad.storage import Storage
from minigrad.tensor import Tensor


def tensor(data: Any, *, dtype: Any = None, device: str | Backend | None = None, requires_grad: bool = False) -> Tensor:
    """A new tensor holding a copy of `data`: numbers, nested lists, NumPy arrays, tensors.

    NumPy arrays keep their dtype; Python floats become float32, Python ints int64.

    >>> tensor([[1, 2], [3, 4]]).shape
    (2, 2)
    """
    return Tensor(data, dtype=dtype, device=device, requires_grad=requires_grad)


def as_tensor(data: Any, *, dtype: Any = None, device: str | Backend | None = None) -> Tensor:
    """`data` as a tensor: itself if it is one of that dtype and device; sharing memory with a NumPy array where it can."""
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
    """A tensor on the memory of another library's CPU tensor, through DLPack."""
    return from_numpy(np.from_dlpack(source))


def _shape(size: tuple) -> tuple[int, ...]:
    """Sizes are given as f(2, 3) or f((2, 3))."""
    size = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    if any(not isinstance(n, (int, np.integer)) or n < 0 for n in size):
        raise ArgumentError(f"a shape is made of integers >= 0, not {size}")
    return tuple(int(n) for n in size)


def _finish(make: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    backend = get_backend(device)
    result = Tensor._wrap(make(backend).astype(dtypes.as_dtype(dtype or dtypes.DEFAULT_FLOAT), copy=False), backend)
    return result.requires_grad_() if requires_grad else result


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros."""
    return full(_shape(size), 0.0, dtype=dtype, device=device, requires_grad=requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return full(_shape(size), 1.0, dtype=dtype, device=device, requires_grad=requires_grad)


def full(size: Any, fill_value: float, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor in which every element is `fill_value`; float32, or int64 or bool for such a value, unless `dtype` says otherwise."""
    shape = _shape((size,) if isinstance(size, (tuple, list)) else (size,))
    dtype = dtypes.as_dtype(dtype or dtypes.result_type([fill_value]))
    return _finish(lambda b: b.xp.full(shape, fill_value, dtype=dtype), dtype, device, requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor whose contents are whatever the memory held."""
    return _finish(lambda b: b.xp.empty(_shape(size), dtype=dtypes.as_dtype(dtype or float)), dtype, device, requires_grad)


def zeros_like(x: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros in the shape, dtype and device of `x`."""
    return zeros(x.shape, dtype=dtype or x.dtype, device=x.backend, requires_grad=requires_grad)


def ones_like(x: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones in the shape, dtype and device of `x`."""
    return ones(x.shape, dtype=dtype or x.dtype, device=x.backend, requires_grad=requires_grad)


def full_like(x: Tensor, fill_value: float, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`fill_value` in the shape, dtype and device of `x`."""
    return full(x.shape, fill_value, dtype=dtype or x.dtype, device=x.backend, requires_grad=requires_grad)


def arange(start: float, end: float | None = None, step: float = 1, *, dtype: Any = None, device: Any = None) -> Tensor:
    """start, start + step, ... up to but without `end` (one argument is `end`); int64 for integers, else float32.

    >>> arange(3)
    tensor([0, 1, 2])
    """
    start, end = (0, start) if end is None else (start, end)
    if step == 0 or (end - start) * step < 0:
        raise ArgumentError(f"arange from {start} to {end} in steps of {step} never ends")
    return _finish(lambda b: b.xp.arange(start, end, step), dtype or dtypes.result_type([start, end, step]), device, False)


def linspace(start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`steps` numbers from `start` to `end`, both included, evenly spaced."""
    return _finish(lambda b: b.xp.linspace(start, end, steps), dtype, device, False)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None) -> Tensor:
    """The identity matrix of n rows and m (default n) columns."""
    return _finish(lambda b: b.xp.eye(n, m), dtype, device, False)


def rand(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform random numbers in [0, 1), from the device's stream (`mg.manual_seed`)."""
    return _finish(lambda b: b.xp.asarray(b.rng.random(_shape(size), dtype="float32" if dtype is None else "float64")), dtype, device, requires_grad)


def randn(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Standard normal random numbers, from the device's stream."""
    precision = "float32" if dtype is None else "float64"
    return _finish(lambda b: b.xp.asarray(b.rng.standard_normal(_shape(size), dtype=precision)), dtype, device, requires_grad)


def rand_like(x: Tensor) -> Tensor:
    """Uniform random numbers in [0, 1) in the shape, dtype and device of `x`."""
    return rand(x.shape, dtype=x.dtype, device=x.backend)


def randn_like(x: Tensor) -> Tensor:
    """Standard normal random numbers in the shape, dtype and device of `x`."""
    return randn(x.shape, dtype=x.dtype, device=x.backend)


def randint(low: int, high: int, size: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Random integers in [low, high), int64."""
    return _finish(lambda b: b.xp.asarray(b.rng.integers(low, high, size)), dtype or dtypes.int64, device, False)


def randperm(n: int, *, device: Any = None) -> Tensor:
    """The integers 0 to n - 1 in random order."""
    return _finish(lambda b: b.xp.asarray(b.rng.permutation(n)), dtypes.int64, device, False)

