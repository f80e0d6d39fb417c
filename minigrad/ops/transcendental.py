"""Exponentials, logarithms and the functions made of them. Integers become float32.

Where a derivative is simplest in terms of the result (exp, sigmoid), the result is what backward keeps.
"""

from __future__ import annotations

import math
from typing import Any

from minigrad.op import operation
from minigrad.ops.elementwise import CALCULUS
from minigrad.ops.selection import clamp

__all__ = [
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
    "logit",
    "sigmoid",
]
METHODS = [
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
    "logit",
    "sigmoid",
]


def _anywhere(draw: Any) -> list:
    return [draw.call(draw.normal(2, 3)), draw.call(3 * draw.normal(3))]


def _positive(draw: Any) -> list:
    return [draw.call(draw.uniform(0.3, 3, 2, 3))]


_ANYWHERE = {"source": CALCULUS, "samples": _anywhere, "dtypes": "float"}
_POSITIVE = {"source": CALCULUS, "samples": _positive, "dtypes": "float"}


@operation(formula="y = e^x", gradient_formula="gx = gy y", **_ANYWHERE)
def exp(xp, x):
    """Exponential: y = e^x."""
    return xp.exp(x)


@exp.gradient
def exp_gradient(xp, gy, y):
    return gy * y


@operation(formula="y = 2^x", gradient_formula="gx = gy y ln 2", **_ANYWHERE)
def exp2(xp, x):
    """Power of two: y = 2^x."""
    return xp.exp2(x)


@exp2.gradient
def exp2_gradient(xp, gy, y):
    return gy * y * math.log(2)


@operation(formula="y = e^x - 1", gradient_formula="gx = gy (y + 1)", **_ANYWHERE)
def expm1(xp, x):
    """Exponential less one, y = e^x - 1, exact for small x too."""
    return xp.expm1(x)


@expm1.gradient
def expm1_gradient(xp, gy, y):
    return gy * (y + 1)


@operation(formula="y = ln x", gradient_formula="gx = gy / x", **_POSITIVE)
def log(xp, x):
    """Natural logarithm; -inf at 0, NaN for negative numbers."""
    return xp.log(x)


@log.gradient
def log_gradient(xp, gy, x):
    return gy / x


@operation(formula="y = log_2 x", gradient_formula="gx = gy / (x ln 2)", **_POSITIVE)
def log2(xp, x):
    """Logarithm to base 2."""
    return xp.log2(x)


@log2.gradient
def log2_gradient(xp, gy, x):
    return gy / (x * math.log(2))


@operation(formula="y = log_10 x", gradient_formula="gx = gy / (x ln 10)", **_POSITIVE)
def log10(xp, x):
    """Logarithm to base 10."""
    return xp.log10(x)


@log10.gradient
def log10_gradient(xp, gy, x):
    return gy / (x * math.log(10))


@operation(formula="y = ln(1 + x)", gradient_formula="gx = gy / (1 + x)", **_POSITIVE)
def log1p(xp, x):
    """Natural logarithm of 1 + x, exact for small x too."""
    return xp.log1p(x)


@log1p.gradient
def log1p_gradient(xp, gy, x):
    return gy / (1 + x)


@operation(
    formula="y = ln(e^a + e^b)",
    gradient_formula="ga = gy sigmoid(a - b), gb = gy sigmoid(b - a)",
    source=CALCULUS,
    samples=lambda draw: [
        draw.call(draw.normal(2, 3), draw.normal(2, 3)),
        draw.call(draw.normal(2, 1, 3), 3 * draw.normal(4, 1)),
    ],
    dtypes="float",
    broadcast=True,
    flops=4,
)
def logaddexp(xp, a, b):
    """Logarithm of a sum of exponentials, y = ln(e^a + e^b), without overflow."""
    return xp.logaddexp(a, b)


@logaddexp.gradient
def logaddexp_gradient(xp, gy, a, b, needs):
    return gy * xp.sigmoid(a - b) if needs[0] else None, gy * xp.sigmoid(b - a) if needs[1] else None


@operation(formula="y = 1 / (1 + e^-x)", gradient_formula="gx = gy y (1 - y)", flops=3, **_ANYWHERE)
def sigmoid(xp, x):
    """Logistic function: y = 1 / (1 + e^-x), between 0 and 1; right for x of any size, as 1 / inf is 0.

    >>> import minigrad as mg
    >>> mg.sigmoid(mg.tensor([-1000.0, 0.0, 1000.0]))
    tensor([0. , 0.5, 1. ])
    """
    return 1 / (1 + xp.exp(-x))


@sigmoid.gradient
def sigmoid_gradient(xp, gy, y):
    return gy * (y * (1 - y))


@operation(
    name="logit",
    formula="y = ln(x / (1 - x))",
    gradient_formula="gx = gy / (x (1 - x))",
    source=CALCULUS,
    samples=lambda draw: [draw.call(draw.uniform(0.1, 0.9, 2, 3))],
    dtypes="float",
    flops=3,
)
def _logit(xp, x):
    return xp.log(x / (1 - x))


@_logit.gradient
def logit_gradient(xp, gy, x):
    return gy / (x * (1 - x))


def logit(x: Any, eps: float | None = None) -> Any:
    """Inverse of the sigmoid: y = ln(x / (1 - x)).

    x:   between 0 and 1; NaN outside.
    eps: limit x to [eps, 1 - eps] first, so that y stays finite.

    Gradient: gx = gy / (x (1 - x)); 0 where x was limited.

    >>> import minigrad as mg
    >>> mg.logit(mg.tensor([0.0, 0.5, 1.0]))
    tensor([-inf,   0.,  inf])
    """
    return _logit(x if eps is None else clamp(x, eps, 1 - eps))


@operation(
    formula="y = 2 / sqrt(pi) integral of e^(-t^2) from 0 to x",
    gradient_formula="gx = gy 2 / sqrt(pi) e^(-x^2)",
    source="Abramowitz and Stegun 1964, 7.1.1",
    samples=_anywhere,
    dtypes="float",
    flops=16,
)
def erf(xp, x):
    """Error function: the probability that a normal variable of variance 1/2 lies within [-x, x]."""
    return xp.erf(x)


@erf.gradient
def erf_gradient(xp, gy, x):
    return gy * (2 / math.sqrt(math.pi)) * xp.exp(-x * x)


@operation(
    formula="y = 1 - erf(x)",
    gradient_formula="gx = -gy 2 / sqrt(pi) e^(-x^2)",
    source="Hunter and Regan 1972, Mathematics of Computation 26, 539-541",
    samples=_anywhere,
    dtypes="float",
    flops=60,
)
def erfc(xp, x):
    """Complement of the error function, 1 - erf(x), with all its digits where erf(x) is nearly 1.

    >>> import minigrad as mg
    >>> x = mg.tensor(5.0)
    >>> f"{mg.erfc(x):.2e}, {1 - mg.erf(x):.2e}"
    '1.54e-12, 0.00e+00'
    """
    # For x >= 1/2: erfc(x) = x/pi e^(-x^2) times the integral over all s of e^(-s^2) / (x^2 + s^2), by the trapezoidal
    # rule of step h, less what the poles at s = +-ix add to that. Its error is about e^(-(pi/h)^2) = 7e-18.
    h = 0.5
    t = xp.minimum(xp.maximum(x, 0.5), 30)  # e^(-30^2) is 0
    rule = 1 / (t * t)
    for k in range(1, 13):
        rule = rule + 2 * math.exp(-((k * h) ** 2)) / (t * t + (k * h) ** 2)
    poles = xp.where(t < math.pi / h, 2 / xp.expm1(2 * math.pi / h * t), 0)
    return xp.where(x < 0.5, 1 - xp.erf(x), h / math.pi * t * xp.exp(-t * t) * rule - poles)


@erfc.gradient
def erfc_gradient(xp, gy, x):
    return gy * (-2 / math.sqrt(math.pi)) * xp.exp(-x * x)
