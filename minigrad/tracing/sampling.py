"""Which elements of an array a sample holds: fixed, so that samples of one array at many steps can be compared."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from minigrad.errors import ArgumentError

SAMPLE = 4096  # elements: the 1 % quantile then has 41 below it


@lru_cache(maxsize=1024)
def positions(size: int, wanted: int = SAMPLE, seed: int = 0) -> np.ndarray:
    """Sorted positions of a sample of `wanted` out of `size` elements, int64, read-only; all if there are no more.

    They count elements in the order in which they lie in memory (NumPy's `ravel(order="K")`). One is drawn uniformly
    from each of `wanted` stretches of nearly equal length: so every element has (nearly) the same chance, none appears
    twice, and all of the array is covered.

    The same arguments give the same positions, in every process. Raises ArgumentError for a negative number.

    >>> positions(5)
    array([0, 1, 2, 3, 4])
    >>> positions(100, wanted=4).shape
    (4,)

    Source: stratified sampling, Cochran 1977, "Sampling Techniques", chapter 5.
    """
    if size < 0 or wanted < 0:
        raise ArgumentError(f"positions: size and wanted must be at least 0, not {size} and {wanted}")
    if size <= wanted:
        result = np.arange(size, dtype=np.int64)
    else:
        edges = np.arange(wanted + 1, dtype=np.int64) * size // max(wanted, 1)
        result = np.random.default_rng(seed).integers(edges[:-1], edges[1:], dtype=np.int64)
    result.flags.writeable = False
    return result
