"""Devices. The only floor that may import CuPy or Numba.

`get_backend("cpu")` returns the one Backend object of a device, made when first asked for. A new device is a Backend
subclass and one line in `_MAKERS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from minigrad.backend.base import ArrayNamespace, Backend, Kernel
from minigrad.backend.cpu import CpuBackend
from minigrad.errors import ArgumentError, DeviceError

__all__ = [
    "ArrayNamespace",
    "Backend",
    "Kernel",
    "available_devices",
    "default_backend",
    "get_backend",
    "manual_seed",
]

_MAKERS: dict[str, Callable[[str], Backend]] = {"cpu": CpuBackend}
_backends: dict[str, Backend] = {}
_seed: int | None = None


def get_backend(device: str | Backend | None = None) -> Backend:
    """The Backend of a device; None means `MINIGRAD_DEVICE`, or else the CPU.

    Raises DeviceError for a device that is unknown or unavailable.
    """
    if isinstance(device, Backend):
        return device
    if device is None:
        device = os.environ.get("MINIGRAD_DEVICE") or "cpu"
    backend = _backends.get(device)
    if backend is None:
        maker = _MAKERS.get(str(device).partition(":")[0])
        if maker is None or str(device) not in available_devices():
            raise DeviceError(f"unknown device {device!r}; available here: {', '.join(available_devices())}")
        backend = _backends[device] = maker(device)
        if _seed is not None:
            backend.manual_seed(_seed)
    return backend


def default_backend() -> Backend:
    """The Backend that new tensors lie on when no device is named."""
    return get_backend(None)


def manual_seed(seed: int) -> None:
    """Restart the random stream of every device; one first used later starts from the same seed."""
    global _seed
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ArgumentError(f"a seed is an integer >= 0, not {seed!r}")
    _seed = int(seed)
    for backend in _backends.values():
        backend.manual_seed(_seed)


def available_devices() -> list[str]:
    """Names of the devices that tensors can lie on here."""
    return list(_MAKERS)
