"""Comparing numbers: derivatives from values alone, how far they can be trusted, and when two results are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


def random_direction(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Random signs times random magnitudes from 0.5 to 1: no component so small that its error would be overlooked."""
    return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 1, shape)


class Slope(NamedTuple):
    """The derivative of phi(t) = <v, f(t)> at t = 0, as values of f tell it.

    value:     the derivative.
    scale:     sum of the magnitudes of its terms, to which rounding errors are proportional.
    doubt:     about how wrong the value may be: nearly 0 for a smooth phi, the height of the jump on a kink.
    one_sided: the quotients to the left and to the right.
    """

    value: float
    scale: float
    doubt: float
    one_sided: tuple[float, float]


def slope(f: Callable[[float], list[np.ndarray]], v: list[np.ndarray], h: float) -> Slope:
    """The derivative of <v, f(t)> at t = 0 from the steps h and h/2, extrapolated to step 0.

    For a smooth function the central quotients at h and h/2 agree up to h^2, and the distance of the one-sided
    ones halves with h. On a kink the one-sided ones keep their distance; beside one, the central ones disagree.
    """
    base = f(0)
    terms = {
        t: [v_j * (y - y_0) for v_j, y, y_0 in zip(v, f(t), base, strict=True)]
        for t in (h, -h, h / 2, -h / 2)
    }
    rise = {t: float(sum(part.sum() for part in parts)) for t, parts in terms.items()}  # phi(t) - phi(0)
    wide, narrow = (rise[h] - rise[-h]) / (2 * h), (rise[h / 2] - rise[-h / 2]) / h
    bend_wide, bend_narrow = (rise[h] + rise[-h]) / h, (rise[h / 2] + rise[-h / 2]) / (h / 2)
    return Slope(
        value=(4 * narrow - wide) / 3,
        scale=float(sum(np.abs(a - b).sum() for a, b in zip(terms[h], terms[-h], strict=True))) / (2 * h),
        doubt=max(abs(wide - narrow), abs(2 * bend_narrow - bend_wide)),
        one_sided=(-rise[-h / 2] / (h / 2), rise[h / 2] / (h / 2)),
    )


def close(a: np.ndarray | None, b: np.ndarray | None, tolerance: float) -> bool:
    """Equal up to a fraction of the largest magnitude (at least 1); infinities and NaNs in the same places."""
    if a is None or b is None:
        return a is b
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        return False
    finite = np.isfinite(a) & np.isfinite(b)
    error, scale = np.abs(a[finite] - b[finite]), np.max(np.abs(b[finite]), initial=1)
    return bool(np.all(error <= tolerance * scale)) and np.array_equal(a[~finite], b[~finite], equal_nan=True)
