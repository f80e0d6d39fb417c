"""Rounding, and division with a rest.

Rounding is constant between its jumps, so its gradient is 0; integers are left as they are.
"""

from __future__ import annotations

from typing import Any

from minigrad.engine import describe
from minigrad.errors import ArgumentError, DtypeError
from minigrad.op import operation
from minigrad.ops.elementwise import CALCULUS, is_floating, need_numbers

__all__ = ["ceil", "floor", "floor_divide", "fmod", "frac", "remainder", "round", "trunc"]
METHODS = ["ceil", "floor", "floor_divide", "fmod", "frac", "remainder", "round", "trunc"]

_NO_SLOPE = {"gradient_formula": "gx = 0", "source": "definition", "dtypes": "promote"}


def _between_integers(draw: Any) -> list:
    return [draw.call(draw.integers(-3, 3, 2, 3) + draw.uniform(0.1, 0.4, 2, 3))]


@operation(formula="y = the largest integer <= x", samples=_between_integers, **_NO_SLOPE)
def floor(xp, x):
    """Rounded down: the largest integer not above x, in the dtype of x. The gradient is 0."""
    return xp.floor(x) if is_floating(x) else xp.array(x)


@floor.gradient
def floor_gradient(xp, gy):
    return xp.zeros_like(gy)


@operation(formula="y = the smallest integer >= x", samples=_between_integers, **_NO_SLOPE)
def ceil(xp, x):
    """Rounded up: the smallest integer not below x, in the dtype of x. The gradient is 0."""
    return xp.ceil(x) if is_floating(x) else xp.array(x)


@ceil.gradient
def ceil_gradient(xp, gy):
    return xp.zeros_like(gy)


@operation(formula="y = x without its fraction", samples=_between_integers, **_NO_SLOPE)
def trunc(xp, x):
    """Rounded towards zero, in the dtype of x. The gradient is 0."""
    return xp.trunc(x) if is_floating(x) else xp.array(x)


@trunc.gradient
def trunc_gradient(xp, gy):
    return xp.zeros_like(gy)


@operation(
    formula="y = x - trunc(x)",
    gradient_formula="gx = gy",
    source="definition",
    samples=_between_integers,
    dtypes="float",
)
def frac(xp, x):
    """The fraction: x - trunc(x), of the sign of x. The gradient is gy, at integers too."""
    return x - xp.trunc(x)


@frac.gradient
def frac_gradient(xp, gy):
    return gy


@operation(
    name="round",
    formula="y = 10^-d times the nearest integer of 10^d x",
    samples=lambda draw: [
        *(draw.call(*sample.inputs, decimals=0) for sample in _between_integers(draw)),
        draw.call(draw.integers(-30, 30, 2, 3) / 10 + draw.uniform(0.01, 0.04, 2, 3), decimals=1),
    ],
    **_NO_SLOPE,
)
def _round(xp, x, *, decimals):
    return xp.round(x, decimals) if is_floating(x) else xp.array(x)


@_round.gradient
def round_gradient(xp, gy):
    return xp.zeros_like(gy)


def round(x: Any, *, decimals: int = 0) -> Any:
    """Rounded to `decimals` places (-2: to hundreds), halves to the even neighbour. The gradient is 0.

    >>> import minigrad as mg
    >>> mg.round(mg.tensor([0.5, 1.5, 2.5]))
    tensor([0., 2., 2.])
    """
    if decimals and not is_floating(x):
        raise DtypeError(
            f"round({describe(x)}, decimals={decimals}) needs a floating-point tensor; convert with x.float()"
        )
    return _round(x, decimals=decimals)


def _quotients(draw: Any) -> list:
    """a / b with a fraction between 0.2 and 0.8, so that no quotient jumps nearby."""
    whole = draw.integers(-3, 3, 2, 3)
    b = draw.uniform(0.8, 2, 3) * (1 - 2 * draw.integers(0, 2, 3))
    a = (whole + draw.uniform(0.2, 0.8, 2, 3)) * b
    return [draw.call(a, b), draw.call(a[:, :1], float(b[0]))]


def _need_divisor(xp: Any, name: str, a: Any, b: Any) -> None:
    """Integers have no infinity to answer a division by zero with."""
    need_numbers(name, a, b)
    if not (is_floating(a) or is_floating(b) or xp.all(xp.asarray(b) != 0)):
        raise ArgumentError(
            f"{name}({describe(a)}, {describe(b)}): integer division by zero; convert with x.float()"
        )


_QUOTIENT = {"source": CALCULUS, "samples": _quotients, "dtypes": "promote", "broadcast": True}


@operation(formula="y = floor(a / b)", gradient_formula="ga = 0, gb = 0", **_QUOTIENT)
def floor_divide(xp, a, b):
    """Quotient rounded down: y = floor(a / b), as Python's //. The gradient is 0.

    Raises ArgumentError where integers are divided by zero; floating-point numbers give an infinity or NaN.
    """
    _need_divisor(xp, "floor_divide", a, b)
    return xp.floor_divide(a, b)


@floor_divide.gradient
def floor_divide_gradient(xp, gy):
    return xp.zeros_like(gy), xp.zeros_like(gy)


@operation(formula="y = trunc(a / b)", gradient_formula="ga = 0, gb = 0", **_QUOTIENT)
def trunc_divide(xp, a, b):
    """Quotient rounded towards zero: y = trunc(a / b), as in C. The gradient is 0."""
    _need_divisor(xp, "trunc_divide", a, b)
    if is_floating(a) or is_floating(b):
        return xp.trunc(xp.divide(a, b))
    # Integers beyond 2^53 do not fit a float: divide down, and step up where a negative one left a rest
    down = xp.floor_divide(a, b)
    return down + ((down < 0) & (down * b != a))


@trunc_divide.gradient
def trunc_divide_gradient(xp, gy):
    return xp.zeros_like(gy), xp.zeros_like(gy)


@operation(formula="y = a - b floor(a / b)", gradient_formula="ga = gy, gb = -gy floor(a / b)", **_QUOTIENT)
def remainder(xp, a, b):
    """Rest of the division rounded down: y = a - b floor(a / b), of the sign of b, as Python's %.

    Raises ArgumentError where integers are divided by zero; floating-point numbers give NaN.

    >>> import minigrad as mg
    >>> mg.remainder(mg.tensor([7, -7]), 3)
    tensor([1, 2])
    """
    _need_divisor(xp, "remainder", a, b)
    return xp.remainder(a, b)


@remainder.gradient
def remainder_gradient(xp, gy, a, b, needs):
    return gy, -gy * xp.floor_divide(a, b) if needs[1] else None


@operation(formula="y = a - b trunc(a / b)", gradient_formula="ga = gy, gb = -gy trunc(a / b)", **_QUOTIENT)
def fmod(xp, a, b):
    """Rest of the division rounded towards zero: y = a - b trunc(a / b), of the sign of a, as C's fmod.

    >>> import minigrad as mg
    >>> mg.fmod(mg.tensor([7, -7]), 3)
    tensor([ 1, -1])
    """
    _need_divisor(xp, "fmod", a, b)
    return xp.fmod(a, b)


@fmod.gradient
def fmod_gradient(xp, gy, a, b, needs):
    return gy, -gy * xp.trunc(a / b) if needs[1] else None
