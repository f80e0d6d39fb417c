"""Statistics of an array: eleven exact numbers, and a sample for what needs the values themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.backend import get_backend
from minigrad.backend.statistics import FIELDS, NUMBERS
from minigrad.errors import ArgumentError
from minigrad.tensor import Tensor
from minigrad.tracing.sampling import SAMPLE, positions

__all__ = ["FIELDS", "QUANTILES", "Statistics"]

QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)  # those of `as_dict`


def _number(name: str, meaning: str) -> property:
    index = FIELDS.index(name)
    return property(lambda self: float(self.numbers[index]), doc=meaning)


def _count(name: str, meaning: str) -> property:
    index = FIELDS.index(name)
    return property(lambda self: int(self.numbers[index]), doc=meaning)


class Statistics:
    """Counts, extremes, moments and norm of an array, exact; quantiles and a histogram, estimated from a sample.

    numbers: the exact ones, float64, named by FIELDS; each is an attribute too. Over the n finite values x,

        mean = sum x / n     std = sqrt(m2)     skewness = m3 / std^3     kurtosis = m4 / std^4     norm = sqrt(sum x^2)

        with the central moments m_k = sum (x - mean)^k / n.

        NaN and infinities are counted, and take no part in the rest. Without any finite value the rest is NaN. If all
        finite values are equal, the std is 0 and skewness and kurtosis are NaN. Kurtosis is not in excess: that of a
        normal distribution is 3.

    sample:  up to 4,096 of the elements (see `sampling.positions`), 1-D, float32 or float64; all if there are no more,
        and then quantiles and histogram are exact as well.

    The moments are taken in one pass over memory, over blocks that are then combined.

    >>> import minigrad as mg
    >>> s = Statistics.of(mg.tensor([3.0, 0.0, 4.0, float("nan")]))
    >>> s.count, s.nans, s.zeros, s.maximum, s.norm
    (4, 1, 1, 4.0, 5.0)
    >>> s
    Statistics(count=4, nans=1, infs=0, zeros=1, minimum=0, maximum=4, mean=2.333, std=1.7, ...)

    Sources: Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance"; Pébay 2008, "Formulas for
    robust, one-pass parallel computation of covariances and arbitrary-order statistical moments" (SAND2008-6212).
    """

    __slots__ = ("numbers", "sample")

    numbers: np.ndarray
    sample: np.ndarray

    def __init__(self, numbers: Any, sample: Any = ()) -> None:
        numbers = np.array(numbers, np.float64)
        if numbers.shape != (NUMBERS,) or not numbers[0] >= 0:
            raise ArgumentError(
                f"Statistics needs the {NUMBERS} numbers {', '.join(FIELDS)}, not {numbers.tolist()}"
            )
        numbers.flags.writeable = False
        object.__setattr__(self, "numbers", numbers)
        object.__setattr__(self, "sample", np.asarray(sample))

    @classmethod
    def of(cls, array: Any, sample: int = SAMPLE) -> Statistics:
        """Those of a Tensor or an array, with a sample of at most `sample` elements."""
        backend = array.backend if isinstance(array, Tensor) else get_backend("cpu")
        raw = array.array if isinstance(array, Tensor) else np.asarray(array)
        numbers, values = backend.statistics(raw, positions(raw.size, sample))
        return cls(numbers, backend.to_host(values))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("Statistics do not change")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("Statistics do not change")

    def __reduce__(self) -> tuple:
        return Statistics, (self.numbers, self.sample)

    count = _count("count", "Number of elements.")
    nans = _count("nans", "How many of them are NaN.")
    infs = _count("infs", "How many are infinite, of either sign.")
    zeros = _count("zeros", "How many are 0.")
    minimum = _number("minimum", "The smallest finite value.")
    maximum = _number("maximum", "The largest finite value.")
    mean = _number("mean", "Mean of the finite values.")
    std = _number("std", "Standard deviation of the finite values, biased (divided by their number).")
    skewness = _number("skewness", "Third standardised moment: 0 if symmetric.")
    kurtosis = _number("kurtosis", "Fourth standardised moment: 3 for a normal distribution.")
    norm = _number("norm", "Euclidean length: square root of the sum of squares of the finite values.")

    @property
    def finite(self) -> int:
        """How many elements are finite."""
        return self.count - self.nans - self.infs

    def quantiles(self, q: float | Sequence[float]) -> Any:
        """Estimates, from the sample's finite values, of quantiles q in [0, 1]; NaN if there are none.

        Linear between order statistics, as NumPy's. A float for a float, a float64 array for a sequence.

        >>> Statistics.of(np.arange(101.0)).quantiles([0.25, 0.5])
        array([25., 50.])
        """
        wanted = np.asarray(q, np.float64)
        if wanted.size and not (wanted.min() >= 0 and wanted.max() <= 1):
            raise ArgumentError(f"quantiles: q must lie in [0, 1], not {q}")
        values = self._finite_sample()
        if not values.size:
            result = np.full(wanted.shape, math.nan)
        elif max(-values.min(), values.max()) < 1e300:
            result = np.quantile(values, wanted)
        else:  # the difference of two of them might be infinite
            result = np.quantile(values / 4, wanted) * 4
        return result if wanted.ndim else float(result)

    def histogram(
        self, bins: int = 64, range: tuple[float, float] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Estimated numbers of elements in each of `bins` equal intervals, and the edges: (bins,), (bins + 1,).

        The sample's counts, scaled to the number of finite elements.

        range: from where to where, by default from the smallest finite value to the largest (a little further if they
            are too close for so many edges; from 0 to 1 if there are none). What lies outside is left out. The last
            interval holds its right edge.

        >>> counts, edges = Statistics.of(np.arange(8.0)).histogram(bins=2)
        >>> counts, edges
        (array([4., 4.]), array([0. , 3.5, 7. ]))
        """
        if not isinstance(bins, (int, np.integer)) or bins < 1:
            raise ArgumentError(f"histogram: bins must be an int from 1, not {bins!r}")
        edges = _edges(int(bins), *(self._range() if range is None else _checked(range)))
        values = self._finite_sample()
        if not values.size:
            return np.zeros(int(bins)), edges
        return np.histogram(values, edges)[0] * (self.finite / values.size), edges

    def as_dict(self, bins: int = 64) -> dict[str, Any]:
        """FIELDS, quantiles and histogram as JSON can hold them; None for NaN and infinity, which JSON has not.

        >>> list(Statistics.of([1.0, 2.0]).as_dict())[-2:]
        ['quantiles', 'histogram']
        """
        counts, edges = self.histogram(bins)
        return {
            **{name: int(v) for name, v in zip(FIELDS[:4], self.numbers[:4])},
            **{name: _json(v) for name, v in zip(FIELDS[4:], self.numbers[4:])},
            "quantiles": {f"{q:g}": _json(v) for q, v in zip(QUANTILES, self.quantiles(QUANTILES))},
            "histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
        }

    def _finite_sample(self) -> np.ndarray:
        values = self.sample.astype(np.float64)
        return values[np.isfinite(values)]

    def _range(self) -> tuple[float, float]:
        return (self.minimum, self.maximum) if self.finite else (0.0, 1.0)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Statistics):
            return NotImplemented
        return np.array_equal(self.numbers, other.numbers, equal_nan=True) and np.array_equal(
            self.sample, other.sample, equal_nan=True
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Statistics({', '.join(f'{name}={v:.4g}' for name, v in zip(FIELDS, self.numbers))})"


def _checked(range: tuple[float, float]) -> tuple[float, float]:
    low, high = (float(v) for v in range)
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ArgumentError(f"histogram: range must be (low, high), finite, low <= high; not {range}")
    return low, high


def _edges(bins: int, low: float, high: float) -> np.ndarray:
    """bins + 1 increasing numbers from low to high, or from a little lower to a little higher."""
    far = max(-low, high)
    if not high - low > 2 * bins * np.spacing(far):
        wider = max(0.5 if low == high else 0.0, 2 * bins * float(np.spacing(far)))
        low, high = low - wider, high + wider
    steps = np.arange(bins + 1) / bins
    edges = low * (1 - steps) + high * steps  # the difference of the largest numbers would be infinite
    edges[0], edges[-1] = low, high
    return edges


def _json(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
