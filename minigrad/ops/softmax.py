"""Softmax and its logarithm."""

from __future__ import annotations

from typing import Any

from minigrad.errors import ArgumentError
from minigrad.op import operation
from minigrad.ops.arguments import along_lines, as_type, count, line_dim, need_floating

__all__ = ["log_softmax", "softmax", "softmin"]
METHODS = ["log_softmax", "softmax"]

_SOURCE = "Bridle 1990; the shift by the maximum: Blanchard, Higham & Higham 2021, IMA J. Numer. Anal. 41, section 4"


def _samples(draw: Any) -> list:
    return [
        draw.call(draw.normal(4), dim=0),
        draw.call(draw.normal(2, 3, 2), dim=1),
        draw.call(draw.normal(2, 3), dim=1),
    ]


def _four_per_element(inputs: list, outputs: list, params: dict) -> float:
    return 4 * count(inputs[0])


@operation(
    name="softmax",
    formula="y_i = exp(x_i) / sum_j exp(x_j)",
    gradient_formula="gx_i = y_i (gy_i - sum_j gy_j y_j)",
    source=_SOURCE,
    samples=_samples,
    dtypes="float",
    flops=_four_per_element,
)
def _softmax(xp, x, *, dim):
    if x.size == 0:
        return xp.zeros(x.shape, dtype=x.dtype)
    y = x - xp.max(x, axis=dim, keepdims=True)
    xp.exp(y, out=y)
    y /= xp.sum(y, axis=dim, keepdims=True)
    return y


@_softmax.gradient
def softmax_gradient(xp, gy, y, *, dim):
    return y * (gy - xp.sum(gy * y, axis=dim, keepdims=True))


@operation(
    name="log_softmax",
    formula="y_i = x_i - log sum_j exp(x_j)",
    gradient_formula="gx_i = gy_i - exp(y_i) sum_j gy_j",
    source=_SOURCE,
    samples=_samples,
    dtypes="float",
    flops=_four_per_element,
)
def _log_softmax(xp, x, *, dim):
    if x.size == 0:
        return xp.zeros(x.shape, dtype=x.dtype)
    y = x - xp.max(x, axis=dim, keepdims=True)
    y -= xp.log(xp.sum(xp.exp(y), axis=dim, keepdims=True))
    return y


@_log_softmax.gradient
def log_softmax_gradient(xp, gy, y, *, dim):
    return gy - xp.exp(y) * xp.sum(gy, axis=dim, keepdims=True)


def softmax(x: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """Exponentials along `dim`, scaled to sum to 1: scores become probabilities.

    y_i = exp(x_i) / sum_j exp(x_j)

    x:     floating point, any shape.
    dim:   the dimension along which the results sum to 1; must be given.
    dtype: x is converted to it first.

    Returns a tensor of x's shape. Large x do not overflow, as the maximum is subtracted first; a line of nothing but
    -inf, or with +inf or NaN, gives NaN. Gradient: gx_i = y_i (gy_i - sum_j gy_j y_j); y is kept for it.
    Raises DtypeError for integers without `dtype`, ArgumentError for a missing or wrong `dim`.
    Source: Bridle 1990, "Probabilistic interpretation of feedforward classification network outputs".

    >>> import minigrad as mg
    >>> mg.softmax(mg.tensor([0.0, 0.0, 1000.0]), dim=0)
    tensor([0., 0., 1.])
    """
    return _along("softmax", _softmax, x, dim, dtype)


def log_softmax(x: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """Logarithm of `softmax`, accurate where softmax itself is nearly 0.

    y_i = x_i - log sum_j exp(x_j)

    Arguments, result and errors as for `softmax`. Gradient: gx_i = gy_i - exp(y_i) sum_j gy_j; y is kept for it.

    >>> import minigrad as mg
    >>> mg.log_softmax(mg.tensor([0.0, 1000.0]), dim=0)
    tensor([-1000.,     0.])
    """
    return _along("log_softmax", _log_softmax, x, dim, dtype)


def softmin(x: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """`softmax(-x)`: the smallest element gets the largest share."""
    need_floating("softmin", x := as_type(x, dtype))
    return softmax(-x, dim)


def _along(name: str, op: Any, x: Any, dim: int | None, dtype: Any) -> Any:
    if dim is None:
        raise ArgumentError(
            f"{name} needs dim, the dimension along which the results sum to 1; for classes that are last, dim=-1"
        )
    dim = line_dim(name, x, dim)
    x = as_type(x, dtype)
    need_floating(name, x)
    return along_lines(op, x, dim=dim)
