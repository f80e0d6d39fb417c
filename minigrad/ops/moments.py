"""What the normalisations share: sums along axes that stay accurate in float32, standardising, checks of weight and bias.

NumPy adds up an axis that is not innermost in memory one number after the other, and 100,000 float32 numbers added so lose two of
their seven digits. Here only the first axis is summed in the type of the data; the few sums left are added in float64, and
statistics stay float64 until they meet the data again.
"""

from __future__ import annotations

from typing import Any

from minigrad.dtypes import HALF, float32, float64
from minigrad.engine import describe
from minigrad.errors import DtypeError, ShapeError
from minigrad.ops.arguments import count, need_floating


def sum_over(xp: Any, a: Any, axes: tuple[int, ...]) -> Any:
    """The sum of `a` along `axes`, in float64, with these axes kept at length 1."""
    partial = xp.sum(a, axis=axes[0], keepdims=True)
    return xp.sum(partial.astype(float64), axis=axes, keepdims=True)


def dot_over(xp: Any, a: Any, b: Any, axes: tuple[int, ...]) -> Any:
    """The sum of `a b` along `axes`, in float64, with these axes kept at length 1; the product is not stored."""
    letters = "abcdefgh"[: a.ndim]
    partial = xp.einsum(f"{letters},{letters}->{letters.replace(letters[axes[0]], '')}", a, b)
    return xp.sum(xp.expand_dims(partial, axes[0]).astype(float64), axis=axes, keepdims=True)


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
        raise ShapeError(f"{name}: x must have at least {smallest_ndim} dimensions (N, C, ...), not {describe(x)}")


def check_vectors(name: str, x: Any, shape: tuple[int, ...], **vectors: Any) -> None:
    """Refuse weights, biases and running statistics that do not fit the data.

    They have `shape` and the dtype of x, or float32 beside half-precision data.
    """
    for label, vector in vectors.items():
        if vector is None:
            continue
        if vector.shape != shape:
            raise ShapeError(
                f"{name}: {label} has shape {list(vector.shape)}; for x of shape {list(x.shape)} it must be {list(shape)}"
            )
        if vector.dtype != x.dtype and not (x.dtype in HALF and vector.dtype == float32):
            raise DtypeError(f"{name}: {label} is {vector.dtype}, x is {x.dtype}; convert one with .to(dtype)")
