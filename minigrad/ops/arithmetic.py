"""Arithmetic with broadcasting: sums, products, quotients, copies and casts. Powers and roots are in `powers.py`."""

from __future__ import annotations

from typing import Any

from minigrad.errors import ArgumentError, DtypeError
from minigrad.op import operation
from minigrad.ops.elementwise import CALCULUS, binary_samples, is_floating, need_numbers
from minigrad.ops.rounding import floor_divide, trunc_divide

__all__ = [
    "abs",
    "add",
    "addcdiv",
    "addcmul",
    "cast",
    "clone",
    "div",
    "lerp",
    "mul",
    "neg",
    "reciprocal",
    "sign",
    "sub",
    "to_device",
]
METHODS = [
    "abs",
    "add",
    "addcdiv",
    "addcmul",
    "clone",
    "div",
    "lerp",
    "mul",
    "neg",
    "reciprocal",
    "sign",
    "sub",
]


def _times(alpha: float, a: Any, b: Any) -> Any:
    """alpha b; like PyTorch, refuse to scale integers by a fraction."""
    if alpha == 1:
        return b
    if isinstance(alpha, float) and not (is_floating(a) or is_floating(b)):
        raise DtypeError(f"alpha={alpha} is no integer, but the tensors are; convert one with x.float()")
    return b * alpha


@operation(
    formula="y = a + alpha b",
    gradient_formula="ga = gy, gb = alpha gy",
    source=CALCULUS,
    samples=lambda draw: [*binary_samples(draw), draw.call(draw.normal(3), draw.normal(2, 1), alpha=-0.5)],
    dtypes="promote",
    broadcast=True,
)
def add(xp, a, b, *, alpha=1):
    """Sum of two tensors, elementwise and broadcast: y = a + alpha b.

    >>> import minigrad as mg
    >>> mg.add(mg.tensor([1, 2]), mg.tensor([[10], [20]]))
    tensor([[11, 12],
            [21, 22]])
    """
    return xp.add(a, _times(alpha, a, b))


@add.gradient
def add_gradient(xp, gy, *, alpha):
    return gy, gy if alpha == 1 else alpha * gy


@operation(
    formula="y = a - alpha b",
    gradient_formula="ga = gy, gb = -alpha gy",
    source=CALCULUS,
    samples=lambda draw: [*binary_samples(draw), draw.call(draw.normal(3), draw.normal(2, 1), alpha=-0.5)],
    dtypes="promote",
    broadcast=True,
)
def sub(xp, a, b, *, alpha=1):
    """Difference of two tensors, elementwise and broadcast: y = a - alpha b."""
    return xp.subtract(a, _times(alpha, a, b))


@sub.gradient
def sub_gradient(xp, gy, needs, *, alpha):
    return gy, -alpha * gy if needs[1] else None


@operation(
    formula="y = a b",
    gradient_formula="ga = gy b, gb = gy a",
    source=CALCULUS,
    samples=binary_samples,
    dtypes="promote",
    broadcast=True,
    kept_for={"a": "b", "b": "a"},
)
def mul(xp, a, b):
    """Product of two tensors, elementwise and broadcast: y = a b."""
    return xp.multiply(a, b)


@mul.gradient
def mul_gradient(xp, gy, a, b, needs):
    return gy * b if needs[0] else None, gy * a if needs[1] else None


@operation(
    name="div",
    formula="y = a / b",
    gradient_formula="ga = gy / b, gb = -gy a / b^2",
    source=CALCULUS,
    samples=lambda draw: [
        draw.call(draw.normal(2, 3), draw.uniform(0.5, 2, 2, 3)),
        draw.call(draw.normal(2, 1, 3), draw.uniform(-2, -0.5, 4, 1)),
        draw.call(draw.normal(3), 2.5),
        draw.call(1.5, draw.uniform(0.5, 2, 2, 2)),
    ],
    dtypes="float",
    broadcast=True,
    kept_for={"a": "b"},
)
def _div(xp, a, b):
    return xp.divide(a, b)


@_div.gradient
def div_gradient(xp, gy, a, b, needs):
    ga = gy / b
    return ga, -ga * (a / b) if needs[1] else None


def div(x: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """Quotient of two tensors, elementwise and broadcast: y = x / other.

    rounding_mode: None for the true quotient (integers become float32), "floor" or "trunc" to round it down or towards
                   zero (integers stay integers, and must not be divided by zero; the gradient is 0).

    >>> import minigrad as mg
    >>> mg.div(mg.tensor([7, -7]), 2)
    tensor([ 3.5, -3.5])
    >>> mg.div(mg.tensor([7, -7]), 2, rounding_mode="floor")
    tensor([ 3, -4])
    """
    if rounding_mode is None:
        return _div(x, other)
    rounded = {"floor": floor_divide, "trunc": trunc_divide}.get(rounding_mode)
    if rounded is None:
        raise ArgumentError(f"div: rounding_mode must be None, 'floor' or 'trunc', not {rounding_mode!r}")
    return rounded(x, other)


@operation(
    formula="y = -x",
    gradient_formula="gx = -gy",
    source=CALCULUS,
    samples=lambda draw: [draw.call(draw.normal(2, 3))],
    dtypes="promote",
)
def neg(xp, x):
    """Negative: y = -x."""
    need_numbers("neg", x)
    return xp.negative(x)


@neg.gradient
def neg_gradient(xp, gy):
    return -gy


@operation(
    formula="y = |x|",
    gradient_formula="gx = gy sign(x)",
    source=CALCULUS,
    samples=lambda draw: [draw.call(draw.apart(2, 3, kinks=[0]))],
    dtypes="promote",
)
def abs(xp, x):
    """Magnitude: y = |x|. The gradient at 0 is 0."""
    return xp.absolute(x)


@abs.gradient
def abs_gradient(xp, gy, x):
    return gy * xp.sign(x)


@operation(
    formula="y = -1, 0, 1 for x < 0, x = 0, x > 0",
    gradient_formula="gx = 0",
    source="definition",
    samples=lambda draw: [draw.call(draw.apart(2, 3, kinks=[0]))],
    dtypes="promote",
)
def sign(xp, x):
    """Sign: -1, 0 or 1; NaN stays NaN. The gradient is 0."""
    need_numbers("sign", x)
    return xp.sign(x)


@sign.gradient
def sign_gradient(xp, gy):
    return xp.zeros_like(gy)


@operation(
    formula="y = 1 / x",
    gradient_formula="gx = -gy y^2",
    source=CALCULUS,
    samples=lambda draw: [draw.call(draw.uniform(0.5, 2, 2, 3)), draw.call(draw.uniform(-2, -0.5, 3))],
    dtypes="float",
)
def reciprocal(xp, x):
    """Reciprocal: y = 1 / x. Integers become float32."""
    return xp.reciprocal(x)


@reciprocal.gradient
def reciprocal_gradient(xp, gy, y):
    return -gy * y * y


@operation(
    formula="y = a + weight (b - a)",
    gradient_formula="ga = gy (1 - weight), gb = gy weight, gweight = gy (b - a)",
    source=CALCULUS,
    samples=lambda draw: [
        draw.call(draw.normal(2, 3), draw.normal(2, 3), 0.3),
        draw.call(draw.normal(3), draw.normal(2, 1), draw.uniform(-0.5, 1.5, 2, 3)),
    ],
    dtypes="float",
    broadcast=True,
    kept_for={"a": "weight", "b": "weight"},
    flops=3,
)
def lerp(xp, a, b, weight):
    """Linear interpolation: y = a + weight (b - a), a at weight 0 and b, exactly, at weight 1.

    a, b, weight: tensors that broadcast; `weight` may be a number, and may lie outside [0, 1].

    >>> import minigrad as mg
    >>> mg.lerp(mg.tensor([0.0, 10.0]), mg.tensor([1.0, 20.0]), 0.25)
    tensor([ 0.25, 12.5 ])
    """
    step = b - a
    return xp.where(xp.absolute(weight) < 0.5, a + weight * step, b - step * (1 - weight))


@lerp.gradient
def lerp_gradient(xp, gy, a, b, weight, needs):
    return gy * (1 - weight), gy * weight, gy * (b - a) if needs[2] else None


def addcmul(x: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """Sum of a tensor and a scaled product: y = x + value tensor1 tensor2, all broadcast."""
    return add(x, mul(tensor1, tensor2), alpha=value)


def addcdiv(x: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """Sum of a tensor and a scaled quotient: y = x + value tensor1 / tensor2, all broadcast."""
    return add(x, _div(tensor1, tensor2), alpha=value)


@operation(
    formula="y = x",
    gradient_formula="gx = gy",
    source="identity",
    samples=lambda draw: [draw.call(draw.normal(2, 3))],
    dtypes="move",
    flops=0,
)
def clone(xp, x):
    """A copy of the tensor in memory of its own, through which gradients flow."""
    return xp.array(x)


@clone.gradient
def clone_gradient(xp, gy):
    return gy


@operation(
    formula="y = x as dtype",
    gradient_formula="gx = gy as the dtype of x",
    source="identity up to rounding",
    samples=lambda draw: [draw.call(draw.normal(2, 3), dtype=draw.normal(1).dtype)],
    dtypes="move",
    flops=0,
)
def cast(xp, x, *, dtype):
    """The tensor with another dtype. Gradients flow between floating-point types."""
    return x.astype(dtype)


@cast.gradient
def cast_gradient(xp, gy):
    return gy  # the engine gives every gradient the dtype of its input


def to_device(x: Any, backend: Any) -> Any:
    """The tensor copied to another device, outside the graph of this one."""
    moved = type(x)._wrap(backend.from_host(x.backend.to_host(x.array)), backend)
    return moved
