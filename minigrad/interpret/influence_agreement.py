"""How well scores agree with the truth: rank correlation, and ablations of sampled units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, ShapeError
from minigrad.interpret.influence_outputs import Unit, increases_without, watched_forward
from minigrad.interpret.influence_probe import Loss, Probe
from minigrad.nn.module import Module


def ablation(
    model: Module,
    inputs: Any,
    targets: Any,
    units: Sequence[Unit],
    *,
    loss: Loss | None = None,
    training: bool = False,
) -> np.ndarray:
    """The truth about units: how much the loss rises when one's output is set to zero everywhere, one unit at a time.

        increase_c = L(y[:, c] = 0) - L

    model, inputs, targets, loss, training: as for `influence`; the loss is the mean over these examples.
    units: pairs (layer, unit), the layer by its path; of a composite the path of any of its modules.

    Returns float64 (len(units),), negative where the loss falls. It takes one forward for each unit, and one more. The
    model is left as it was. Raises ArgumentError for a layer or unit that there is not, and GraphError if the model
    runs other operations without a unit.
    Source: Molchanov et al. 2017, "Pruning convolutional neural networks for resource efficient inference", the
    oracle of section 2.1.

    >>> import minigrad as mg
    >>> net = mg.nn.Sequential(mg.nn.Linear(1, 2, bias=False), mg.nn.Linear(2, 1, bias=False))
    >>> _ = net[0].weight.data.copy_(mg.tensor([[1.0], [2.0]])), net[1].weight.data.fill_(1.0)
    >>> ablation(net, mg.ones(3, 1), mg.zeros(3, 1), [("0", 0), ("0", 1)], loss=mg.nn.functional.mse_loss)
    array([-5., -8.])
    """
    probe = Probe(model, inputs, targets, loss, training)
    return increases_without(probe, watched_forward(probe), units)


def ranks(values: Any) -> np.ndarray:
    """Ranks from 1 of a 1-D array; equal values share the mean of theirs.

    >>> ranks([0.5, 0.1, 0.5, 2.0])
    array([2.5, 1. , 2.5, 4. ])
    """
    values = np.asarray(values, np.float64)
    _, which, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[which]


def agreement(scores: Any, truth: Any) -> float:
    """Spearman's rank correlation of two arrays: Pearson's correlation of their ranks, ties sharing the mean rank.

        rho = cov(r(scores), r(truth)) / (std(r(scores)) std(r(truth)))

    scores, truth: 1-D, of one length from 2; compare magnitudes with magnitudes.

    Returns a number in [-1, 1]; NaN where one of them is constant or holds a NaN: then there is no order to compare.
    Raises ShapeError for other shapes. Source: Spearman 1904.

    >>> agreement([0.1, 0.2, 0.3], [1.0, 10.0, 100.0]), agreement([1, 2, 3], [3, 2, 1])
    (1.0, -1.0)
    """
    a, b = np.asarray(scores, np.float64), np.asarray(truth, np.float64)
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ShapeError(
            f"agreement takes two 1-D arrays of one length from 2, not shapes {list(a.shape)} and {list(b.shape)}"
        )
    if np.isnan(a).any() or np.isnan(b).any():
        return float("nan")
    a, b = (r - r.mean() for r in (ranks(a), ranks(b)))
    spread = np.sqrt((a @ a) * (b @ b))
    return float(np.clip(a @ b / spread, -1, 1)) if spread else float("nan")


def sample_units(units: Mapping[str, Any], n: int = 64, seed: int = 0) -> list[Unit]:
    """n units of a network, drawn without replacement, each with the same probability; all of them if there are fewer.

    units: for each layer the number of its units, or an array with a value for each, such as `Influence.scores`.
    n:     from 1.
    seed:  of the draw: the same seed gives the same units.

    Returns pairs (layer, unit) in the order of the network. Raises ArgumentError for n < 1.

    >>> sample_units({"conv1": 3, "fc": 2}, n=3)
    [('conv1', 2), ('fc', 0), ('fc', 1)]
    """
    if n < 1:
        raise ArgumentError(f"sample_units: n must be at least 1, not {n}")
    counts = {layer: value if isinstance(value, int) else len(value) for layer, value in units.items()}
    every = [(layer, unit) for layer, count in counts.items() for unit in range(count)]
    chosen = np.random.default_rng(seed).choice(len(every), size=min(n, len(every)), replace=False)
    return [every[i] for i in np.sort(chosen)]
