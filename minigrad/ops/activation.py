"""Activation functions with a curve in them. Those made of straight pieces are in `activation_linear.py`.

In a gradient, `low` is x where it is negative, else 0: it keeps e^x from overflowing on the side that is not chosen.
"""

from __future__ import annotations

import math
from typing import Any

from minigrad.engine import describe
from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import operation
from minigrad.ops.arguments import line_dim
from minigrad.ops.arithmetic import mul
from minigrad.ops.join import chunk
from minigrad.ops.transcendental import sigmoid

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "logsigmoid",
    "mish",
    "selu",
    "silu",
    "softplus",
    "softsign",
    "tanhshrink",
]
METHODS: list[str] = []


def _both_sides(draw: Any, **options: Any) -> list:
    return [draw.call(draw.apart(2, 3, kinks=[0]), **options), draw.call(3 * draw.normal(3), **options)]


@operation(
    name="elu",
    formula="y = x if x > 0, else alpha (e^x - 1)",
    gradient_formula="gx = gy if x > 0, else gy alpha e^x",
    source="Clevert, Unterthiner and Hochreiter 2016, equation 15",
    samples=lambda draw: [*_both_sides(draw, alpha=1.0), *_both_sides(draw, alpha=0.3)],
    dtypes="float",
    flops=4,
)
def _elu(xp, x, *, alpha):
    return xp.maximum(x, 0) + alpha * xp.expm1(xp.minimum(x, 0))


@_elu.gradient
def elu_gradient(xp, gy, x, *, alpha):
    low = xp.where(x < 0, x, 0)
    return xp.where(x > 0, gy, gy * (alpha * xp.exp(low)))


def elu(x: Any, alpha: float = 1.0) -> Any:
    """Exponential linear unit: y = x if x > 0, else alpha (e^x - 1).

    Gradient: gx = gy if x > 0, else gy alpha e^x; at 0 it is gy alpha.
    Source: Clevert, Unterthiner and Hochreiter 2016, equation 15.

    >>> import minigrad as mg
    >>> mg.nn.functional.elu(mg.tensor([-1000.0, 0.0, 2.0]))
    tensor([-1.,  0.,  2.])
    """
    return _elu(x, alpha=alpha)


SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


@operation(
    formula="y = scale x if x > 0, else scale alpha (e^x - 1)",
    gradient_formula="gx = gy scale if x > 0, else gy scale alpha e^x",
    source="Klambauer et al. 2017, equation 2",
    samples=_both_sides,
    dtypes="float",
    flops=5,
)
def selu(xp, x):
    """Scaled exponential linear unit: y = scale x if x > 0, else scale alpha (e^x - 1).

    With scale = 1.0507 and alpha = 1.6733, sums of many inputs of mean 0 and variance 1 keep that mean and variance.
    Gradient: gx = gy scale if x > 0, else gy scale alpha e^x. Source: Klambauer et al. 2017, equation 2.
    """
    return SELU_SCALE * xp.maximum(x, 0) + SELU_SCALE * SELU_ALPHA * xp.expm1(xp.minimum(x, 0))


@selu.gradient
def selu_gradient(xp, gy, x):
    low = xp.where(x < 0, x, 0)
    return xp.where(x > 0, SELU_SCALE * gy, gy * (SELU_SCALE * SELU_ALPHA * xp.exp(low)))


@operation(
    name="celu",
    formula="y = x if x > 0, else alpha (e^(x / alpha) - 1)",
    gradient_formula="gx = gy if x > 0, else gy e^(x / alpha)",
    source="Barron 2017, equation 2",
    samples=lambda draw: [*_both_sides(draw, alpha=1.0), *_both_sides(draw, alpha=0.6)],
    dtypes="float",
    flops=5,
)
def _celu(xp, x, *, alpha):
    return xp.maximum(x, 0) + alpha * xp.expm1(xp.minimum(x, 0) / alpha)


@_celu.gradient
def celu_gradient(xp, gy, x, *, alpha):
    low = xp.where(x < 0, x, 0)
    return xp.where(x > 0, gy, gy * xp.exp(low / alpha))


def celu(x: Any, alpha: float = 1.0) -> Any:
    """Continuously differentiable exponential linear unit: y = x if x > 0, else alpha (e^(x / alpha) - 1).

    Gradient: gx = gy if x > 0, else gy e^(x / alpha). Source: Barron 2017, equation 2.
    """
    if alpha == 0:
        raise ArgumentError("celu: alpha must not be 0, x is divided by it")
    return _celu(x, alpha=alpha)


@operation(
    name="gelu",
    formula="y = x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2; tanh: Phi(x) = (1 + tanh(u)) / 2, "
    "u = sqrt(2 / pi) (x + 0.044715 x^3)",
    gradient_formula="gx = gy (Phi(x) + x Phi'(x))",
    source="Hendrycks and Gimpel 2016, section 2",
    samples=lambda draw: [
        *_both_sides(draw, approximate="none"),
        *_both_sides(draw, approximate="tanh"),
    ],
    dtypes="float",
    flops=20,
)
def _gelu(xp, x, *, approximate):
    if approximate == "none":
        return 0.5 * x * (1 + xp.erf(x * math.sqrt(0.5)))
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))
    return 0.5 * x * (1 + xp.tanh(u))


@_gelu.gradient
def gelu_gradient(xp, gy, x, *, approximate):
    if approximate == "none":
        density = xp.exp(-0.5 * (x * x)) / math.sqrt(2 * math.pi)  # Phi'(x)
        return gy * (0.5 * (1 + xp.erf(x * math.sqrt(0.5))) + x * density)
    t = xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x)))
    slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * (x * x))  # du / dx
    return gy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope)


def gelu(x: Any, approximate: str = "none") -> Any:
    """Gaussian error linear unit: y = x Phi(x), Phi being the distribution function of a standard normal variable.

    approximate: "none" for Phi(x) = (1 + erf(x / sqrt 2)) / 2, "tanh" for the approximation of older models,
                 Phi(x) = (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.

    Gradient: gx = gy (Phi(x) + x Phi'(x)). Source: Hendrycks and Gimpel 2016, section 2.

    >>> import minigrad as mg
    >>> mg.nn.functional.gelu(mg.tensor([-1.0, 0.0, 1.0])).round(decimals=2)
    tensor([-0.16,  0.  ,  0.84])
    """
    if approximate not in ("none", "tanh"):
        raise ArgumentError(f"gelu: approximate must be 'none' or 'tanh', not {approximate!r}")
    return _gelu(x, approximate=approximate)


@operation(
    formula="y = x sigmoid(x)",
    gradient_formula="gx = gy s (1 + x (1 - s)), s = sigmoid(x)",
    source="Ramachandran, Zoph and Le 2017, section 3 (swish, beta = 1)",
    samples=_both_sides,
    dtypes="float",
    flops=4,
)
def silu(xp, x):
    """Sigmoid linear unit, also called swish: y = x sigmoid(x).

    Gradient: gx = gy s (1 + x (1 - s)) with s = sigmoid(x). Source: Ramachandran, Zoph and Le 2017, section 3.
    """
    return x / (1 + xp.exp(-x))


@silu.gradient
def silu_gradient(xp, gy, x):
    s = xp.sigmoid(x)
    return gy * (s * (1 + x * (1 - s)))


@operation(
    name="softplus",
    formula="y = ln(1 + e^(beta x)) / beta; y = x where beta x > threshold",
    gradient_formula="gx = gy sigmoid(beta x); gy where beta x > threshold",
    source="Dugas et al. 2001, section 2.1",
    samples=lambda draw: [
        *_both_sides(draw, beta=1.0, threshold=20.0),
        draw.call(draw.apart(2, 3, kinks=[0.1]), beta=2.0, threshold=0.2),
    ],
    dtypes="float",
    flops=5,
)
def _softplus(xp, x, *, beta=1.0, threshold=20.0):
    z = beta * x
    curve = xp.maximum(z, 0) + xp.log1p(xp.exp(-xp.absolute(z)))  # ln(1 + e^z), e^z never being larger than 1
    return xp.where(z > threshold, x, curve / beta)


@_softplus.gradient
def softplus_gradient(xp, gy, x, *, beta, threshold):
    return xp.where(beta * x > threshold, gy, gy * xp.sigmoid(beta * x))


def softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """Smooth relu: y = ln(1 + e^(beta x)) / beta, never negative.

    beta:      sharpness; the larger, the closer to relu.
    threshold: where beta x exceeds it, y is x.

    Gradient: gx = gy sigmoid(beta x), gy above the threshold. Source: Dugas et al. 2001, section 2.1.

    >>> import minigrad as mg
    >>> mg.nn.functional.softplus(mg.tensor([-1000.0, 1000.0]))
    tensor([   0., 1000.])
    """
    if beta == 0:
        raise ArgumentError("softplus: beta must not be 0, the result is divided by it")
    return _softplus(x, beta=beta, threshold=threshold)


@operation(
    formula="y = ln sigmoid(x)",
    gradient_formula="gx = gy sigmoid(-x)",
    source="definition",
    samples=_both_sides,
    dtypes="float",
    flops=5,
)
def logsigmoid(xp, x):
    """Logarithm of the sigmoid, y = -ln(1 + e^-x), finite for x of any size. Gradient: gx = gy sigmoid(-x)."""
    return xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.absolute(x)))


@logsigmoid.gradient
def logsigmoid_gradient(xp, gy, x):
    return gy * xp.sigmoid(-x)


@operation(
    formula="y = x tanh(softplus(x))",
    gradient_formula="gx = gy (t + x (1 - t^2) sigmoid(x)), t = tanh(softplus(x))",
    source="Misra 2019, equation 1",
    samples=_both_sides,
    dtypes="float",
    flops=8,
)
def mish(xp, x):
    """Self-regularised unit: y = x tanh(softplus(x)).

    Gradient: gx = gy (t + x (1 - t^2) sigmoid(x)) with t = tanh(softplus(x)). Source: Misra 2019, equation 1.
    """
    return x * xp.tanh(xp.softplus(x))


@mish.gradient
def mish_gradient(xp, gy, x):
    t = xp.tanh(xp.softplus(x))
    return gy * (t + x * (1 - t * t) * xp.sigmoid(x))


@operation(
    formula="y = x / (1 + |x|)",
    gradient_formula="gx = gy / (1 + |x|)^2",
    source="Bergstra et al. 2009, section 2",
    samples=_both_sides,
    dtypes="float",
    flops=3,
)
def softsign(xp, x):
    """A sigmoid with long tails: y = x / (1 + |x|), between -1 and 1. Gradient: gx = gy / (1 + |x|)^2."""
    return x / (1 + xp.absolute(x))


@softsign.gradient
def softsign_gradient(xp, gy, x):
    scale = 1 + xp.abs(x)
    return gy / (scale * scale)


@operation(
    formula="y = x - tanh x",
    gradient_formula="gx = gy tanh^2 x",
    source="definition",
    samples=_both_sides,
    dtypes="float",
    flops=2,
)
def tanhshrink(xp, x):
    """What tanh takes away: y = x - tanh x. Gradient: gx = gy tanh^2 x."""
    return x - xp.tanh(x)


@tanhshrink.gradient
def tanhshrink_gradient(xp, gy, x):
    t = xp.tanh(x)
    return gy * (t * t)


def glu(x: Any, dim: int = -1) -> Any:
    """Gated linear unit: y = a sigmoid(b), a and b being the halves of x along `dim`, whose length must be even.

    Source: Dauphin et al. 2017, section 2.

    >>> import minigrad as mg
    >>> mg.nn.functional.glu(mg.tensor([3.0, 5.0, -1000.0, 0.0]))
    tensor([0. , 2.5])
    """
    dim = line_dim("glu", x, dim)
    if not x.ndim or x.shape[dim] % 2:
        raise ShapeError(f"glu({describe(x)}, dim={dim}): needs a dimension of even length to halve")
    a, b = chunk(x, 2, dim)
    return mul(a, sigmoid(b))
