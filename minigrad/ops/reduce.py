"""Reductions: one number out of many, along some dimensions or all.

`dim` is an integer, several, or None for all dimensions; `keepdim` leaves the reduced ones in place with length 1.
Largest and smallest elements are in `extremes.py`, variances and norms in `spread.py`.
"""

from __future__ import annotations

from typing import Any

from minigrad import dtypes
from minigrad.errors import ArgumentError
from minigrad.op import operation
from minigrad.ops.arguments import (
    along_lines,
    as_type,
    count,
    kept_shape,
    line_dim,
    need_floating,
    need_tensor,
    reduced_dims,
)
from minigrad.ops.scan import delayed

__all__ = ["all", "any", "count_nonzero", "logsumexp", "mean", "nanmean", "nansum", "prod", "sum"]
METHODS = ["all", "any", "count_nonzero", "logsumexp", "mean", "nanmean", "nansum", "prod", "sum"]


def _samples(draw: Any) -> list:
    return [
        draw.call(draw.normal(2, 3), dim=None, keepdim=False),
        draw.call(draw.normal(2, 3, 4), dim=(0, 2), keepdim=True),
        draw.call(draw.normal(2, 3, 4), dim=(1,), keepdim=False),
    ]


def _one_per_input(inputs: list, outputs: list, params: dict) -> float:
    return count(inputs[0])


def _accumulator(x: Any) -> Any:
    """The dtype in which to add or multiply: integers and bools become int64, as in PyTorch."""
    return x.dtype if x.dtype in dtypes.FLOATING else dtypes.int64


@operation(
    name="sum",
    formula="y = sum_i x_i",
    gradient_formula="gx_i = gy",
    source="elementary calculus",
    samples=_samples,
    flops=_one_per_input,
)
def _sum(xp, x, *, dim, keepdim):
    return xp.sum(x, axis=dim, keepdims=keepdim, dtype=_accumulator(x))


@_sum.gradient
def sum_gradient(xp, gy, x_shape, *, dim):
    return xp.broadcast_to(gy.reshape(kept_shape(x_shape, dim)), x_shape)


def sum(x: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Sum of the elements over `dim`.

    y = sum_i x_i

    x:       any shape and dtype.
    dim:     an integer, several, or None for all.
    keepdim: leave the reduced dimensions in place with length 1.
    dtype:   of the result; x is converted to it first. Default: that of x, int64 for integers and bools.

    Returns a tensor of x's shape without the dimensions `dim`. The sum over none is 0.
    Gradient: gx_i = gy. Float32 sums are added in stages, so that their error hardly grows with their length.

    >>> import minigrad as mg
    >>> mg.sum(mg.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
    tensor([4., 6.])
    >>> (mg.tensor([1, 2, 3]) > 1).sum()
    tensor(2)
    """
    dim = reduced_dims("sum", x, dim)
    return as_type(_sum(as_type(x, dtype), dim=dim, keepdim=keepdim), dtype)


@operation(
    name="mean",
    formula="y = 1/n sum_i x_i",
    gradient_formula="gx_i = gy / n",
    source="elementary calculus",
    samples=_samples,
    flops=_one_per_input,
)
def _mean(xp, x, *, dim, keepdim):
    total = xp.sum(x, axis=dim, keepdims=keepdim)
    return xp.asarray(total) / count(x.shape, dim)


@_mean.gradient
def mean_gradient(xp, gy, x_shape, *, dim):
    gy = gy.reshape(kept_shape(x_shape, dim)) / max(
        count(x_shape, dim), 1
    )  # of none, there is no gx to give it to
    return xp.broadcast_to(gy, x_shape)


def mean(x: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Arithmetic mean of the elements over `dim`.

    y = 1/n sum_i x_i

    x:       floating point, any shape; integers with `dtype=` only.
    dim:     an integer, several, or None for all.
    keepdim: leave the reduced dimensions in place with length 1.
    dtype:   x is converted to it first.

    Returns a tensor of x's shape without the dimensions `dim`. The mean of none is NaN. Gradient: gx_i = gy / n.

    >>> import minigrad as mg
    >>> mg.mean(mg.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=1, keepdim=True)
    tensor([[1.5],
            [3.5]])
    """
    dim = reduced_dims("mean", x, dim)
    x = as_type(x, dtype)
    need_floating("mean", x)
    return _mean(x, dim=dim, keepdim=keepdim)


@operation(
    name="nansum",
    formula="y = sum_i x_i over the x_i that are not NaN",
    gradient_formula="gx_i = gy [x_i is not NaN]",
    source="elementary calculus",
    samples=_samples,
    flops=_one_per_input,
)
def _nansum(xp, x, *, dim, keepdim):
    return xp.sum(xp.where(xp.isnan(x), 0, x), axis=dim, keepdims=keepdim, dtype=_accumulator(x))


@_nansum.gradient
def nansum_gradient(xp, gy, x, *, dim):
    return xp.where(xp.isnan(x), 0, gy.reshape(kept_shape(x.shape, dim)))


def nansum(x: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Sum over `dim` of the elements that are not NaN; otherwise as `sum`. NaNs receive no gradient."""
    dim = reduced_dims("nansum", x, dim)
    return as_type(_nansum(as_type(x, dtype), dim=dim, keepdim=keepdim), dtype)


def nanmean(x: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Mean over `dim` of the elements that are not NaN; otherwise as `mean`. NaNs receive no gradient."""
    dim = reduced_dims("nanmean", x, dim)
    x = as_type(x, dtype)
    need_floating("nanmean", x)
    numbers = _sum(x == x, dim=dim, keepdim=keepdim)  # NaN differs from itself
    return _nansum(x, dim=dim, keepdim=keepdim) / numbers


@operation(
    name="prod",
    formula="y = prod_i x_i",
    gradient_formula="gx_i = gy prod_{j != i} x_j",
    source="elementary calculus",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3), dim=None, keepdim=False),
        draw.call(draw.normal(2, 3, 2), dim=1, keepdim=True),
        draw.call(draw.normal(3, 2) * [[1, 0], [1, 1], [1, 0]], dim=0, keepdim=False),
    ],
    flops=_one_per_input,
)
def _prod(xp, x, *, dim, keepdim):
    return xp.prod(x, axis=dim, keepdims=keepdim, dtype=_accumulator(x))


@_prod.gradient
def prod_gradient(xp, gy, x, *, dim):
    lines, axis = (x.reshape((-1,)), 0) if dim is None else (x, dim)
    # y / x_i would be wrong where x_i = 0: multiply what stands before x_i with what stands after it
    before = xp.cumprod(delayed(xp, lines, axis, 1), axis=axis)
    after = xp.flip(xp.cumprod(delayed(xp, xp.flip(lines, axis), axis, 1), axis=axis), axis)
    gy = gy.reshape(kept_shape(lines.shape, (axis,)))
    return (gy * before * after).reshape(x.shape)


def prod(x: Any, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Product of the elements along `dim`, or of all.

    y = prod_i x_i

    x:       any shape and dtype.
    dim:     an integer, or None for all.
    keepdim: leave the reduced dimension in place with length 1.
    dtype:   of the result; x is converted to it first. Default: that of x, int64 for integers and bools.

    Returns a tensor of x's shape without the dimension `dim`. The product of none is 1.
    Gradient: the product of all the others, also where some elements are 0.

    >>> import minigrad as mg
    >>> x = mg.tensor([2.0, 0.0, 3.0], requires_grad=True)
    >>> mg.prod(x).backward()
    >>> x.grad
    tensor([0., 6., 0.])
    """
    need_tensor("prod", x)
    x = as_type(x, dtype)
    if dim is None:
        return as_type(_prod(x, dim=None, keepdim=keepdim), dtype)
    return as_type(along_lines(_prod, x, dim=line_dim("prod", x, dim), keepdim=keepdim), dtype)


@operation(
    name="logsumexp",
    formula="y = log sum_i exp(x_i)",
    gradient_formula="gx_i = gy exp(x_i - y)",
    source="elementary calculus; the shift by the maximum: Blanchard, Higham & Higham 2021, IMA J. Numer. Anal. 41",
    samples=_samples,
    dtypes="float",
    flops=lambda inputs, outputs, params: 4 * count(inputs[0]),
)
def _logsumexp(xp, x, *, dim, keepdim):
    if x.size == 0:
        return xp.log(xp.sum(x, axis=dim, keepdims=keepdim))  # log 0
    largest = xp.max(x, axis=dim, keepdims=True)
    largest = xp.where(xp.isfinite(largest), largest, 0)  # infinity - infinity is not a number
    y = xp.log(xp.sum(xp.exp(x - largest), axis=dim, keepdims=True)) + largest
    return y if keepdim else xp.squeeze(y, axis=dim)


@_logsumexp.gradient
def logsumexp_gradient(xp, gy, x, y, *, dim):
    kept = kept_shape(x.shape, dim)
    return gy.reshape(kept) * xp.exp(x - y.reshape(kept))


def logsumexp(x: Any, dim: Any, keepdim: bool = False) -> Any:
    """Logarithm of the sum of exponentials over `dim`, without overflow.

    y = log sum_i exp(x_i)

    x:       any shape; integers become float32.
    dim:     an integer or several; () for all.
    keepdim: leave the reduced dimensions in place with length 1.

    Returns a tensor of x's shape without the dimensions `dim`. Over none, or over nothing but -inf, it is -inf.
    Gradient: gx = gy softmax(x); NaN where y is infinite.

    >>> import minigrad as mg
    >>> mg.logsumexp(mg.tensor([1000.0, 1000.0]), dim=0)
    tensor(1000.6932)
    """
    if dim is None:
        raise ArgumentError("logsumexp needs dim: an integer or several; dim=() for all dimensions")
    return _logsumexp(x, dim=reduced_dims("logsumexp", x, dim), keepdim=keepdim)


def _truth_samples(draw: Any) -> list:
    return [
        draw.call(draw.mask(2, 3), dim=None, keepdim=False),
        draw.call(draw.normal(2, 3, 4) * draw.mask(2, 3, 4), dim=(0, 2), keepdim=True),
        draw.call(draw.integers(0, 2, 2, 3), dim=(1,), keepdim=False),
    ]


def _truth(xp: Any, y: Any, x: Any) -> Any:
    """PyTorch's type of a truth value: bool, but uint8 for uint8, its bool of old."""
    return xp.asarray(y).astype(dtypes.uint8) if x.dtype == dtypes.uint8 else y


@operation(name="any", formula="y = or_i (x_i != 0)", source="definition", samples=_truth_samples, flops=0)
def _any(xp, x, *, dim, keepdim):
    return _truth(xp, xp.any(x, axis=dim, keepdims=keepdim), x)


def any(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether any element over `dim` is nonzero (NaN is): bool, or uint8 for uint8. Of none: False. No gradient."""
    return _any(x, dim=reduced_dims("any", x, dim), keepdim=keepdim)


@operation(name="all", formula="y = and_i (x_i != 0)", source="definition", samples=_truth_samples, flops=0)
def _all(xp, x, *, dim, keepdim):
    return _truth(xp, xp.all(x, axis=dim, keepdims=keepdim), x)


def all(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether all elements over `dim` are nonzero (NaN is): bool, or uint8 for uint8. Of none: True. No gradient."""
    return _all(x, dim=reduced_dims("all", x, dim), keepdim=keepdim)


@operation(
    name="count_nonzero",
    formula="y = sum_i [x_i != 0]",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.mask(2, 3), dim=None),
        draw.call(draw.normal(2, 3, 4) * draw.mask(2, 3, 4), dim=(0, 2)),
    ],
    flops=_one_per_input,
)
def _count_nonzero(xp, x, *, dim):
    return xp.sum(x != 0, axis=dim, dtype=dtypes.int64)


def count_nonzero(x: Any, dim: Any = None) -> Any:
    """How many elements over `dim` are nonzero (NaN is), as int64. Not differentiable.

    >>> import minigrad as mg
    >>> mg.count_nonzero(mg.tensor([[0, 1], [2, 3]]), dim=0)
    tensor([1, 2])
    """
    return _count_nonzero(x, dim=reduced_dims("count_nonzero", x, dim))
