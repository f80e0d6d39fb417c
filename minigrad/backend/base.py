"""What a device is to the rest of minigrad: an array namespace, a random generator, transfers and kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad.backend import statistics


class ArrayNamespace:
    """What an operation sees as `xp`: the functions of NumPy (or CuPy), and what the two do not share.

    The module's functions are copied in, so a look-up costs one dictionary access. Operations without a
    namesake in NumPy
    (`col2im`, `scatter_add`, ...) are added by their registry: `xp.col2im(cols, ...)` runs the device's best
    implementation on plain arrays.
    """

    def __init__(self, module: ModuleType, backend: Backend) -> None:
        self.__dict__.update({name: getattr(module, name) for name in module.__all__})
        self.backend = backend

    if TYPE_CHECKING:  # the names are only known when the program runs

        def __setattr__(self, name: str, value: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:  # only reached for a name that does not exist
        raise AttributeError(f"xp has no function {name!r} on device {self.backend.name!r}")


class Kernel(NamedTuple):
    """A faster implementation of one operation on one device, proven equal to the plain one by a test.

    `forward(xp, *arrays, **params)` returns what the operation's forward returns, or None to decline this call (an
    unusual shape, dtype or argument): the plain definition then runs. `gradient` likewise, with the plain
    gradient's arguments.
    """

    forward: Callable[..., Any] | None = None
    gradient: Callable[..., Any] | None = None


class Backend:
    """One device: `name`, the namespace `xp` its operations compute with, its random generator and its kernels."""

    def __init__(self, name: str, module: ModuleType) -> None:
        self.name = name
        self.xp = ArrayNamespace(module, self)
        self.array_type = module.ndarray
        self.kernels: dict[str, Kernel] = {}
        # Updates of an optimiser for all parameters of a group in one launch, by name: called with their arrays, their
        # gradients, their states and the group's options, they return the positions of those they left alone.
        self.fused_updates: dict[str, Callable[..., list[int]]] = {}
        self.rng: Any = None
        self.storage_only: frozenset[np.dtype] = frozenset()  # dtypes that are widened to float32 to compute

    def __repr__(self) -> str:
        return f"<Backend {self.name}>"

    def add(self, a: Any, b: Any) -> Any:
        """a + b, two arrays of one shape and dtype: how the engine adds up gradients."""
        return self.xp.asarray(a + b)

    def statistics(self, array: Any, positions: Any) -> tuple[np.ndarray, Any]:
        """The numbers that `statistics.FIELDS` names, float64 on the host, and the elements at sorted int64 positions.

        Positions count elements in the order in which they lie in memory; the sample is 1-D, on this device.
        """
        return statistics.statistics(self.xp, array, positions)

    def statistics_of_all(self, arrays: Sequence) -> np.ndarray:
        """The numbers of each of many small arrays, float64 (len(arrays), NUMBERS)."""
        none = np.empty(0, np.int64)
        return np.array([self.statistics(array, none)[0] for array in arrays]).reshape(-1, statistics.NUMBERS)

    def change_statistics(
        self, weights: Sequence, gradients: Sequence, previous: Sequence, positions: Sequence
    ) -> tuple[np.ndarray, list[Any]]:
        """Statistics of parameters, of their gradients (or None) and of their changes, and samples of these three.

        Writes each weight into `previous`, where its last values are. Returns numbers (len(weights), 3, NUMBERS) and a
        sample (3, len(positions)) for each; see `statistics.change_statistics`.
        """
        return statistics.change_statistics(self.xp, weights, gradients, previous, positions)

    def unit_products(self, y: Any, gy: Any, unit_dim: int) -> np.ndarray:
        """For each example and unit the sum over positions of y gy, float64 (N, units) on the host.

        y, gy: an output and its gradient, (N, ...); dimension `unit_dim` (not 0) counts units, all others positions.
        """
        axes = tuple(d for d in range(1, y.ndim) if d != unit_dim % y.ndim)
        products = self.xp.multiply(y, gy, dtype=np.float64)
        return self.to_host(self.xp.sum(products, axis=axes) if axes else products)

    def zeros_by_unit(self, y: Any, unit_dim: int) -> np.ndarray:
        """How many elements are 0 at each index of a dimension, int64 (units,) on the host."""
        axes = tuple(d for d in range(y.ndim) if d != unit_dim % y.ndim)
        return self.to_host((y == 0).sum(axis=axes))

    def manual_seed(self, seed: int) -> None:
        """Restart this device's random stream."""
        raise NotImplementedError

    def from_host(self, array: np.ndarray) -> Any:
        """This device's array with the contents of a NumPy array; shares memory where it can."""
        raise NotImplementedError

    def to_host(self, array: Any) -> np.ndarray:
        """A NumPy array with the contents of this device's array; shares memory where it can."""
        raise NotImplementedError
