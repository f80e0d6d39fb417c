"""Scores of units by their weights and the gradients there: weight times gradient, and SNIP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.interpret.influence_units import by_unit, parameter_groups
from minigrad.nn.module import Module


def weight_gradient_scores(
    model: Module, gradients: Mapping[str, Any] | None = None
) -> dict[str, np.ndarray]:
    """How much the loss changes, to first order, when all of a unit's weights are set to zero: for each unit of a layer

        score_c = |sum over the weights w of unit c, its bias among them, of w dL/dw|

    model:     its parameters are read; a unit is an index in dimension 0 of a weight (the output channels of a
               transposed convolution), so each norm is a layer of its own here.
    gradients: arrays or tensors by the parameters' dotted names; by default their `.grad`. Parameters without one count
               as zero.

    Returns {layer: float64 (units,)} for all parameters, in units of the loss.
    Source: Molchanov et al. 2019, "Importance estimation for neural network pruning", the first-order criterion of a
    group of weights, without its square.

    >>> import minigrad as mg
    >>> layer = mg.nn.Linear(2, 1)
    >>> _ = layer.weight.data.copy_(mg.tensor([[2.0, -1.0]])), layer.bias.data.fill_(3.0)
    >>> weight_gradient_scores(layer, {"weight": np.array([[1.0, 1.0]]), "bias": np.array([-2.0])})
    {'': array([5.])}
    """
    return {
        layer: np.abs(np.sum([part.sum(axis=1) for part in parts], axis=0))
        for layer, parts in _products(model, gradients).items()
    }


def snip_scores(model: Module, gradients: Mapping[str, Any] | None = None) -> dict[str, np.ndarray]:
    """A unit's share of the network's sensitivity to its connections: for each unit of a layer

        score_c = sum over the weights w of unit c of |w dL/dw|  /  the same sum over all weights of the network

    Arguments and layers are those of `weight_gradient_scores`; here biases count as connections too.

    Returns {layer: float64 (units,)}; the scores of all layers add up to 1, or are all 0 if no gradient is else.
    Source: Lee, Ajanthan & Torr 2019, "SNIP: single-shot network pruning based on connection sensitivity", its
    connection sensitivity, summed over each unit's connections.

    >>> import minigrad as mg
    >>> layer = mg.nn.Linear(1, 2, bias=False)
    >>> _ = layer.weight.data.copy_(mg.tensor([[3.0], [-1.0]]))
    >>> snip_scores(layer, {"weight": np.array([[1.0], [1.0]])})
    {'': array([0.75, 0.25])}
    """
    magnitudes = {
        layer: np.sum([np.abs(part).sum(axis=1) for part in parts], axis=0)
        for layer, parts in _products(model, gradients).items()
    }
    total = float(sum(values.sum() for values in magnitudes.values())) or 1.0
    return {layer: values / total for layer, values in magnitudes.items()}


def _products(model: Module, gradients: Mapping[str, Any] | None) -> dict[str, list[np.ndarray]]:
    """w dL/dw by layer, for each of its parameters as float64 (units, weights of each)."""
    found: dict[str, list[np.ndarray]] = {}
    for layer, members in parameter_groups(model).items():
        for name, p in members:
            given = p.grad if gradients is None else gradients.get(name)
            w, g = p.backend.to_host(p.array), getattr(given, "array", given)
            product = (
                np.zeros(w.shape) if g is None else np.multiply(w, p.backend.to_host(g), dtype=np.float64)
            )
            found.setdefault(layer, []).append(by_unit(model, name, product))
    return found
