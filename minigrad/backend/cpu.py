"""The CPU: NumPy arrays, and kernels compiled by Numba."""

from __future__ import annotations

import numpy as np

from minigrad.backend import choice, summation
from minigrad.backend.base import Backend
from minigrad.backend.native import table
from minigrad.backend.special import erf
from minigrad.dtypes import HALF


class CpuBackend(Backend):
    """NumPy on the host. Half-precision types are storage types here: the engine widens them to compute."""

    def __init__(self, name: str = "cpu") -> None:
        super().__init__(name, np)
        self.xp.erf, self.xp.sum, self.xp.mean = erf, summation.sum, summation.mean
        self.xp.prod, self.xp.cumsum, self.xp.cumprod = summation.prod, summation.cumsum, summation.cumprod
        self.xp.where = choice.where
        self.storage_only = HALF
        self.rng: np.random.Generator = np.random.default_rng()
        self.kernels, self.fused_updates = table.kernels(), table.fused_updates()

    def add(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        kernel = self.kernels.get("add")
        result = kernel.forward(self.xp, a, b) if kernel is not None and kernel.forward is not None else None
        return super().add(a, b) if result is None else result

    def manual_seed(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def from_host(self, array: np.ndarray) -> np.ndarray:
        return array

    def to_host(self, array: np.ndarray) -> np.ndarray:
        return array
