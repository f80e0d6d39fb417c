"""Scans: running sums, products and extremes along one dimension, and the linear recurrence behind their gradients.

All but sum and product are computed by doubling: after step s each element has absorbed the 2^s before it, so a line
of n elements takes log2(n) whole-array steps on any device.
Source: Hillis & Steele 1986, "Data parallel algorithms", Communications of the ACM 29(12).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from minigrad import dtypes
from minigrad.op import operation
from minigrad.ops.arguments import along_lines, as_type, count, line_dim

__all__ = ["cummax", "cummin", "cumprod", "cumsum", "logcumsumexp"]
METHODS = ["cummax", "cummin", "cumprod", "cumsum", "logcumsumexp"]


class ValuesAndIndices(NamedTuple):
    """What an operation returns that picks elements: the elements, and where along `dim` they stood."""

    values: Any
    indices: Any


def along(dim: int, start: int | None, stop: int | None) -> tuple[slice, ...]:
    """The index that takes start:stop along dimension `dim` and everything along the others."""
    return (slice(None),) * dim + (slice(start, stop),)


def delayed(xp: Any, x: Any, dim: int, first: int) -> Any:
    """x moved one place towards the end of `dim`, `first` (0 or 1) in front: y_0 = first, y_i = x_{i-1}."""
    front = x[along(dim, 0, 1)]
    front = xp.ones_like(front) if first else xp.zeros_like(front)
    return xp.concatenate([front, x[along(dim, None, -1)]], axis=dim)


def _doubling(xp: Any, parts: tuple, dim: int, join: Callable[[tuple, tuple], tuple]) -> tuple:
    """The running result of the associative `join(earlier, later)` over arrays that belong together."""
    parts = tuple(map(xp.array, parts))  # copies, to be overwritten
    step = 1
    while step < parts[0].shape[dim]:
        later, earlier = along(dim, step, None), along(dim, None, -step)
        joined = join(tuple(p[earlier] for p in parts), tuple(p[later] for p in parts))
        for part, new in zip(parts, joined, strict=True):
            part[later] = new
        step *= 2
    return parts


def _steps(inputs: list, outputs: list, params: dict) -> float:
    return count(inputs[0])


def _doubling_steps(inputs: list, outputs: list, params: dict) -> float:
    length = inputs[0][params["dim"]]
    return count(inputs[0]) * max(length - 1, 0).bit_length()


@operation(
    formula="y_i = a_i y_{i-1} + b_i",
    gradient_formula="gb_i = gy_i + a_{i+1} gb_{i+1}, ga_i = gb_i y_{i-1}",
    source="Blelloch 1990, Prefix sums and their applications, section 1.4",
    samples=lambda draw: [
        draw.call(draw.normal(5), draw.normal(5), dim=0),
        draw.call(draw.normal(2, 3, 2), draw.normal(2, 3, 2), dim=1),
        draw.call(draw.normal(2, 1), draw.normal(2, 1), dim=1),
    ],
    flops=lambda inputs, outputs, params: 3 * _doubling_steps(inputs, outputs, params),
)
def linear_scan(xp, a, b, *, dim):
    """The first-order linear recurrence y_i = a_i y_{i-1} + b_i along `dim`, from y_{-1} = 0."""

    def join(earlier: tuple, later: tuple) -> tuple:  # two steps in a row are one step
        return later[0] * earlier[0], later[0] * earlier[1] + later[1]

    return _doubling(xp, (a, b), dim, join)[1]


@linear_scan.gradient
def linear_scan_gradient(xp, gy, a, y, *, dim):
    # The same recurrence, run from the end, its factors one place late
    gb = xp.flip(xp.linear_scan(delayed(xp, xp.flip(a, dim), dim, 0), xp.flip(gy, dim), dim=dim), dim)
    return gb * delayed(xp, y, dim, 0), gb


@operation(
    name="cumsum",
    formula="y_i = sum_{j <= i} x_j",
    gradient_formula="gx_i = sum_{k >= i} gy_k",
    source="elementary calculus",
    samples=lambda draw: [draw.call(draw.normal(4), dim=0), draw.call(draw.normal(2, 3, 2), dim=1)],
    flops=_steps,
)
def _cumsum(xp, x, *, dim):
    return xp.cumsum(x, axis=dim, dtype=x.dtype if x.dtype in dtypes.FLOATING else dtypes.int64)


@_cumsum.gradient
def cumsum_gradient(xp, gy, *, dim):
    return xp.flip(xp.cumsum(xp.flip(gy, dim), axis=dim), dim)


def cumsum(x: Any, dim: int, *, dtype: Any = None) -> Any:
    """Running sum along `dim`: y_i = sum_{j <= i} x_j.

    x: any shape and dtype; `dtype`, if given, is that of the result, to which x is converted first. Returns a tensor
    of x's shape, by default int64 for integers and bools. Gradient: the running sum of gy from the end.

    >>> import minigrad as mg
    >>> mg.cumsum(mg.tensor([1, 2, 3]), dim=0)
    tensor([1, 3, 6])
    """
    dim = line_dim("cumsum", x, dim)
    return as_type(along_lines(_cumsum, as_type(x, dtype), dim=dim), dtype)


@operation(
    name="cumprod",
    formula="y_i = prod_{j <= i} x_j",
    gradient_formula="gx_i = y_{i-1} s_i with s_i = gy_i + x_{i+1} s_{i+1}",
    source="elementary calculus",
    samples=lambda draw: [
        draw.call(draw.normal(4), dim=0),
        draw.call(draw.normal(2, 4, 2) * [[[1], [0], [1], [0]], [[1], [1], [0], [1]]], dim=1),
    ],
    flops=_steps,
)
def _cumprod(xp, x, *, dim):
    return xp.cumprod(x, axis=dim, dtype=x.dtype if x.dtype in dtypes.FLOATING else dtypes.int64)


@_cumprod.gradient
def cumprod_gradient(xp, gy, x, y, *, dim):
    # gx_i = sum_{k >= i} gy_k prod_{j <= k, j != i} x_j, without a division: right where some x are 0
    s = xp.flip(xp.linear_scan(delayed(xp, xp.flip(x, dim), dim, 0), xp.flip(gy, dim), dim=dim), dim)
    return s * delayed(xp, y, dim, 1)


def cumprod(x: Any, dim: int, *, dtype: Any = None) -> Any:
    """Running product along `dim`: y_i = prod_{j <= i} x_j.

    x: any shape and dtype; `dtype`, if given, is that of the result, to which x is converted first. Returns a tensor
    of x's shape, by default int64 for integers and bools. The gradient is right where some elements are 0 too.

    >>> import minigrad as mg
    >>> mg.cumprod(mg.tensor([1, 2, 3]), dim=0)
    tensor([1, 2, 6])
    """
    dim = line_dim("cumprod", x, dim)
    return as_type(along_lines(_cumprod, as_type(x, dtype), dim=dim), dtype)


@operation(
    name="logcumsumexp",
    formula="y_i = log sum_{j <= i} exp(x_j)",
    gradient_formula="gx_i = exp(x_i - y_i) s_i with s_i = gy_i + exp(y_i - y_{i+1}) s_{i+1}",
    source="elementary calculus",
    samples=lambda draw: [draw.call(draw.normal(4), dim=0), draw.call(draw.normal(2, 3, 2), dim=1)],
    dtypes="float",
    flops=lambda inputs, outputs, params: 4 * _doubling_steps(inputs, outputs, params),
)
def _logcumsumexp(xp, x, *, dim):
    return _doubling(xp, (x,), dim, lambda earlier, later: (xp.logaddexp(earlier[0], later[0]),))[0]


@_logcumsumexp.gradient
def logcumsumexp_gradient(xp, gy, x, y, *, dim):
    # Every exponent is <= 0, so nothing overflows. Where y = -inf nothing has been added yet, and nothing flows back
    nothing = y == -math.inf
    y = xp.where(nothing, 0, y)
    before = xp.where(delayed(xp, nothing, dim, 1), -math.inf, delayed(xp, y, dim, 0))
    decay = xp.where(nothing, 0, xp.exp(before - y))  # exp(y_{i-1} - y_i)
    s = xp.flip(xp.linear_scan(delayed(xp, xp.flip(decay, dim), dim, 0), xp.flip(gy, dim), dim=dim), dim)
    return xp.exp(x - y) * s


def logcumsumexp(x: Any, dim: int) -> Any:
    """Running logarithm of the sum of exponentials along `dim`, without overflow: y_i = log sum_{j <= i} exp(x_j).

    x: any shape; integers become float32. Returns a tensor of x's shape.

    >>> import minigrad as mg
    >>> mg.logcumsumexp(mg.tensor([1000.0, 1000.0]), dim=0)
    tensor([1000.    , 1000.6932])
    """
    return along_lines(_logcumsumexp, x, dim=line_dim("logcumsumexp", x, dim))


def _running_extreme(xp: Any, x: Any, dim: int, holds: Callable[[Any, Any], Any]) -> tuple:
    """Running values and their indices; `holds(later, earlier)` says where a later element takes over."""
    places = xp.arange(x.shape[dim]).reshape((-1,) + (1,) * (x.ndim - 1 - dim))

    def join(earlier: tuple, later: tuple) -> tuple:
        new = holds(later[0], earlier[0]) | xp.isnan(later[0])  # once NaN, always NaN
        return tuple(xp.where(new, b, a) for a, b in zip(earlier, later, strict=True))

    return _doubling(xp, (x, xp.broadcast_to(places, x.shape)), dim, join)


def _extreme_samples(draw: Any) -> list:
    return [draw.call(draw.apart(5), dim=0), draw.call(draw.apart(2, 4, 2), dim=1)]


@operation(
    name="cummax",
    formula="y_i = max_{j <= i} x_j, k_i = the last such j",
    gradient_formula="gx_j = sum_{i: k_i = j} gy_i",
    source="elementary calculus",
    samples=_extreme_samples,
    outputs=("values", "indices"),
    flops=_doubling_steps,
)
def _cummax(xp, x, *, dim):
    return _running_extreme(xp, x, dim, lambda later, earlier: later >= earlier)


@_cummax.gradient
def cummax_gradient(xp, gy, x_shape, indices, *, dim):
    return xp.scatter_add(xp.zeros(x_shape, dtype=gy[0].dtype), indices, gy[0], dim=dim)


def cummax(x: Any, dim: int) -> ValuesAndIndices:
    """Running maximum along `dim`, and where it stood. NaN beats every number.

    Returns (values, indices), tensors of x's shape, the indices int64: the latest of equal ones, where the gradient
    goes.

    >>> import minigrad as mg
    >>> mg.cummax(mg.tensor([1.0, 3.0, 2.0]), dim=0).values
    tensor([1., 3., 3.])
    """
    return ValuesAndIndices(*along_lines(_cummax, x, dim=line_dim("cummax", x, dim)))


@operation(
    name="cummin",
    formula="y_i = min_{j <= i} x_j, k_i = the last such j",
    gradient_formula="gx_j = sum_{i: k_i = j} gy_i",
    source="elementary calculus",
    samples=_extreme_samples,
    outputs=("values", "indices"),
    flops=_doubling_steps,
)
def _cummin(xp, x, *, dim):
    return _running_extreme(xp, x, dim, lambda later, earlier: later <= earlier)


@_cummin.gradient
def cummin_gradient(xp, gy, x_shape, indices, *, dim):
    return xp.scatter_add(xp.zeros(x_shape, dtype=gy[0].dtype), indices, gy[0], dim=dim)


def cummin(x: Any, dim: int) -> ValuesAndIndices:
    """Running minimum along `dim`, and where it stood; as `cummax`."""
    return ValuesAndIndices(*along_lines(_cummin, x, dim=line_dim("cummin", x, dim)))
