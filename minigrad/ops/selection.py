"""Choosing between numbers, element by element: where, maximum, clamp, masked_fill.

The gradient goes to the one that was chosen.
"""

from __future__ import annotations

from typing import Any

from minigrad import dtypes
from minigrad.engine import describe
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.op import operation
from minigrad.ops.elementwise import is_floating

__all__ = ["clamp", "clip", "fmax", "fmin", "masked_fill", "maximum", "minimum", "where"]
METHODS = ["clamp", "clip", "fmax", "fmin", "masked_fill", "maximum", "minimum"]


@operation(
    name="where",
    formula="y = a where condition holds, else b",
    gradient_formula="ga = gy [condition], gb = gy [not condition]",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.mask(2, 3), draw.normal(2, 3), draw.normal(2, 3)),
        draw.call(draw.mask(2, 1), draw.normal(3), draw.normal(4, 1, 1)),
        draw.call(draw.mask(4), draw.normal(4), 0.5),
        draw.call(draw.mask(4), -0.5, draw.normal(4)),
    ],
    dtypes="promote",
    promoted=("a", "b"),
    broadcast=True,
    flops=0,
)
def _where(xp, condition, a, b):
    return xp.where(condition, a, b)


@_where.gradient
def where_gradient(xp, gy, condition, needs):
    ga = xp.where(condition, gy, 0) if needs[1] else None
    gb = xp.where(condition, 0, gy) if needs[2] else None
    return None, ga, gb


def where(condition: Any, x: Any = None, other: Any = None) -> Any:
    """The elements of x where the condition holds, of `other` elsewhere: y = condition ? x : other.

    condition: bool tensor.
    x, other:  tensors or numbers; all three broadcast.

    Gradient: gx = gy where the condition holds, else 0; for `other` the reverse. What was not chosen gets 0, which an
    infinite factor further back turns into NaN: instead of where(x > 0, x.sqrt(), 0), root where(x > 0, x, 1).

    >>> import minigrad as mg
    >>> x = mg.tensor([-1.0, 2.0])
    >>> mg.where(x > 0, x, 0.0)
    tensor([0., 2.])
    """
    if x is None or other is None:
        raise ArgumentError("where needs a value for either case: where(condition, x, other)")
    _need_mask("where", "condition", condition)
    return _where(condition, x, other)


def _need_mask(name: str, argument: str, mask: Any) -> None:
    if not isinstance(mask, bool) and getattr(mask, "dtype", None) != dtypes.bool_:
        given = describe(mask) if hasattr(mask, "dtype") else type(mask).__name__
        raise DtypeError(f"{name}: {argument} must be a bool tensor, such as x > 0; given {given}")


def _apart_pairs(draw: Any) -> list:
    values = draw.apart(2, 2, 3)
    return [
        draw.call(values[0], values[1]),
        draw.call(values[0, :, None], values[1, 0]),
        draw.call(values[0], 0.02),
    ]


_EXTREME = {"source": "definition", "samples": _apart_pairs, "dtypes": "promote", "broadcast": True}


@operation(
    formula="y = max(a, b)",
    gradient_formula="ga = gy [a > b], gb = gy [b > a], half each where a = b",
    **_EXTREME,
)
def maximum(xp, a, b):
    """The larger of two, elementwise and broadcast; NaN if either is. Equals get half the gradient each."""
    return xp.maximum(a, b)


@maximum.gradient
def maximum_gradient(xp, gy, a, b, needs):
    ga = xp.where(a == b, gy / 2, xp.where(a < b, 0, gy)) if needs[0] else None
    gb = xp.where(a == b, gy / 2, xp.where(b < a, 0, gy)) if needs[1] else None
    return ga, gb


@operation(
    formula="y = min(a, b)",
    gradient_formula="ga = gy [a < b], gb = gy [b < a], half each where a = b",
    **_EXTREME,
)
def minimum(xp, a, b):
    """The smaller of two, elementwise and broadcast; NaN if either is. Equals get half the gradient each."""
    return xp.minimum(a, b)


@minimum.gradient
def minimum_gradient(xp, gy, a, b, needs):
    ga = xp.where(a == b, gy / 2, xp.where(a > b, 0, gy)) if needs[0] else None
    gb = xp.where(a == b, gy / 2, xp.where(b > a, 0, gy)) if needs[1] else None
    return ga, gb


@operation(
    formula="y = max(a, b) of what is not NaN",
    gradient_formula="ga = gy [a >= b], gb = gy [b > a]",
    **_EXTREME,
)
def fmax(xp, a, b):
    """The larger of two, elementwise and broadcast; if one is NaN, the other. Among equals, a gets the gradient."""
    return xp.fmax(a, b)


@fmax.gradient
def fmax_gradient(xp, gy, a, b):
    first = (a >= b) | xp.isnan(b)
    return xp.where(first, gy, 0), xp.where(first, 0, gy)


@operation(
    formula="y = min(a, b) of what is not NaN",
    gradient_formula="ga = gy [a <= b], gb = gy [b < a]",
    **_EXTREME,
)
def fmin(xp, a, b):
    """The smaller of two, elementwise and broadcast; if one is NaN, the other. Among equals, a gets the gradient."""
    return xp.fmin(a, b)


@fmin.gradient
def fmin_gradient(xp, gy, a, b):
    first = (a <= b) | xp.isnan(b)
    return xp.where(first, gy, 0), xp.where(first, 0, gy)


@operation(
    name="clamp",
    formula="y = min(max(x, low), high)",
    gradient_formula="gx = gy [low <= x <= high], glow = gy [x < low < high], ghigh = gy [x > high or low > high]",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.apart(2, 3, kinks=[-0.1, 0.1]), -0.1, 0.1),
        draw.call(draw.apart(2, 3, kinks=[0.1]), 0.1, None),
        draw.call(draw.apart(2, 3, kinks=[0.1]), None, 0.1),
        draw.call(draw.apart(4, 3), draw.uniform(-0.31, -0.29, 4, 1), draw.uniform(0.29, 0.31, 3)),
    ],
    dtypes="promote",
    broadcast=True,
    flops=2,
)
def _clamp(xp, x, low, high):
    return xp.clip(x, low, high)


@_clamp.gradient
def clamp_gradient(xp, gy, x, low, high, needs):
    gx = glow = ghigh = None
    if needs[0]:
        gx = xp.where((low is None or x >= low) & (high is None or x <= high), gy, 0)
    if needs[1]:
        glow = xp.where((x < low) & (high is None or low < high), gy, 0)
    if needs[2]:
        ghigh = xp.where((x > high) | (low is not None and high < low), gy, 0)
    return gx, glow, ghigh


def clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    """The elements limited to [min, max]: y = min(max(x, min), max).

    min, max: numbers, or tensors that broadcast with x, or None for no limit (not both). Where min > max, y is max.

    Gradient: gx = gy where min <= x <= max, the limits included, else 0. A tensor as limit gets gy where it was chosen.

    >>> import minigrad as mg
    >>> mg.clamp(mg.tensor([-2.0, 0.5, 2.0]), -1, 1)
    tensor([-1. ,  0.5,  1. ])
    """
    if min is None and max is None:
        raise ArgumentError("clamp needs at least one limit: clamp(x, min, max)")
    return _clamp(x, min, max)


clip = clamp


@operation(
    name="masked_fill",
    formula="y = value where mask holds, else x",
    gradient_formula="gx = gy [not mask], gvalue = sum of gy [mask]",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3), draw.mask(2, 3), -1.5),
        draw.call(draw.normal(4, 2, 3), draw.mask(2, 1), draw.normal()),
    ],
    dtypes="promote",
    promoted=("x",),
    broadcast=True,
    flops=0,
)
def _masked_fill(xp, x, mask, value):
    return xp.where(mask, xp.asarray(value, dtype=x.dtype), x)


@_masked_fill.gradient
def masked_fill_gradient(xp, gy, mask, needs):
    gx = xp.where(mask, 0, gy) if needs[0] else None
    gvalue = xp.where(mask, gy, 0) if needs[2] else None
    return gx, None, gvalue


def masked_fill(x: Any, mask: Any, value: Any) -> Any:
    """The tensor with `value` in the places that the mask names; its dtype stays.

    mask:  bool tensor that broadcasts with x.
    value: a number or a 0-dimensional tensor.

    Gradient: gx = gy where the mask is False, else 0; a tensor `value` gets the sum of gy where the mask is True.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0, 3.0])
    >>> x.masked_fill(x > 1.5, 0.0)
    tensor([1., 0., 0.])
    """
    _need_mask("masked_fill", "mask", mask)
    if getattr(value, "ndim", 0):
        raise ShapeError(
            f"masked_fill: value must be a number or a 0-dimensional tensor, not {describe(value)}"
        )
    if is_floating(value) and not is_floating(x):
        raise DtypeError(
            f"masked_fill: a {describe(x)} tensor cannot hold the value {value}; convert it with x.float()"
        )
    return _masked_fill(x, mask, value)
