"""What an array's numbers are like, in eleven numbers and a sample: the plain definition.

FIELDS names the numbers, in their order; over the n finite values x, of which `minimum` and `maximum` are the extremes:

    mean = sum x / n        std = sqrt(m2)        skewness = m3 / std^3        kurtosis = m4 / std^4
    norm = sqrt(sum x^2)    with the central moments m_k = sum (x - mean)^k / n

`count` counts all elements, `nans` and `infs` those that are not finite, `zeros` those that equal 0. Without any finite
value, minimum, maximum, mean, std, skewness, kurtosis and norm are NaN. Where all finite values are equal the std is 0,
and skewness and kurtosis, being 0 / 0, are NaN. A normal distribution has kurtosis 3.

The **sample** are the elements at given positions, which count elements in the order in which they lie in memory
(NumPy's `ravel(order="K")`): the same positions see the same elements of a batch, and the look costs little.

Everything is computed in float64, whatever the dtype; float64 values are scaled, so that powers do not overflow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError

FIELDS = (
    "count",
    "nans",
    "infs",
    "zeros",
    "minimum",
    "maximum",
    "mean",
    "std",
    "skewness",
    "kurtosis",
    "norm",
)
NUMBERS = len(FIELDS)
ROWS = ("weight", "gradient", "change")  # of `change_statistics`

_EXACT_IN_FLOAT32 = ("float32", "float16", "bfloat16")


def statistics(xp: Any, array: Any, positions: Any) -> tuple[np.ndarray, Any]:
    """Numbers (NUMBERS,) of an array, a float64 NumPy array; and its elements at sorted `positions`, on its device.

    The sample is float32 for arrays of float32 and of half precision, else float64.
    """
    flat = xp.ravel(array, order="K")
    check_positions(positions, flat.size)
    sample = flat[positions].astype(np.float32 if str(flat.dtype) in _EXACT_IN_FLOAT32 else np.float64)
    x = flat.astype(np.float64)
    finite = xp.isfinite(x)
    n, zeros = int(xp.count_nonzero(finite)), x.size - int(xp.count_nonzero(x))
    nans = int(xp.count_nonzero(xp.isnan(x))) if n < x.size else 0
    counts = (x.size, nans, x.size - nans - n, zeros)
    return np.array(counts + _moments(xp, x if n == x.size else x[finite], n), np.float64), sample


def _moments(xp: Any, x: Any, n: int) -> tuple[float, ...]:
    """Minimum, maximum, mean, std, skewness, kurtosis and norm of n finite numbers."""
    if not n:
        return (math.nan,) * 7
    low, high = float(x.min()), float(x.max())
    exponent = math.frexp(max(-low, high))[1]  # in this unit, all lie between -1 and 1
    x = xp.ldexp(x, -exponent)
    # Rounding may not push it out: equal numbers have a deviation of exactly 0
    mean = min(max(float(x.sum()) / n, math.ldexp(low, -exponent)), math.ldexp(high, -exponent))
    d = x - mean
    d2 = d * d
    variance = float(d2.sum()) / n
    skewness = kurtosis = math.nan
    if variance > 0:
        skewness = float((d2 * d).sum()) / n / variance**1.5
        kurtosis = float((d2 * d2).sum()) / n / variance**2
    norm = np.ldexp(math.sqrt(float((x * x).sum())), exponent)  # the one that may overflow, to infinity
    std = math.ldexp(math.sqrt(variance), exponent)
    return low, high, math.ldexp(mean, exponent), std, skewness, kurtosis, float(norm)


def change_statistics(
    xp: Any,
    weights: Sequence[Any],
    gradients: Sequence[Any],
    previous: Sequence[Any],
    positions: Sequence[Any],
) -> tuple[np.ndarray, list[Any]]:
    """Of each parameter its statistics, its gradient's, and those of how it has changed; `previous` follows it.

    weights:   arrays. gradients: for each an array of its shape, or None.
    previous:  for each an array of its shape and dtype with the values it had; afterwards, those it has.
    positions: for each the positions of the sample, which count elements in the order in which the weight lies in
               memory, also where its gradient lies otherwise.

    Returns numbers, float64 (len(weights), 3, NUMBERS), rows as in ROWS, change = weight - previous; and for each
    parameter a sample (3, len(positions)). A gradient that is None has NaN throughout.
    """
    numbers = np.full((len(weights), len(ROWS), NUMBERS), math.nan)
    samples = []
    given = list(zip(weights, gradients, previous, positions, strict=True))
    for one in given:
        check_change(*one)
    for i, (weight, gradient, before, places) in enumerate(given):
        order = _memory_order(weight)
        w, p = weight.transpose(order), before.transpose(order)
        numbers[i, 0], sample = statistics(xp, in_order(xp, w), places)
        rows = [sample, xp.full_like(sample, math.nan), sample]
        if gradient is not None:
            numbers[i, 1], rows[1] = statistics(xp, in_order(xp, gradient.transpose(order)), places)
        wide = np.promote_types(w.dtype, np.float32)  # half precision is for storing
        numbers[i, 2], rows[2] = statistics(xp, in_order(xp, w.astype(wide) - p.astype(wide)), places)
        samples.append(xp.stack([r.astype(sample.dtype) for r in rows]))
        before[...] = weight
    return numbers, samples


def in_order(xp: Any, array: Any) -> Any:
    """The elements in the order of their indices, one dimension."""
    return xp.ravel(array, order="C")


def _memory_order(array: Any) -> list[int]:
    """The dimensions from that of the largest step in memory to that of the smallest."""
    return sorted(range(array.ndim), key=lambda d: -abs(array.strides[d]))


def check_positions(positions: Any, size: int) -> None:
    """ArgumentError unless sorted int64 positions lie in an array of this size (that they are sorted is believed)."""
    if positions.dtype != np.int64 or positions.ndim != 1:
        raise ArgumentError(
            f"positions must be a 1-dimensional int64 array, not {positions.dtype} {positions.shape}"
        )
    if positions.size and not 0 <= positions[0] <= positions[-1] < size:
        raise ArgumentError(
            f"positions must be sorted and lie in [0, {size}), not from {positions[0]} to {positions[-1]}"
        )


def check_change(weight: Any, gradient: Any, previous: Any, positions: Any) -> None:
    """ArgumentError unless these belong to one parameter."""
    check_positions(positions, weight.size)
    if previous.shape != weight.shape or previous.dtype != weight.dtype:
        raise ArgumentError(
            f"previous values must have the weight's shape and dtype, {weight.shape} {weight.dtype}, "
            f"not {previous.shape} {previous.dtype}"
        )
    if gradient is not None and gradient.shape != weight.shape:
        raise ArgumentError(f"a gradient of shape {gradient.shape} is not that of a weight {weight.shape}")
