"""Sums and maxima over a row of numbers, LANES of them abreast: in a fixed order, whatever the processor."""

from __future__ import annotations

import numpy as np

from minigrad.backend.native.instructions import LANES
from minigrad.backend.native.smooth import inlined
from minigrad.backend.native.vectors import (
    add,
    greater,
    load,
    max_across,
    multiply,
    select,
    spread,
    subtract,
    sum_across,
)

_LOWEST = np.float32(-np.inf)


@inlined
def row_max(x, first, n):
    """The largest of x[first : first + n]; NaN are passed over, -inf if there is nothing else."""
    best = spread(_LOWEST)
    whole = n // LANES * LANES
    for k in range(0, whole, LANES):
        e = load(x, first + k, LANES)
        best = select(greater(e, best), e, best)
    most = max_across(best)
    for k in range(whole, n):
        most = x[first + k] if x[first + k] > most else most
    return most


@inlined
def row_sum(x, first, n):
    """The sum of x[first : first + n]."""
    total = spread(np.float32(0))
    for k in range(0, n, LANES):
        total = add(total, load(x, first + k, n - k))
    return sum_across(total)


@inlined
def row_dot(a, a0, b, b0, n):
    """The sum of a[a0 + k] b[b0 + k], k < n."""
    total = spread(np.float32(0))
    for k in range(0, n, LANES):
        total = add(total, multiply(load(a, a0 + k, n - k), load(b, b0 + k, n - k)))
    return sum_across(total)


@inlined
def row_squares(x, first, n, centre):
    """The sum of (x - centre)^2 over x[first : first + n]."""
    total = spread(np.float32(0))
    whole = n // LANES * LANES
    for k in range(0, whole, LANES):
        d = subtract(load(x, first + k, LANES), spread(centre))
        total = add(total, multiply(d, d))
    result = sum_across(total)
    for k in range(whole, n):
        d = x[first + k] - centre
        result += d * d
    return result
