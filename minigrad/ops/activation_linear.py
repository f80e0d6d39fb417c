"""Activation functions made of straight pieces: relu and its variants, and the "hard" ones, cheap copies of curves."""

from __future__ import annotations

from typing import Any

from minigrad.engine import describe
from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import operation
from minigrad.ops.arguments import need_tensor
from minigrad.ops.shape import reshape

__all__ = [
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "prelu",
    "relu",
    "relu6",
    "softshrink",
    "threshold",
]
METHODS = ["hardshrink", "prelu", "relu"]


def _away_from(*kinks: float, **options: Any) -> Any:
    """Samples on every piece of a function with these kinks."""

    def samples(draw: Any) -> list:
        beside = draw.uniform(0.1, 0.4, 2, len(kinks)) * [[-1], [1]] + kinks
        return [draw.call(draw.apart(2, 3, kinks=kinks), **options), draw.call(beside, **options)]

    return samples


@operation(
    formula="y = max(x, 0)",
    gradient_formula="gx = gy [x > 0]",
    source="Nair and Hinton 2010, section 2",
    samples=_away_from(0),
    dtypes="promote",
)
def relu(xp, x):
    """Rectified linear unit: y = max(x, 0). The gradient at 0 is 0. Source: Nair and Hinton 2010, section 2.

    >>> import minigrad as mg
    >>> mg.relu(mg.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 2.])
    """
    return xp.maximum(x, 0)


@relu.gradient
def relu_gradient(xp, gy, y):
    return xp.where(y > 0, gy, 0)


@operation(
    name="hardtanh",
    formula="y = min(max(x, min_val), max_val)",
    gradient_formula="gx = gy [min_val < x < max_val]",
    source="Collobert 2004, section 6.2",
    samples=_away_from(-0.5, 1, min_val=-0.5, max_val=1.0),
    dtypes="promote",
    flops=2,
)
def _hardtanh(xp, x, *, min_val, max_val):
    limit = x.dtype.type  # whole limits for integers
    return xp.clip(x, limit(min_val), limit(max_val))


@_hardtanh.gradient
def hardtanh_gradient(xp, gy, x, *, min_val, max_val):
    return xp.where((x <= min_val) | (x >= max_val), 0, gy)


def hardtanh(x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """The elements limited to [min_val, max_val]. Unlike that of `clamp`, the gradient at the limits is 0.

    >>> import minigrad as mg
    >>> mg.nn.functional.hardtanh(mg.tensor([-2.0, 0.5, 2.0]))
    tensor([-1. ,  0.5,  1. ])
    """
    if min_val > max_val:
        raise ArgumentError(f"hardtanh: min_val={min_val} must not be above max_val={max_val}")
    return _hardtanh(x, min_val=min_val, max_val=max_val)


@operation(
    formula="y = min(max(x, 0), 6)",
    gradient_formula="gx = gy [0 < x < 6]",
    source="Krizhevsky 2010, section 4",
    samples=_away_from(0, 6),
    dtypes="promote",
    flops=2,
)
def relu6(xp, x):
    """Relu that saturates: y = min(max(x, 0), 6). The gradient at 0 and 6 is 0. Source: Krizhevsky 2010, section 4."""
    return xp.clip(x, 0, 6)


@relu6.gradient
def relu6_gradient(xp, gy, x):
    return xp.where((x <= 0) | (x >= 6), 0, gy)


@operation(
    name="leaky_relu",
    formula="y = x if x > 0, else negative_slope x",
    gradient_formula="gx = gy if x > 0, else negative_slope gy",
    source="Maas, Hannun and Ng 2013, equation 2",
    samples=_away_from(0, negative_slope=0.2),
    dtypes="float",
)
def _leaky_relu(xp, x, *, negative_slope):
    return xp.maximum(x, 0) + negative_slope * xp.minimum(x, 0)


@_leaky_relu.gradient
def leaky_relu_gradient(xp, gy, x, *, negative_slope):
    return xp.where(x > 0, gy, negative_slope * gy)


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """Relu that leaks: y = x if x > 0, else negative_slope x.

    Gradient: gx = gy if x > 0, else negative_slope gy, at 0 too. Source: Maas, Hannun and Ng 2013, equation 2.
    """
    return _leaky_relu(x, negative_slope=negative_slope)


@operation(
    name="prelu",
    formula="y = x if x > 0, else w x",
    gradient_formula="gx = gy if x > 0, else w gy; gw = 0 if x > 0, else gy x, summed over what shares w",
    source="He et al. 2015, equations 1 and 3",
    samples=lambda draw: [
        draw.call(draw.apart(2, 3, 2, kinks=[0]), draw.uniform(0.1, 0.5, 3, 1)),
        draw.call(draw.apart(4, kinks=[0]), draw.uniform(0.1, 0.5, 1)),
    ],
    broadcast=True,
    dtypes="float",
)
def _prelu(xp, x, w):
    return xp.where(x > 0, x, w * x)


@_prelu.gradient
def prelu_gradient(xp, gy, x, w, needs):
    gx = xp.where(x > 0, gy, w * gy) if needs[0] else None
    gw = xp.where(x > 0, 0, gy * x) if needs[1] else None
    return gx, gw


def prelu(x: Any, weight: Any) -> Any:
    """Leaky relu with a learnt slope: y = x if x > 0, else weight x.

    x:      shape (N, C, *); a tensor of fewer dimensions counts as one channel.
    weight: shape (C,) for one slope per channel, or (1,) or () for one slope for all.

    Gradient: gx = gy if x > 0, else weight gy; gweight = sum of gy x where x <= 0.
    Source: He et al. 2015, equations 1 and 3.
    """
    need_tensor("prelu", x)
    need_tensor("prelu", weight)
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.shape not in ((), (1,), (channels,)):
        given = f"prelu({describe(x)}, {describe(weight)})"
        raise ShapeError(f"{given}: weight must hold one slope, or one for each of the {channels} channels")
    return _prelu(x, reshape(weight, (-1,) + (1,) * (x.ndim - 2) if x.ndim else ()))


@operation(
    formula="y = min(max(x + 3, 0), 6) / 6",
    gradient_formula="gx = gy / 6 [-3 < x < 3]",
    source="Howard et al. 2019, section 5.2",
    samples=_away_from(-3, 3),
    dtypes="float",
    flops=4,
)
def hardsigmoid(xp, x):
    """Sigmoid of three straight pieces: y = min(max(x + 3, 0), 6) / 6. The gradient at -3 and 3 is 0."""
    return xp.clip(x + 3, 0, 6) / 6


@hardsigmoid.gradient
def hardsigmoid_gradient(xp, gy, x):
    return xp.where((x > -3) & (x < 3), gy / 6, 0)


@operation(
    formula="y = x hardsigmoid(x)",
    gradient_formula="gx = 0 if x <= -3, gy (x / 3 + 1/2) if x < 3, else gy",
    source="Howard et al. 2019, section 5.2",
    samples=_away_from(-3, 3),
    dtypes="float",
    flops=5,
)
def hardswish(xp, x):
    """Silu with a hard sigmoid: y = x min(max(x + 3, 0), 6) / 6.

    Gradient: gx = 0 if x <= -3, gy (x / 3 + 1/2) if x < 3, else gy. Source: Howard et al. 2019, section 5.2.
    """
    return x * (xp.clip(x + 3, 0, 6) / 6)


@hardswish.gradient
def hardswish_gradient(xp, gy, x):
    return xp.where(x <= -3, 0, xp.where(x < 3, gy * (x / 3 + 0.5), gy))


@operation(
    name="hardshrink",
    formula="y = x if |x| > lambd, else 0",
    gradient_formula="gx = gy [|x| > lambd]",
    source="Donoho and Johnstone 1994, section 2.2",
    samples=_away_from(-0.5, 0.5, lambd=0.5),
    dtypes="float",
)
def _hardshrink(xp, x, *, lambd):
    return xp.where(xp.absolute(x) <= lambd, 0, x)


@_hardshrink.gradient
def hardshrink_gradient(xp, gy, x, *, lambd):
    return xp.where(xp.abs(x) <= lambd, 0, gy)


def hardshrink(x: Any, lambd: float = 0.5) -> Any:
    """Small elements set to 0: y = x if |x| > lambd, else 0. The gradient at -lambd and lambd is 0."""
    return _hardshrink(x, lambd=lambd)


@operation(
    name="softshrink",
    formula="y = sign(x) max(|x| - lambd, 0)",
    gradient_formula="gx = gy [|x| > lambd]",
    source="Donoho and Johnstone 1994, section 2.2",
    samples=_away_from(-0.5, 0.5, lambd=0.5),
    dtypes="float",
    flops=3,
)
def _softshrink(xp, x, *, lambd):
    return x - xp.clip(x, -lambd, lambd)


@_softshrink.gradient
def softshrink_gradient(xp, gy, x, *, lambd):
    return xp.where(xp.abs(x) <= lambd, 0, gy)


def softshrink(x: Any, lambd: float = 0.5) -> Any:
    """Elements moved towards 0 by `lambd`, no further: sign(x) max(|x| - lambd, 0). The gradient at +-lambd is 0."""
    if lambd < 0:
        raise ArgumentError(f"softshrink: lambd must not be negative; given {lambd}")
    return _softshrink(x, lambd=lambd)


@operation(
    name="threshold",
    formula="y = x if x > threshold, else value",
    gradient_formula="gx = gy [x > threshold]",
    source="definition",
    samples=_away_from(0.5, threshold=0.5, value=-2.0),
    dtypes="promote",
)
def _threshold(xp, x, *, threshold, value):
    return xp.where(x <= threshold, x.dtype.type(value), x)


@_threshold.gradient
def threshold_gradient(xp, gy, x, *, threshold):
    return xp.where(x <= threshold, 0, gy)


def threshold(x: Any, threshold: float, value: float) -> Any:
    """What is not above a threshold replaced: y = x if x > threshold, else value. The gradient at it is 0."""
    return _threshold(x, threshold=threshold, value=value)
