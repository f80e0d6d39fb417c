"""Numbers of each layer's input and output, and of their gradients, taken as a step passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad import dtypes
from minigrad.backend.statistics import FIELDS, NUMBERS
from minigrad.interpret.influence_units import unit_dim
from minigrad.nn.module import Module
from minigrad.observe import Call
from minigrad.tensor import Tensor
from minigrad.tracing.sampling import positions

KINDS = ("input", "output", "input_gradient", "output_gradient")


class Look(NamedTuple):
    """What was seen of one signal: its shape, how many units it has, some of its elements, and on request the numbers over
    all elements and each unit's share of zeros."""

    shape: tuple[int, ...]
    units: int
    sample: np.ndarray
    numbers: np.ndarray | None
    zeros: np.ndarray | None


class LayerWatch:
    """An observer of one model's layers: modules without children, under the paths they have in it.

    A layer's input is what its first operation reads, its output what its last one returns; layers that a composite
    joins are one layer, under the path of the first. After a step `looks` holds what was seen, by (kind, path); a layer
    that was called several times is seen in its last call.

    wanted: says which paths to look at.
    """

    def __init__(self, model: Module, wanted: Callable[[str], bool]) -> None:
        self.model = model
        self.paths = {
            path for path, m in model.named_modules() if wanted(path) and not any(True for _ in m.children())
        }
        self.begin(1, False)

    def begin(self, look: int, full: bool) -> None:
        """Forget what was seen, and look at so many elements from now on; `full`: at all of them."""
        self.look, self.full = look, full
        self.forget()

    def forget(self) -> None:
        """Forget what was seen."""
        self.looks: dict[tuple[str, str], Look] = {}
        self._layer_of: dict[int, str] = {}  # by the number of the layer's last operation
        self._first: dict[int, str] = {}  # by that of its first
        self._entry: dict[str, tuple[Any, int]] = {}  # of a layer: the scope it is in, and its last operation

    def before(self, call: Call) -> None:
        """The gradient by a layer's output is complete."""
        if call.phase == "gradient" and (layer := self._layer_of.get(call.forward_number)) is not None:  # type: ignore[arg-type]
            self._see("output_gradient", layer, call.arrays[0], call)

    def after(self, call: Call) -> None:
        """The gradient by a layer's input is there."""
        if call.phase == "gradient" and (layer := self._first.get(call.forward_number)) is not None:  # type: ignore[arg-type]
            self._see("input_gradient", layer, call.outputs[0], call)

    def recorded(self, call: Call) -> None:
        """An operation of a layer has run."""
        scope = call.scope
        if scope is None or scope.root is not self.model or call.op.may_view:
            return
        layer = scope.modules[0]
        if layer not in self.paths:
            return
        place, last = self._entry.get(layer, (None, -1))
        if place is not scope:  # another call of the layer: scopes are made anew
            self._first[call.number] = layer
            self._see("input", layer, call.inputs[0], call)
        else:
            self._layer_of.pop(last, None)
        self._entry[layer] = scope, call.number
        self._layer_of[call.number] = layer
        self._see("output", layer, call.results[0], call)

    def _see(self, kind: str, layer: str, x: Any, call: Call) -> None:
        array = x.array if isinstance(x, Tensor) else x
        if not hasattr(array, "dtype") or array.dtype not in dtypes.FLOATING or not array.size:
            return
        backend = call.backend
        numbers = zeros = None
        if self.full:
            numbers, sample = backend.statistics(array, positions(array.size))
            zeros = _zeros_by_unit(call, array) if kind == "output" else None
        else:
            sample = array.ravel(order="K")[positions(array.size, self.look)]
        units = array.shape[unit_dim(call.op.name, array.shape)] if array.ndim > 1 else 1
        host = np.asarray(backend.to_host(sample), np.float32)
        self.looks[kind, layer] = Look(array.shape, units, host, numbers, zeros)


def _zeros_by_unit(call: Call, y: Any) -> np.ndarray:
    """For each unit the share of its outputs that are 0."""
    if y.ndim < 2:
        return np.zeros(0)
    dim = unit_dim(call.op.name, y.shape) % y.ndim
    axes = tuple(d for d in range(y.ndim) if d != dim)
    return call.backend.to_host((y == 0).mean(axis=axes))


def numbers_of(samples: list[np.ndarray]) -> np.ndarray:
    """Statistics of many small samples at once, float32 (len(samples), NUMBERS): as `Backend.statistics` has them, of the
    sample alone."""
    found = np.full((len(samples), NUMBERS), np.nan, np.float32)
    sizes = np.array([s.size for s in samples])
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        found[rows] = _numbers_of(np.stack([samples[i] for i in rows]).astype(np.float64))
    return found


def _numbers_of(x: np.ndarray) -> np.ndarray:
    """Of each row. Where all is finite, as it should be, in a few passes."""
    finite = np.isfinite(x)
    n = finite.sum(axis=1)
    nans = np.isnan(x).sum(axis=1)
    full = bool(finite.all())
    with np.errstate(all="ignore"):
        kept = x if full else np.where(finite, x, 0.0)
        mean = kept.sum(axis=1) / n
        d = kept - mean[:, None]
        if not full:
            d[~finite] = 0.0
        d2 = d * d
        variance = d2.sum(axis=1) / n
        std = np.sqrt(variance)
        columns = {
            "count": np.full(len(x), x.shape[1]),
            "nans": nans,
            "infs": x.shape[1] - n - nans,
            "zeros": (x == 0).sum(axis=1),
            "minimum": x.min(axis=1) if full else np.where(finite, x, np.inf).min(axis=1),
            "maximum": x.max(axis=1) if full else np.where(finite, x, -np.inf).max(axis=1),
            "mean": mean,
            "std": std,
            "skewness": (d2 * d).sum(axis=1) / n / std**3,
            "kurtosis": (d2 * d2).sum(axis=1) / n / variance**2,
            "norm": np.sqrt((kept * kept).sum(axis=1)),
        }
    return np.stack([columns[name] for name in FIELDS], axis=1)
