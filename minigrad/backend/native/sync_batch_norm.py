"""Batch normalisation by the statistics of all processes: the passes of `batch_norm.py`, with messages in between.

What is sent is the same, number by number, as the plain definition sends: one process may run the kernel where another,
whose part of the batch is smaller, does not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import communicator
from minigrad.backend.native.batch_norm import apply, first_pass, scale_and_shift, second_pass
from minigrad.backend.native.channel_statistics import statistics
from minigrad.backend.native.layout import empty_like, flat_channels_last


def sync_batch_norm_forward(xp: Any, x: Any, w: Any, b: Any, *, eps: float) -> Any:
    """Kernel of `sync_batch_norm`."""
    flat = flat_channels_last(x)
    if flat is None:
        return None
    channels = x.shape[1]
    mean, var = statistics(flat, channels)
    own = np.stack([np.full(channels, flat.size // channels, np.float64), mean.reshape(-1), var.reshape(-1)])
    m, means, variances = np.moveaxis(communicator.current().all_gather(own), 1, 0)
    total = m.sum(axis=0)
    mean = (m * means).sum(axis=0) / total
    var = (m * (variances + (means - mean) ** 2)).sum(axis=0) / total
    y, written = empty_like(x)
    apply(flat, written, scale_and_shift(mean, var, w, b, eps))
    column = (1, channels) + (1,) * (x.ndim - 2)
    return y, mean.reshape(column), var.reshape(column), total.reshape(column)


def sync_batch_norm_gradient(
    xp: Any, gys: Any, x: Any, w: Any, mean: Any, var: Any, m: Any, needs: Any, *, eps: float
) -> Any:
    """Kernel of the gradient of `sync_batch_norm`."""
    gy, *arriving, _ = gys
    nothing = np.zeros(x.shape[1])
    sums = first_pass((gy, nothing, nothing), x, w, gy, mean, var, False, eps, "none")  # of this process
    if sums is None:
        return None
    gx = None
    if needs[0]:
        mean, r, total = mean.reshape(-1), (var.reshape(-1) + eps) ** -0.5, m.reshape(-1)
        wr = r if w is None else w * r
        gmean, gvar = (g.reshape(-1) for g in arriving)
        whole = np.stack([gvar - 0.5 * wr * r * sums.gw, gmean - wr * sums.gb])
        communicator.current().all_reduce(whole)
        gvar, gmean = whole
        centre, of_x = mean.astype(np.float32), 2 * gvar / total
        constant = gmean / total + of_x * (centre - mean)
        vectors = np.concatenate([centre, wr, of_x, constant]).astype(np.float32)
        gx = second_pass(x, sums._replace(vectors=vectors))
    return gx, sums.gw if needs[1] else None, sums.gb if needs[2] else None
