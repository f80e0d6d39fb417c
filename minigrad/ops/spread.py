"""How far numbers lie from their mean, and from zero: variance, standard deviation and norms."""

from __future__ import annotations

import math
from typing import Any

from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import operation
from minigrad.ops.arguments import as_type, count, kept_shape, need_floating, reduced_dims
from minigrad.ops.reduce import mean

__all__ = ["norm", "std", "std_mean", "var", "var_mean", "vector_norm"]
METHODS = ["norm", "std", "var"]


# ---------------------------------------------------------------- variance and standard deviation


def _samples(draw: Any) -> list:
    return [
        draw.call(draw.normal(2, 3), dim=None, correction=1, keepdim=False),
        draw.call(draw.normal(2, 3, 4), dim=(0, 2), correction=0, keepdim=True),
        draw.call(draw.normal(2, 3, 4), dim=(1,), correction=1.5, keepdim=False),
    ]


def _squares(inputs: list, outputs: list, params: dict) -> float:
    return 4 * count(inputs[0])


def _deviations(xp: Any, x: Any, dim: tuple[int, ...] | None) -> Any:
    """x minus its mean over `dim`."""
    return x - xp.sum(x, axis=dim, keepdims=True) / max(count(x.shape, dim), 1)


def _freedom(shape: tuple[int, ...], dim: tuple[int, ...] | None, correction: float) -> float:
    """What the sum of squared deviations is divided by; nothing left means a division by 0, as in PyTorch."""
    return max(count(shape, dim) - correction, 0)


@operation(
    name="var",
    formula="y = 1/(n - c) sum_i (x_i - mean(x))^2",
    gradient_formula="gx_i = gy 2 (x_i - mean(x)) / (n - c)",
    source="definition; two passes: Chan, Golub & LeVeque 1983, The American Statistician 37(3), eq. 1.1",
    samples=_samples,
    flops=_squares,
)
def _var(xp, x, *, dim, correction, keepdim):
    d = _deviations(xp, x, dim)
    return xp.asarray(xp.sum(d * d, axis=dim, keepdims=keepdim)) / _freedom(x.shape, dim, correction)


@_var.gradient
def var_gradient(xp, gy, x, *, dim, correction):
    gy = gy.reshape(kept_shape(x.shape, dim)) * 2 / _freedom(x.shape, dim, correction)
    return gy * _deviations(xp, x, dim)


@operation(
    name="std",
    formula="y = sqrt(1/(n - c) sum_i (x_i - mean(x))^2)",
    gradient_formula="gx_i = gy (x_i - mean(x)) / ((n - c) y), 0 where y = 0",
    source="definition; two passes: Chan, Golub & LeVeque 1983, The American Statistician 37(3), eq. 1.1",
    samples=_samples,
    flops=_squares,
)
def _std(xp, x, *, dim, correction, keepdim):
    d = _deviations(xp, x, dim)
    return xp.sqrt(xp.asarray(xp.sum(d * d, axis=dim, keepdims=keepdim)) / _freedom(x.shape, dim, correction))


@_std.gradient
def std_gradient(xp, gy, x, y, *, dim, correction):
    kept = kept_shape(x.shape, dim)
    gy, y = gy.reshape(kept), y.reshape(kept)
    flat = y == 0
    gy = xp.where(flat, 0, gy) / xp.where(flat, 1, y) / _freedom(x.shape, dim, correction)
    return gy * _deviations(xp, x, dim)


def var(
    x: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """Variance over `dim`.

    y = 1/(n - c) sum_i (x_i - mean(x))^2

    x:          floating point, any shape.
    dim:        an integer, several, or None for all.
    unbiased:   True for c = 1, False for c = 0: the older way to say it.
    keepdim:    leave the reduced dimensions in place with length 1.
    correction: c; default 1 (Bessel's correction, which makes the estimate unbiased).

    Returns a tensor of x's shape without the dimensions `dim`. Where n <= c the division is by 0.

    >>> import minigrad as mg
    >>> mg.var(mg.tensor([1.0, 2.0, 3.0])), mg.var(mg.tensor([1.0, 3.0]), correction=0)
    (tensor(1.), tensor(1.))
    """
    dim, correction = _arguments("var", x, dim, unbiased, correction)
    return _var(x, dim=dim, correction=correction, keepdim=keepdim)


def std(
    x: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """Standard deviation over `dim`: the square root of `var`, with its arguments. The gradient is 0 where it is 0."""
    dim, correction = _arguments("std", x, dim, unbiased, correction)
    return _std(x, dim=dim, correction=correction, keepdim=keepdim)


def var_mean(
    x: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Any, Any]:
    """Variance and mean over `dim`; arguments as for `var`."""
    dim, correction = _arguments("var_mean", x, dim, unbiased, correction)
    return _var(x, dim=dim, correction=correction, keepdim=keepdim), mean(x, dim, keepdim)


def std_mean(
    x: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Any, Any]:
    """Standard deviation and mean over `dim`; arguments as for `var`."""
    dim, correction = _arguments("std_mean", x, dim, unbiased, correction)
    return _std(x, dim=dim, correction=correction, keepdim=keepdim), mean(x, dim, keepdim)


def _arguments(
    name: str, x: Any, dim: Any, unbiased: bool | None, correction: float | None
) -> tuple[Any, float]:
    """Normalised `dim` and the correction. `var(x, False)` means `unbiased`, as in PyTorch."""
    need_floating(name, x)
    if isinstance(dim, bool):
        if unbiased is not None:
            raise ArgumentError(f"{name}: dim must be an integer, several, or None, not {dim}")
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise ArgumentError(f"{name} takes unbiased or correction, not both")
    if unbiased is not None:
        correction = int(unbiased)
    return reduced_dims(name, x, dim), 1 if correction is None else correction


# ---------------------------------------------------------------- norms


@operation(
    name="norm",
    formula="y = (sum_i |x_i|^p)^(1/p); p = inf: max |x_i|; p = -inf: min |x_i|; p = 0: #{i: x_i != 0}",
    gradient_formula="gx_i = gy sign(x_i) |x_i|^(p-1) y^(1-p), 0 where y = 0; "
    "p = inf, -inf: gy sign(x_i) shared by those with |x_i| = y",
    source="Golub & Van Loan 2013, Matrix Computations, section 2.2.1",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3), p=2.0, dim=None, keepdim=False),
        draw.call(draw.apart(2, 3, kinks=[0]), p=1.0, dim=(0,), keepdim=True),
        draw.call(draw.apart(2, 3, 2, kinks=[0]), p=3.5, dim=(0, 2), keepdim=False),
        draw.call(draw.apart(2, 3, kinks=[0]), p=0.5, dim=(1,), keepdim=False),
        draw.call(draw.apart(2, 3, kinks=[0]) + 3, p=math.inf, dim=(1,), keepdim=False),
        draw.call(draw.apart(2, 3, kinks=[0]) + 3, p=-math.inf, dim=None, keepdim=True),
        draw.call(draw.normal(2, 3), p=0.0, dim=(1,), keepdim=False),
    ],
    flops=_squares,
)
def _norm(xp, x, *, p, dim, keepdim):
    size = xp.abs(x)
    if p == 0:
        return xp.sum(size != 0, axis=dim, keepdims=keepdim, dtype=x.dtype)
    if math.isinf(p):
        return (xp.max if p > 0 else xp.min)(size, axis=dim, keepdims=keepdim)
    if p == 2:
        return xp.sqrt(xp.sum(x * x, axis=dim, keepdims=keepdim))
    return xp.asarray(xp.sum(size if p == 1 else size**p, axis=dim, keepdims=keepdim)) ** (1 / p)


@_norm.gradient
def norm_gradient(xp, gy, x, y, *, p, dim):
    kept = kept_shape(x.shape, dim)
    gy, y = gy.reshape(kept), y.reshape(kept)
    if p == 0:
        return xp.zeros(x.shape, dtype=x.dtype)
    if p == 1:
        return xp.sign(x) * gy
    if math.isinf(p):
        extreme = xp.abs(x) == y
        return xp.where(
            extreme, xp.sign(x) * gy / xp.sum(extreme, axis=dim, keepdims=True, dtype=gy.dtype), 0
        )
    gy = xp.where(y == 0, 0, gy)  # y^(1-p) would be infinite
    y = xp.where(y == 0, 1, y)
    if p == 2:
        return x * (gy / y)
    size = xp.where(x == 0, 1, xp.abs(x))  # any number: sign(x) is 0 there
    return xp.sign(x) * (size / y) ** (p - 1) * gy


def vector_norm(x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Norm of the elements over `dim`, taken as one vector.

    y = (sum_i |x_i|^p)^(1/p)

    x:       floating point, any shape.
    ord:     p, any number; inf is the largest |x_i|, -inf the smallest, 0 the number of nonzero elements.
    dim:     an integer, several, or None for all.
    keepdim: leave the reduced dimensions in place with length 1.
    dtype:   x is converted to it first.

    Returns a tensor of x's shape without the dimensions `dim`.
    Gradient at the kinks: 0 where x_i = 0 (p <= 1), 0 where the norm is 0, equal parts where several |x_i| are the
    extreme one.

    >>> import minigrad as mg
    >>> mg.vector_norm(mg.tensor([3.0, -4.0])), mg.vector_norm(mg.tensor([3.0, -4.0]), ord=1)
    (tensor(5.), tensor(7.))
    """
    dim = reduced_dims("vector_norm", x, dim)
    x = as_type(x, dtype)
    need_floating("vector_norm", x)
    if isinstance(ord, bool) or not isinstance(ord, (int, float)) or math.isnan(ord):
        raise ArgumentError(f"vector_norm: ord must be a number, not {ord!r}")
    if math.isinf(ord) and count(x.shape, dim) == 0:
        raise ShapeError(
            f"vector_norm with ord={ord} of a tensor of shape {list(x.shape)}: there is no element to choose"
        )
    return _norm(x, p=float(ord), dim=dim, keepdim=keepdim)


def norm(x: Any, p: float | str = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """Norm of the elements over `dim`, taken as one vector: `vector_norm`, older name. p="fro" (Frobenius) is p=2.

    Norms of matrices as operators ("nuc", the spectral norm) need singular values and are refused.

    >>> import minigrad as mg
    >>> mg.tensor([[3.0], [-4.0]]).norm()
    tensor(5.)
    """
    if isinstance(p, str):
        if p != "fro":
            raise ArgumentError(f"norm: p must be a number or 'fro', not {p!r}")
        p = 2.0
    return vector_norm(x, 2.0 if p is None else p, dim, keepdim, dtype=dtype)
