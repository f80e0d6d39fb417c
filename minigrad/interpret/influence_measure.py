"""Which units matter most: all measures behind one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.interpret.influence_agreement import agreement, sample_units
from minigrad.interpret.influence_loss_change import loss_change
from minigrad.interpret.influence_outputs import (
    Unit,
    increases_without,
    output_products,
    watched_forward,
)
from minigrad.interpret.influence_probe import Loss, Probe
from minigrad.interpret.influence_scores import OUTPUT_METHODS
from minigrad.interpret.influence_weights import snip_scores, weight_gradient_scores
from minigrad.nn.module import Module

WEIGHT_METHODS = {"weight_gradient": weight_gradient_scores, "snip": snip_scores}
METHODS = (*OUTPUT_METHODS, *WEIGHT_METHODS, "loss_change")


class Influence:
    """Scores of a network's units, by one method. As text, a table of the highest.

    method: its name.
    scores: for each layer's path float64 (units,), layers in the order of the network.
    loss:   of the probe, at the weights the scores are for.
    """

    def __init__(self, method: str, scores: dict[str, np.ndarray], loss: float, probe: Probe) -> None:
        self.method, self.scores, self.loss = method, scores, loss
        self._probe, self._versions = probe, probe.versions()

    def top(self, n: int = 16) -> list[tuple[str, int, float]]:
        """The n units of the largest magnitude in the whole network, (layer, unit, score), the largest first.

        Of equal ones the first in the network comes first; NaN come last.
        """
        if n < 1:
            raise ArgumentError(f"top: n must be at least 1, not {n}")
        units = [(layer, unit) for layer, values in self.scores.items() for unit in range(len(values))]
        flat = self._flat()
        order = np.argsort(np.where(np.isnan(flat), np.inf, -np.abs(flat)), kind="stable")[:n]
        return [(*units[i], float(flat[i])) for i in order]

    def _flat(self) -> np.ndarray:
        return np.concatenate([*self.scores.values(), np.empty(0)])

    def agreement(self, n: int = 64, seed: int = 0) -> float:
        """Spearman's correlation between the scores' magnitudes and what ablations do to the loss, in magnitude.

        n:    how many units are sampled, over all layers whose units can be ablated: a forward for each.
        seed: of the sample.

        Raises ArgumentError if the model has changed since: then its truth is another one.
        See `ablation`, `agreement` and `sample_units`.
        """
        return agreement(*(np.abs(column) for column in self.beside_truth(n, seed)[1:]))

    def beside_truth(self, n: int = 64, seed: int = 0) -> tuple[list[Unit], np.ndarray, np.ndarray]:
        """Sampled units, their scores, and the increases of the loss without each; otherwise as `agreement`."""
        if self._probe.versions() != self._versions:
            raise ArgumentError(
                "the model has changed since these scores were computed; compute them again and compare those"
            )
        forward = watched_forward(self._probe)
        counts = forward.units
        sampled = sample_units({k: v for k, v in self.scores.items() if counts.get(k) == len(v)}, n, seed)
        truth = increases_without(self._probe, forward, sampled)
        return sampled, np.array([self.scores[layer][unit] for layer, unit in sampled]), truth

    def __str__(self) -> str:
        rows = self.top(10)
        total = float(np.nansum(np.abs(self._flat()))) or 1.0
        width = max([len("layer"), *(len(layer) for layer, _, _ in rows)])
        lines = [f"{'layer':<{width}}  {'unit':>5}  {'score':>11}  {'share':>6}"]
        lines += [
            f"{layer or '(model)':<{width}}  {unit:>5}  {score:>11.4e}  {abs(score) / total:>6.1%}"
            for layer, unit, score in rows
        ]
        count = sum(map(len, self.scores.values()))
        lines.append(f"{self.method}: {count} units in {len(self.scores)} layers, loss {self.loss:.4g}")
        return "\n".join(lines)

    __repr__ = __str__


def influence(
    model: Module,
    inputs: Any,
    targets: Any,
    loss: Loss | None = None,
    method: str = "taylor",
    *,
    training: bool = False,
    layers: Sequence[str] | str | None = None,
    normalize: bool = False,
    before: Mapping[str, Any] | None = None,
) -> Influence:
    """How much each unit of a network matters to its loss on some data.

    model:     any Module; it is left as it was, bit for bit.
    inputs:    a batch, (N, ...): a tensor, a NumPy array, or a tuple of them for a model with several inputs.
    targets:   what the loss takes.
    loss:      `loss(outputs, targets)`, one number, the mean over the N examples; by default cross entropy.
    method:    "taylor"           |output times gradient|, see `taylor_scores`. Needs one forward and backward, as do
               "fisher"           half its square, see `fisher_scores`
               "weight_gradient"  |weights times gradient|, see `weight_gradient_scores`
               "snip"             the unit's share of all |weight times gradient|, see `snip_scores`
               "loss_change"      what the unit's weights did to the loss since `before`, signed, see `loss_change`
    training:  measure in training mode (batch statistics, dropout), not in evaluation.
    layers:    shell patterns of the paths to look at; "*" for all. By default layers with parameters.
    normalize: divide the scores of each layer by their L2 norm, as Molchanov et al. 2017 do. Then they compare units
               within a layer, and are no changes of the loss.
    before:    for "loss_change": the parameters as they were, `parameter_values(model)`.

    Returns an Influence: print it, or ask for `top(n)`, `scores`, `agreement()`. Units of "taylor" and "fisher" are
    channels of a layer's output (of a composite, such as convolution, norm and activation in one, those of its end),
    units of the others are the rows of its weights. Raises ArgumentError for an unknown method.

    >>> import minigrad as mg
    >>> net = mg.nn.Sequential(mg.nn.Linear(2, 3), mg.nn.ReLU(), mg.nn.Linear(3, 2))
    >>> found = influence(net, mg.randn(8, 2), mg.tensor([0, 1] * 4))
    >>> [len(values) for values in found.scores.values()], len(found.top(2))
    ([3, 2], 2)
    """
    if method not in METHODS:
        raise ArgumentError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    if (before is not None) != (method == "loss_change"):
        raise ArgumentError('before=parameter_values(model), kept earlier, belongs to method="loss_change"')
    probe = Probe(model, inputs, targets, loss, training)
    patterns = layers if layers is None or isinstance(layers, str) else tuple(layers)
    if method in OUTPUT_METHODS:
        value, products = output_products(probe, patterns)
        scores = {layer: OUTPUT_METHODS[method](p) for layer, p in products.items()}
    else:
        if method in WEIGHT_METHODS:
            value, gradients = probe.gradients()
            scores = WEIGHT_METHODS[method](model, gradients)
        else:
            change = loss_change(model, before or {}, inputs, targets, loss=loss, training=training)
            value, scores = change.after, change.by_unit()
        scores = _chosen(scores, patterns)
    if normalize:
        scores = {layer: values / (np.linalg.norm(values) or 1.0) for layer, values in scores.items()}
    return Influence(method, scores, value, probe)


def _chosen(scores: dict[str, np.ndarray], patterns: tuple[str, ...] | str | None) -> dict[str, np.ndarray]:
    wanted = ("*",) if patterns is None else (patterns,) if isinstance(patterns, str) else patterns
    return {k: v for k, v in scores.items() if any(fnmatchcase(k, pattern) for pattern in wanted)}
