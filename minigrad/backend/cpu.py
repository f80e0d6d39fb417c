"""The CPU: NumPy arrays, and kernels compiled by Numba."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.backend import choice, summation
from minigrad.backend.base import Backend
from minigrad.backend.native import table
from minigrad.backend.special import erf
from minigrad.dtypes import HALF, float32

_FEW = 256  # numbers, up to which NumPy describes them before a compiler is imported


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

    def unit_products(self, y: Any, gy: Any, unit_dim: int) -> np.ndarray:
        products = None
        if self.kernels and y.size > 1 << 14:  # fewer are done before a compiler is imported
            from minigrad.backend.native.influence import unit_products

            products = unit_products(y, gy, unit_dim)
        return super().unit_products(y, gy, unit_dim) if products is None else products

    def zeros_by_unit(self, y: Any, unit_dim: int) -> np.ndarray:
        counts = None
        if self.kernels and y.size > 1 << 14:
            from minigrad.backend.native.unit_zeros import zeros_by_unit

            counts = zeros_by_unit(y, unit_dim % y.ndim)
        return super().zeros_by_unit(y, unit_dim) if counts is None else counts

    def statistics(self, array: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not self.kernels or array.size <= _FEW or array.dtype != float32 or type(array) is not np.ndarray:
            return super().statistics(array, positions)
        from minigrad.backend.native.statistics import statistics

        return statistics(array, positions)

    def statistics_of_all(self, arrays: Sequence) -> np.ndarray:
        if not self.kernels:
            return super().statistics_of_all(arrays)
        from minigrad.backend.native.statistics import statistics_of_all

        found = statistics_of_all(arrays)
        return super().statistics_of_all(arrays) if found is None else found

    def change_statistics(
        self, weights: Sequence, gradients: Sequence, previous: Sequence, positions: Sequence
    ) -> tuple[np.ndarray, list[Any]]:
        if not self.kernels:
            return super().change_statistics(weights, gradients, previous, positions)
        from minigrad.backend.native.statistics import change_statistics

        return change_statistics(weights, gradients, previous, positions)

    def manual_seed(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def from_host(self, array: np.ndarray) -> np.ndarray:
        return array

    def to_host(self, array: np.ndarray) -> np.ndarray:
        return array
