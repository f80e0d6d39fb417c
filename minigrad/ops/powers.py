"""Powers and roots."""

from __future__ import annotations

from numbers import Real
from typing import Any

from minigrad import dtypes
from minigrad.engine import describe
from minigrad.errors import ArgumentError
from minigrad.op import operation
from minigrad.ops.arithmetic import cast
from minigrad.ops.elementwise import CALCULUS, is_floating, need_numbers

__all__ = ["pow", "rsqrt", "sqrt", "square"]
METHODS = ["pow", "rsqrt", "sqrt", "square"]


@operation(
    name="pow",
    formula="y = x^exponent",
    gradient_formula="gx = gy exponent x^(exponent - 1)",
    source=CALCULUS,
    samples=lambda draw: [
        *(draw.call(draw.normal(2, 3), exponent=n) for n in (0, 1, 2, 3, 4)),
        *(draw.call(draw.uniform(0.5, 2, 2, 3), exponent=p) for p in (-2, -1, 0.5, 1.7)),
    ],
    dtypes="promote",
)
def _pow(xp, x, *, exponent):
    return (
        x * x * x if exponent == 3 else x**exponent
    )  # the general power is fifty times slower than two products


@_pow.gradient
def pow_gradient(xp, gy, x, *, exponent):
    # x^0 is constant, though 0 x^-1 would be NaN at 0
    return xp.zeros_like(gy) if exponent == 0 else gy * (exponent * x ** (exponent - 1))


@operation(
    formula="y = a^b",
    gradient_formula="ga = gy b a^(b - 1), gb = gy a^b ln a",
    source=CALCULUS,
    samples=lambda draw: [
        draw.call(draw.uniform(0.5, 2, 2, 3), draw.normal(2, 3)),
        draw.call(draw.uniform(0.5, 2, 2, 1), draw.normal(3)),
        draw.call(2.5, draw.normal(2, 2)),
    ],
    dtypes="promote",
    broadcast=True,
    flops=2,
)
def power(xp, a, b):
    """Power with a tensor as exponent; see `pow`."""
    need_numbers("pow", a, b)
    if not (is_floating(a) or is_floating(b)) and xp.any(b < 0):
        raise ArgumentError(
            f"pow({describe(a)}, {describe(b)}): integers have no negative powers; convert with x.float()"
        )
    return a**b


@power.gradient
def power_gradient(xp, gy, a, b, needs):
    ga = gb = None
    if needs[0]:  # 0 where b = 0: not 0 a^-1, which is NaN at a = 0
        ga = gy * b * a ** xp.where((a == 0) & (b == 0), xp.zeros_like(b), b - 1)
    if needs[1]:  # 0 where a = 0 and b >= 0: not 0 ln 0
        gb = gy * a**b * xp.log(xp.where((a == 0) & (b >= 0), xp.ones_like(b), a))
    return ga, gb


def pow(x: Any, exponent: Any) -> Any:
    """Power, elementwise and broadcast: y = x^exponent.

    x, exponent: tensors or numbers. Integers stay integers unless the other is a floating-point one.

    Gradient: gx = gy exponent x^(exponent - 1), 0 where exponent = 0; gexponent = gy y ln x, 0 where x = 0 <= exponent.
    0^0 is 1; a negative number to a fractional power is NaN.
    Raises ArgumentError for a negative power of integers.

    >>> import minigrad as mg
    >>> mg.pow(mg.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    >>> mg.pow(2, mg.tensor([-1.0, 0.0, 3.0]))
    tensor([0.5, 1. , 8. ])
    """
    if not isinstance(exponent, Real) or isinstance(x, Real) or not hasattr(x, "dtype"):
        return power(x, exponent)
    exponent = (
        exponent.item() if hasattr(exponent, "item") else exponent
    )  # NumPy's scalars would widen float32
    dtype = dtypes.result_type([x, exponent])
    if not dtypes.is_floating(dtype) and exponent < 0:
        raise ArgumentError(
            f"pow({describe(x)}, {exponent}): integers have no negative powers; convert with x.float()"
        )
    return _pow(x if x.dtype == dtype else cast(x, dtype=dtype), exponent=exponent)


@operation(
    formula="y = x^2",
    gradient_formula="gx = 2 gy x",
    source=CALCULUS,
    samples=lambda draw: [draw.call(draw.normal(2, 3))],
    dtypes="promote",
)
def square(xp, x):
    """Square: y = x^2."""
    need_numbers("square", x)
    return xp.multiply(x, x)


@square.gradient
def square_gradient(xp, gy, x):
    return 2 * gy * x


@operation(
    formula="y = sqrt(x)",
    gradient_formula="gx = gy / (2 y)",
    source=CALCULUS,
    samples=lambda draw: [draw.call(draw.uniform(0.5, 2, 2, 3))],
    dtypes="float",
)
def sqrt(xp, x):
    """Square root; NaN for negative numbers. The gradient at 0 is infinite."""
    return xp.sqrt(x)


@sqrt.gradient
def sqrt_gradient(xp, gy, y):
    return gy / (2 * y)


@operation(
    formula="y = 1 / sqrt(x)",
    gradient_formula="gx = -gy y^3 / 2",
    source=CALCULUS,
    samples=lambda draw: [draw.call(draw.uniform(0.5, 2, 2, 3))],
    dtypes="float",
    flops=2,
)
def rsqrt(xp, x):
    """Reciprocal of the square root; infinite at 0, NaN for negative numbers."""
    return 1 / xp.sqrt(x)


@rsqrt.gradient
def rsqrt_gradient(xp, gy, y):
    return -0.5 * gy * (y * y * y)
