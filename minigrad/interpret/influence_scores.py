"""Scores of units by their outputs and the gradients there: Taylor and Fisher.

Both are made of one number for each example n and unit c, the derivative of that example's loss by a gate on the unit,
at the gate's value 1:

    p[n, c] = d L_n / d m_c,  y[:, c] replaced by m_c y[:, c]
            = sum over positions of y[n, c, ...] dL_n/dy[n, c, ...]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.backend import Backend, default_backend
from minigrad.errors import ArgumentError, GraphError, ShapeError
from minigrad.interpret.influence_units import Layers, has_units, unit_dim
from minigrad.observe import Call
from minigrad.storage import Storage, storage_of


def taylor_of(products: np.ndarray) -> np.ndarray:
    """Mean over examples of |p|, (N, C) to (C,)."""
    return np.abs(products).mean(axis=0)


def fisher_of(products: np.ndarray) -> np.ndarray:
    """Half the mean over examples of p^2, (N, C) to (C,)."""
    return 0.5 * np.square(products).mean(axis=0)


OUTPUT_METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"taylor": taylor_of, "fisher": fisher_of}
"""Methods that need a layer's output and its gradient only, by name."""


def taylor_scores(y: Any, gy: Any, *, unit_dim: int = 1, scale: float | None = None) -> np.ndarray:
    """How much the loss changes, to first order, when a unit's output is set to zero: for each unit of a layer

        score_c = mean over examples n of |sum over positions of y[n, c, ...] dL_n/dy[n, c, ...]|

    y:        a layer's output, (N, C, ...) or (N, ..., C); an array of any layout, or a tensor.
    gy:       the gradient of the loss by y, of the same shape.
    unit_dim: the dimension that counts units, not 0.
    scale:    what takes gy to dL_n/dy, the gradient of one example's loss. By default N, which is right for a loss that
              is the mean over N examples; 1 for a sum.

    Returns float64 (C,), in units of the loss. Raises ShapeError for shapes that differ or have no unit dimension.
    Source: Molchanov et al. 2017, "Pruning convolutional neural networks for resource efficient inference", equation 8,
    with the sum over positions where the paper has their mean: so scores of layers of different sizes can be compared.

    >>> taylor_scores(np.array([[1.0, -2.0], [3.0, 0.0]]), np.array([[0.5, 0.5], [-0.5, 0.5]]))
    array([2., 1.])
    """
    return taylor_of(unit_products(y, gy, unit_dim=unit_dim, scale=scale))


def fisher_scores(y: Any, gy: Any, *, unit_dim: int = 1, scale: float | None = None) -> np.ndarray:
    """How much the loss rises, to second order, when a unit's output is set to zero: for each unit of a layer

        score_c = 1/2 mean over examples n of (sum over positions of y[n, c, ...] dL_n/dy[n, c, ...])^2

    with the Fisher information in place of the Hessian, which is right for a log-likelihood at its optimum, where the
    mean of the first-order terms is zero.

    Arguments, result and errors are those of `taylor_scores`.
    Source: Theis et al. 2018, "Faster gaze prediction with dense networks and Fisher pruning", on pruning feature maps.

    >>> fisher_scores(np.array([[1.0, -2.0], [3.0, 0.0]]), np.array([[0.5, 0.5], [-0.5, 0.5]]))
    array([2.5, 1. ])
    """
    return fisher_of(unit_products(y, gy, unit_dim=unit_dim, scale=scale))


def unit_products(
    y: Any, gy: Any, *, unit_dim: int = 1, scale: float | None = None, backend: Backend | None = None
) -> np.ndarray:
    """p above, float64 (N, C): the sums over positions of y gy, times `scale` (by default N)."""
    backend = backend or getattr(y, "backend", None) or default_backend()
    y, gy = getattr(y, "array", y), getattr(gy, "array", gy)
    if y.shape != gy.shape or y.ndim < 2 or unit_dim % y.ndim == 0 or not y.size:
        raise ShapeError(
            f"an output and its gradient must have one shape (N, ...) with units in dimension {unit_dim}, "
            f"not {list(y.shape)} and {list(gy.shape)}"
        )
    products = backend.unit_products(y, gy, unit_dim % y.ndim)
    products *= y.shape[0] if scale is None else scale
    return products


class _Kept(NamedTuple):
    """What is remembered of a layer's use in a forward: the last call run for it, and what that put out."""

    scope: Any
    number: int
    y: Any
    storage: Storage
    version: int


class UnitScores:
    """Scores of all layers' units, gathered while a training step runs: an observer, which computes nothing twice.

    methods: names out of "taylor" and "fisher".
    layers:  shell patterns of the layers' paths; by default all layers with parameters.

    After the backward of one batch `take` returns the scores. A layer that is used several times in a forward gets one
    score per unit: of a gate on all its uses. Until then the observer keeps the layers' outputs alive, so `take` is to
    be called after a forward that nobody differentiates too. Outputs that ask for no gradient have no scores.
    In training mode the examples of a batch with batch norm depend on one another: then dL_n/dy[n] is N times the
    gradient of the mean, and contains what example n does to the others through the batch's statistics.

    >>> import minigrad as mg
    >>> from minigrad.observe import observe
    >>> net = mg.nn.Sequential(mg.nn.Linear(2, 3), mg.nn.ReLU(), mg.nn.Linear(3, 2))
    >>> scores = UnitScores()
    >>> with observe(scores):
    ...     mg.nn.functional.cross_entropy(net(mg.randn(4, 2)), mg.tensor([0, 1, 1, 0])).backward()
    >>> {layer: values.shape for layer, values in scores.take()["taylor"].items()}
    {'0': (3,), '2': (2,)}
    """

    def __init__(
        self, methods: Sequence[str] = ("taylor",), layers: Sequence[str] | str | None = None
    ) -> None:
        unknown = [m for m in methods if m not in OUTPUT_METHODS]
        if isinstance(methods, str) or unknown:
            raise ArgumentError(
                f"methods must be a list of names out of {', '.join(OUTPUT_METHODS)}, not {methods!r}"
            )
        self.methods = tuple(methods)
        self._layers = Layers(layers if layers is None or isinstance(layers, str) else tuple(layers))
        self._clear()

    def _clear(self) -> None:
        self._by_scope: dict[int, _Kept] = {}
        self._by_number: dict[int, _Kept] = {}
        self._products: dict[str, np.ndarray] = {}
        self._place: dict[str, int] = {}  # of a layer in the network: the number of its first call

    def recorded(self, call: Call) -> None:
        """A forward's results are there: those of the last operation of a layer are the layer's output."""
        scope: Any = call.scope
        if not self._layers.include(scope):
            return
        before = self._by_scope.pop(id(scope), None)
        if before is not None:
            self._by_number.pop(before.number, None)
        y = call.results[0]
        if call.node is not None and has_units(y):
            storage = storage_of(y)
            kept = _Kept(scope, call.number, y.array, storage, storage.version)
            self._by_scope[id(scope)] = self._by_number[call.number] = (
                kept  # which keeps the scope, and its id
            )

    def before(self, call: Call) -> None:
        """The gradients of a call's outputs are there."""
        if call.phase == "forward" or not self._by_number:
            return
        kept = self._by_number.pop(call.forward_number, None)  # type: ignore[arg-type]
        if kept is None:
            return
        scope, number, y, storage, version = kept
        self._by_scope.pop(id(scope), None)
        layer, gy = scope.modules[0], call.arrays[0]
        if storage.version != version:
            raise GraphError(f"the output of layer {layer!r} was changed in place: it has no scores")
        if gy is None:
            return
        dim = unit_dim(call.op.name, y.shape)
        products = unit_products(y, gy, unit_dim=dim, scale=1, backend=call.backend)
        known = self._products.get(layer)
        if known is not None and known.shape != products.shape:
            raise ShapeError(
                f"layer {layer!r} put out {list(known.shape)} and {list(products.shape)} examples and units: "
                "call take() after each backward"
            )
        self._products[layer] = products if known is None else known + products
        self._place[layer] = min(number, self._place.get(layer, number))

    def after(self, call: Call) -> None:
        """Nothing is left to be seen."""

    def take(self, scale: float | None = None) -> dict[str, dict[str, np.ndarray]]:
        """The scores since the last time, {method: {layer: float64 (units,)}} in the network's order; begins anew.

        scale: what takes the gradients to those of one example's loss; by default N, as in `taylor_scores`. With a loss
               that was multiplied by s for mixed precision, N / s.
        """
        found: dict[str, dict[str, np.ndarray]] = {method: {} for method in self.methods}
        for layer in sorted(self._products, key=self._place.__getitem__):
            products = self._products[layer]
            products = products * (len(products) if scale is None else scale)
            for method in self.methods:
                found[method][layer] = OUTPUT_METHODS[method](products)
        self._clear()
        return found
