"""Circular and hyperbolic functions, and their inverses. Angles are in radians; integers become float32."""

from __future__ import annotations

import math
from typing import Any

from minigrad.op import operation
from minigrad.ops.elementwise import CALCULUS

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cos",
    "cosh",
    "deg2rad",
    "hypot",
    "rad2deg",
    "sin",
    "sinh",
    "tan",
    "tanh",
]
METHODS = list(__all__)


def _anywhere(draw: Any) -> list:
    return [draw.call(draw.normal(2, 3)), draw.call(3 * draw.normal(3))]


_ANYWHERE = {"source": CALCULUS, "samples": _anywhere, "dtypes": "float"}
_WITHIN_ONE = _ANYWHERE | {"samples": lambda draw: [draw.call(draw.uniform(-0.9, 0.9, 2, 3))]}


@operation(formula="y = sin x", gradient_formula="gx = gy cos x", **_ANYWHERE)
def sin(xp, x):
    """Sine."""
    return xp.sin(x)


@sin.gradient
def sin_gradient(xp, gy, x):
    return gy * xp.cos(x)


@operation(formula="y = cos x", gradient_formula="gx = -gy sin x", **_ANYWHERE)
def cos(xp, x):
    """Cosine."""
    return xp.cos(x)


@cos.gradient
def cos_gradient(xp, gy, x):
    return -gy * xp.sin(x)


@operation(formula="y = tan x", gradient_formula="gx = gy (1 + y^2)", **_WITHIN_ONE)
def tan(xp, x):
    """Tangent."""
    return xp.tan(x)


@tan.gradient
def tan_gradient(xp, gy, y):
    return gy * (1 + y * y)


@operation(formula="y = asin x", gradient_formula="gx = gy / sqrt(1 - x^2)", **_WITHIN_ONE)
def asin(xp, x):
    """Inverse sine, in [-pi/2, pi/2]; NaN outside [-1, 1]. The gradient is infinite at -1 and 1."""
    return xp.arcsin(x)


@asin.gradient
def asin_gradient(xp, gy, x):
    return gy / xp.sqrt(1 - x * x)


@operation(formula="y = acos x", gradient_formula="gx = -gy / sqrt(1 - x^2)", **_WITHIN_ONE)
def acos(xp, x):
    """Inverse cosine, in [0, pi]; NaN outside [-1, 1]. The gradient is infinite at -1 and 1."""
    return xp.arccos(x)


@acos.gradient
def acos_gradient(xp, gy, x):
    return -gy / xp.sqrt(1 - x * x)


@operation(formula="y = atan x", gradient_formula="gx = gy / (1 + x^2)", **_ANYWHERE)
def atan(xp, x):
    """Inverse tangent, in [-pi/2, pi/2]."""
    return xp.arctan(x)


@atan.gradient
def atan_gradient(xp, gy, x):
    return gy / (1 + x * x)


@operation(
    formula="y = angle of the point (b, a)",
    gradient_formula="ga = gy b / (a^2 + b^2), gb = -gy a / (a^2 + b^2)",
    source=CALCULUS,
    samples=lambda draw: [
        draw.call(draw.uniform(0.5, 2, 2, 3), draw.normal(2, 3)),
        draw.call(draw.uniform(-2, -0.5, 2, 1), draw.normal(3)),
    ],
    dtypes="float",
    broadcast=True,
)
def atan2(xp, a, b):
    """Angle of the point with abscissa b and ordinate a, in [-pi, pi]. The gradient at the origin is 0.

    >>> import minigrad as mg
    >>> mg.rad2deg(mg.atan2(mg.tensor([1.0, -1.0]), mg.tensor([-1.0, -1.0])))
    tensor([ 135., -135.])
    """
    return xp.arctan2(a, b)


@atan2.gradient
def atan2_gradient(xp, gy, a, b):
    squared = a * a + b * b
    scaled = gy / xp.where(squared == 0, 1, squared)
    return scaled * b, -scaled * a


@operation(
    formula="y = sqrt(a^2 + b^2)",
    gradient_formula="ga = gy a / y, gb = gy b / y",
    source=CALCULUS,
    samples=lambda draw: [
        draw.call(draw.uniform(0.5, 2, 2, 3), draw.normal(2, 3)),
        draw.call(draw.uniform(-2, -0.5, 2, 1), draw.normal(3)),
    ],
    dtypes="float",
    broadcast=True,
    flops=4,
)
def hypot(xp, a, b):
    """Length of the hypotenuse, sqrt(a^2 + b^2), without overflow. The gradient at the origin is NaN."""
    return xp.hypot(a, b)


@hypot.gradient
def hypot_gradient(xp, gy, a, b, y):
    return gy * (a / y), gy * (b / y)


@operation(formula="y = sinh x", gradient_formula="gx = gy cosh x", **_ANYWHERE)
def sinh(xp, x):
    """Hyperbolic sine: (e^x - e^-x) / 2."""
    return xp.sinh(x)


@sinh.gradient
def sinh_gradient(xp, gy, x):
    return gy * xp.cosh(x)


@operation(formula="y = cosh x", gradient_formula="gx = gy sinh x", **_ANYWHERE)
def cosh(xp, x):
    """Hyperbolic cosine: (e^x + e^-x) / 2."""
    return xp.cosh(x)


@cosh.gradient
def cosh_gradient(xp, gy, x):
    return gy * xp.sinh(x)


@operation(formula="y = tanh x", gradient_formula="gx = gy (1 - y^2)", **_ANYWHERE)
def tanh(xp, x):
    """Hyperbolic tangent: (e^x - e^-x) / (e^x + e^-x), between -1 and 1."""
    return xp.tanh(x)


@tanh.gradient
def tanh_gradient(xp, gy, y):
    return gy * (1 - y * y)


@operation(formula="y = asinh x", gradient_formula="gx = gy / sqrt(x^2 + 1)", **_ANYWHERE)
def asinh(xp, x):
    """Inverse hyperbolic sine."""
    return xp.arcsinh(x)


@asinh.gradient
def asinh_gradient(xp, gy, x):
    return gy / xp.sqrt(x * x + 1)


@operation(
    formula="y = acosh x",
    gradient_formula="gx = gy / sqrt(x^2 - 1)",
    source=CALCULUS,
    samples=lambda draw: [draw.call(draw.uniform(1.2, 3, 2, 3))],
    dtypes="float",
)
def acosh(xp, x):
    """Inverse hyperbolic cosine; NaN below 1, where the gradient becomes infinite."""
    return xp.arccosh(x)


@acosh.gradient
def acosh_gradient(xp, gy, x):
    return gy / xp.sqrt(x * x - 1)


@operation(formula="y = atanh x", gradient_formula="gx = gy / (1 - x^2)", **_WITHIN_ONE)
def atanh(xp, x):
    """Inverse hyperbolic tangent; infinite at -1 and 1, NaN outside."""
    return xp.arctanh(x)


@atanh.gradient
def atanh_gradient(xp, gy, x):
    return gy / (1 - x * x)


@operation(formula="y = pi / 180 x", gradient_formula="gx = gy pi / 180", **_ANYWHERE)
def deg2rad(xp, x):
    """Degrees to radians."""
    return x * (math.pi / 180)


@deg2rad.gradient
def deg2rad_gradient(xp, gy):
    return gy * (math.pi / 180)


@operation(formula="y = 180 / pi x", gradient_formula="gx = gy 180 / pi", **_ANYWHERE)
def rad2deg(xp, x):
    """Radians to degrees."""
    return x * (180 / math.pi)


@rad2deg.gradient
def rad2deg_gradient(xp, gy):
    return gy * (180 / math.pi)
