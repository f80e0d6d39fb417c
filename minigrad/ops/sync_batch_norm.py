"""Batch normalisation by the statistics of a batch of which every process has a part."""

from __future__ import annotations

import numpy as np

from minigrad import communicator
from minigrad.op import operation
from minigrad.ops.batch_normalization import _all_but_channels, _beside, _column, values_per_channel
from minigrad.ops.moments import dot_over, sum_over

__all__: list[str] = []  # reached by its layer, `minigrad.nn.SyncBatchNorm`
METHODS: list[str] = []

_SOURCE = (
    "Ioffe & Szegedy 2015, algorithm 1 and section 3; the variance of the whole from its parts: "
    "Chan, Golub & LeVeque 1979, equation 2.1"
)


@operation(
    formula="y = sum of x over all processes",
    gradient_formula="gx = sum of gy over all processes",
    source="definition",
    samples=lambda draw: [draw.call(draw.normal(2, 3))],
)
def sum_over_processes(xp, x):
    """The sum of the arrays of all processes, which have one shape and dtype, in the order of their ranks.

    >>> import minigrad as mg
    >>> sum_over_processes(mg.tensor([1.0, 2.0]))       # of one process
    tensor([1., 2.])
    """
    y = xp.array(x, order="C")
    communicator.current().all_reduce(y)
    return y


@sum_over_processes.gradient
def sum_over_processes_gradient(xp, gy):
    return xp.sum_over_processes(gy)


@operation(
    formula="y = w (x - mean) / sqrt(var + eps) + b, mean and var of each channel over the parts of all processes",
    gradient_formula="that of batch_norm, in which means of gy and gy x' are taken over all processes too",
    source=_SOURCE,
    samples=lambda draw: [
        draw.call(draw.normal(4, 3), draw.normal(3), draw.normal(3), eps=1e-5),
        draw.call(draw.normal(2, 3, 2, 4), None, draw.normal(3), eps=1e-3),
        draw.call(draw.normal(3, 2, 4), None, None, eps=0.1),
    ],
    promoted=("x",),
    outputs=("y", "mean", "var", "m"),
    flops=lambda inputs, outputs, params: 7 * float(np.prod(inputs[0])),
)
def sync_batch_norm(xp, x, w, b, *, eps):
    """Batch normalisation in training, by mean and variance of what all processes hold; see `batch_norm`.

    x: (N, C, ...), of any N from 1, which may differ between the processes; w, b: (C,), the same on all, or None.

    Returns y, of the shape of x, and float64, with every dimension but that of the channels 1: mean, biased variance,
    and m, the number of values that they were taken over. gw and gb are the sums over the part of this process; gx
    holds what the y of all processes tell of this part. Every process calls it, and its gradient, alike.

    >>> import minigrad as mg
    >>> y, mean, var, m = sync_batch_norm(mg.tensor([[1.0], [3.0]]), None, None, eps=0.0)
    >>> y.tolist(), mean.item(), var.item(), m.item()
    ([[-1.0], [1.0]], 2.0, 1.0, 2.0)
    """
    _, mean, var = xp.batch_norm(x, None, None, eps=eps)  # of the part
    own = xp.stack([xp.full_like(mean, values_per_channel(x.shape)), mean, var])
    m, means, variances = xp.moveaxis(communicator.current().all_gather(own), 1, 0)
    # A sum of squares would lose its digits to a large mean; squares about the parts' own means do not
    total = xp.sum(m, axis=0)
    mean = xp.sum(m * means, axis=0) / total
    var = xp.sum(m * (variances + (means - mean) ** 2), axis=0) / total
    return xp.batch_norm_inference(x, mean.reshape(-1), var.reshape(-1), w, b, eps=eps), mean, var, total


@sync_batch_norm.gradient
def sync_batch_norm_gradient(xp, gys, x, w, mean, var, m, needs, *, eps):
    gy, gmean, gvar, _ = gys
    axes = _all_but_channels(x)
    r = (var + eps) ** -0.5
    wr = r if w is None else _column(w, x) * r
    sum_gy = sum_over(xp, gy, axes)
    sum_gyx = dot_over(xp, gy, x, axes) - mean * sum_gy
    gx = gw = gb = None
    if needs[0]:
        # What arrives at mean and variance, by way of all parts' y
        own = xp.stack([gvar - 0.5 * wr * r * r * sum_gyx, gmean - wr * sum_gy])
        total = xp.sum_over_processes(own)
        gvar, gmean = total[0], total[1]
        of_x, constant = 2 * gvar / m, (gmean - 2 * gvar * mean) / m
        gx = gy * _beside(xp, wr, x) + x * _beside(xp, of_x, x) + _beside(xp, constant, x)
    if needs[1]:
        gw = (sum_gyx * r).reshape(-1)
    if needs[2]:
        gb = sum_gy.reshape(-1)
    return gx, gw, gb
