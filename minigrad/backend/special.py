"""Special functions that NumPy lacks (CuPy brings its own)."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

_STEP, _LAST, _ORDER = 1 / 64, 6.0, 8  # erf(6) is 1 to float64 precision


@lru_cache(maxsize=2)
def _taylor_table(dtype: np.dtype) -> np.ndarray:
    """Taylor coefficients of erf about each grid point, lowest order first, shape (order, points).

    The n-th derivative of erf' = 2/sqrt(pi) exp(-t^2) is (-1)^n H_n(t) erf'(t), with H_n Hermite's polynomials
    (Abramowitz & Stegun 1964, 7.1.19); H_{n+1} = 2 t H_n - 2 n H_{n-1}.
    """
    t = np.arange(0, _LAST + _STEP, _STEP)
    slope = 2 / math.sqrt(math.pi) * np.exp(-t * t)
    rows = [np.array([math.erf(v) for v in t])]
    before, hermite = np.zeros_like(t), np.ones_like(t)
    for n in range(_ORDER - 1):
        rows.append((-1) ** n * hermite * slope / math.factorial(n + 1))
        before, hermite = hermite, 2 * t * hermite - 2 * n * before
    return np.array(rows).astype(dtype)


def erf(x: np.ndarray) -> np.ndarray:
    """erf(x) = 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x, elementwise; within 2 units in the last place.

    Taylor's series about the nearest of a grid of points where the standard library's `math.erf` gives the value.
    """
    x = np.asarray(x)
    magnitude = np.minimum(np.abs(x), x.dtype.type(_LAST))
    nearest = np.rint(np.nan_to_num(magnitude) / _STEP).astype(np.intp)
    h = magnitude - (nearest * _STEP).astype(x.dtype)
    table = _taylor_table(x.dtype)
    y = table[-1][nearest]
    for coefficients in table[-2::-1]:
        y = y * h + coefficients[nearest]
    return np.copysign(y, x)
