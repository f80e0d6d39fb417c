"""What the normalisations share: sums and moments along axes, standardising, and checks of weight and bias.

Sums become float64 as soon as they are few, and statistics stay so until they meet the data again: a difference of two
large float32 sums has few digits left, and the variance of half-precision data may exceed the largest such number.
"""

from __future__ import annotations

import math
from string import ascii_letters
from typing import Any

from minigrad.dtypes import HALF, float32, float64
from minigrad.engine import describe
from minigrad.errors import DtypeError, ShapeError
from minigrad.ops.arguments import count, need_floating


def sum_over(xp: Any, a: Any, axes: tuple[int, ...]) -> Any:
    """The sum of `a` along `axes`, as float64, with these axes kept at length 1."""
    return xp.sum(a, axis=axes, keepdims=True).astype(float64)


def dot_over(xp: Any, a: Any, b: Any, axes: tuple[int, ...]) -> Any:
    """The sum of `a b` along `axes`, as float64, with these axes kept at length 1; the product is not stored."""
    if not axes:
        return (a * b).astype(float64)
    if axes[0]:  # within samples: along the last axis first
        letters = ascii_letters[: a.ndim]
        kept = letters.replace(letters[axes[-1]], "")
        partial = xp.expand_dims(xp.einsum(f"{letters},{letters}->{kept}", a, b), axes[-1])
    else:  # over the batch: whole samples are added, along memory; at most 64 of them before float64 takes over
        n, *sample = a.shape
        k = math.gcd(n, 64)
        letters, cut = ascii_letters[: a.ndim + 1], (k, n // k, *sample)
        partial = xp.einsum(f"{letters},{letters}->{letters[1:]}", a.reshape(cut), b.reshape(cut))
    return xp.sum(partial.astype(float64), axis=axes, keepdims=True)


def standardise(xp: Any, x: Any, axes: tuple[int, ...], eps: float) -> tuple[Any, Any]:
    """x' = (x - mean) r with r = 1 / sqrt(var + eps), the moments taken along `axes`; returns x' and r."""
    m = count(x.shape, axes)
    centred = x - (sum_over(xp, x, axes) / m).astype(x.dtype)
    r = (dot_over(xp, centred, centred, axes) / m + eps) ** -0.5
    return centred * r.astype(x.dtype), r


def standardise_gradient(xp: Any, g: Any, normalised: Any, r: Any, axes: tuple[int, ...]) -> Any:
    """gx = r (g - mean(g) - x' mean(g x')), with g the gradient that arrives at x'."""
    m = count(g.shape, axes)
    mean_g = (sum_over(xp, g, axes) / m).astype(g.dtype)
    mean_gx = (dot_over(xp, g, normalised, axes) / m).astype(g.dtype)
    return (g - mean_g - normalised * mean_gx) * r.astype(g.dtype)


def check_data(name: str, x: Any, smallest_ndim: int = 1) -> None:
    """Refuse data that cannot be normalised: not floating-point, or too few dimensions."""
    need_floating(name, x)
    if x.ndim < smallest_ndim:
        raise ShapeError(
            f"{name}: x must have at least {smallest_ndim} dimensions (N, C, ...), not {describe(x)}"
        )


def check_vectors(name: str, x: Any, shape: tuple[int, ...], **vectors: Any) -> None:
    """Refuse weights, biases and running statistics that do not fit the data.

    They have `shape` and the dtype of x, or float32 beside half-precision data.
    """
    for label, vector in vectors.items():
        if vector is None:
            continue
        if vector.shape != shape:
            raise ShapeError(
                f"{name}: {label} has shape {list(vector.shape)}; "
                f"for x of shape {list(x.shape)} it must be {list(shape)}"
            )
        if vector.dtype != x.dtype and not (x.dtype in HALF and vector.dtype == float32):
            raise DtypeError(
                f"{name}: {label} is {vector.dtype}, x is {x.dtype}; convert one with .to(dtype)"
            )
