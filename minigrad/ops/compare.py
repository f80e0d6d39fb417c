"""Questions about numbers, answered by bools: comparisons, logic, bits. None of them has a gradient."""

from __future__ import annotations

from typing import Any

from minigrad.engine import describe
from minigrad.errors import ArgumentError, DtypeError
from minigrad.op import operation
from minigrad.ops.elementwise import is_floating

__all__ = [
    "allclose",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "eq",
    "equal",
    "ge",
    "gt",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "ne",
]
METHODS = list(__all__)


def _pairs(draw: Any) -> list:
    return [
        draw.call(draw.integers(0, 3, 2, 3) / 2, draw.integers(0, 3, 2, 3) / 2),
        draw.call(draw.integers(0, 3, 2, 1), draw.integers(0, 3, 3)),
        draw.call(draw.integers(0, 3, 4), 1),
    ]


def _bits(draw: Any) -> list:
    return [
        draw.call(draw.mask(2, 3), draw.mask(2, 3)),
        draw.call(draw.integers(-8, 8, 2, 1), draw.integers(-8, 8, 3)),
    ]


def _not_finite(draw: Any) -> list:
    strange = draw.integers(-2, 3, 2, 5) / draw.integers(0, 2, 2, 1)
    return [draw.call(strange), draw.call(draw.normal(3))]


_COMPARISON = {"source": "definition", "samples": _pairs, "dtypes": "promote"}
_LOGIC = {"source": "Boole 1854", "samples": _pairs, "dtypes": "promote"}
_BITS = {"source": "definition", "samples": _bits, "dtypes": "promote"}
_CLASS = {"source": "IEEE 754", "samples": _not_finite, "dtypes": "promote"}


@operation(formula="y = (a = b)", **_COMPARISON)
def eq(xp, a, b):
    """Whether a = b, elementwise and broadcast; NaN equals nothing."""
    return xp.equal(a, b)


@operation(formula="y = (a != b)", **_COMPARISON)
def ne(xp, a, b):
    """Whether a differs from b, elementwise and broadcast; NaN differs from everything."""
    return xp.not_equal(a, b)


@operation(formula="y = (a < b)", **_COMPARISON)
def lt(xp, a, b):
    """Whether a < b, elementwise and broadcast."""
    return xp.less(a, b)


@operation(formula="y = (a <= b)", **_COMPARISON)
def le(xp, a, b):
    """Whether a <= b, elementwise and broadcast."""
    return xp.less_equal(a, b)


@operation(formula="y = (a > b)", **_COMPARISON)
def gt(xp, a, b):
    """Whether a > b, elementwise and broadcast."""
    return xp.greater(a, b)


@operation(formula="y = (a >= b)", **_COMPARISON)
def ge(xp, a, b):
    """Whether a >= b, elementwise and broadcast."""
    return xp.greater_equal(a, b)


@operation(formula="y = (a != 0 and b != 0)", **_LOGIC)
def logical_and(xp, a, b):
    """Whether both are nonzero, elementwise and broadcast."""
    return xp.logical_and(a, b)


@operation(formula="y = (a != 0 or b != 0)", **_LOGIC)
def logical_or(xp, a, b):
    """Whether at least one is nonzero, elementwise and broadcast."""
    return xp.logical_or(a, b)


@operation(formula="y = ((a != 0) != (b != 0))", **_LOGIC)
def logical_xor(xp, a, b):
    """Whether exactly one is nonzero, elementwise and broadcast."""
    return xp.logical_xor(a, b)


@operation(formula="y = (x = 0)", **(_LOGIC | {"samples": _not_finite}))
def logical_not(xp, x):
    """Whether x is zero."""
    return xp.logical_not(x)


def _need_bits(name: str, *operands: Any) -> None:
    if any(map(is_floating, operands)):
        given = ", ".join(map(describe, operands))
        raise DtypeError(
            f"{name}({given}): only bools and integers have bits; compare first, or convert with x.long()"
        )


@operation(formula="y = a and b, bit by bit", **_BITS)
def bitwise_and(xp, a, b):
    """Logical and of bools, or of the bits of integers.

    >>> import minigrad as mg
    >>> x = mg.tensor([0.5, 1.5, 2.5])
    >>> (x > 1) & (x < 2)
    tensor([False,  True, False])
    """
    _need_bits("bitwise_and", a, b)
    return xp.bitwise_and(a, b)


@operation(formula="y = a or b, bit by bit", **_BITS)
def bitwise_or(xp, a, b):
    """Logical or of bools, or of the bits of integers."""
    _need_bits("bitwise_or", a, b)
    return xp.bitwise_or(a, b)


@operation(formula="y = a xor b, bit by bit", **_BITS)
def bitwise_xor(xp, a, b):
    """Exclusive or of bools, or of the bits of integers."""
    _need_bits("bitwise_xor", a, b)
    return xp.bitwise_xor(a, b)


@operation(
    formula="y = not x, bit by bit",
    **(_BITS | {"samples": lambda draw: [draw.call(draw.mask(2, 3)), draw.call(draw.integers(-8, 8, 3))]}),
)
def bitwise_not(xp, x):
    """Logical not of bools, or of the bits of integers."""
    _need_bits("bitwise_not", x)
    return xp.invert(x)


@operation(formula="y = (x is not a number)", **_CLASS)
def isnan(xp, x):
    """Whether x is NaN."""
    return xp.isnan(x)


@operation(formula="y = (|x| is infinite)", **_CLASS)
def isinf(xp, x):
    """Whether x is plus or minus infinity."""
    return xp.isinf(x)


@operation(formula="y = (x is a finite number)", **_CLASS)
def isfinite(xp, x):
    """Whether x is neither infinite nor NaN."""
    return xp.isfinite(x)


@operation(
    name="isclose",
    formula="y = (|a - b| <= atol + rtol |b|)",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3), draw.normal(2, 3), rtol=0.5, atol=0.1, equal_nan=False),
        draw.call(draw.normal(2, 1), draw.normal(3), rtol=1e-5, atol=1e-8, equal_nan=True),
    ],
    dtypes="promote",
    flops=5,
)
def _isclose(xp, a, b, *, rtol, atol, equal_nan):
    # Differences of small integers would overflow
    a, b = (v if is_floating(v) else xp.asarray(v, dtype="int64") for v in (a, b))
    distance = xp.absolute(a - b)
    close = (a == b) | ((distance <= atol + rtol * xp.absolute(b)) & xp.isfinite(b))
    return close | (xp.isnan(a) & xp.isnan(b)) if equal_nan else close


def isclose(x: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Whether x lies within atol + rtol |other| of `other`, elementwise and broadcast.

    An infinity is close to itself only; NaN is close to NaN if `equal_nan`.

    >>> import minigrad as mg
    >>> mg.isclose(mg.tensor([1.0, 2.0]), mg.tensor([1.0, 2.1]))
    tensor([ True, False])
    """
    if rtol < 0 or atol < 0:
        raise ArgumentError(f"isclose: rtol and atol must not be negative; given rtol={rtol}, atol={atol}")
    return _isclose(x, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


def allclose(x: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether every element of x is close to that of `other`; see `isclose`. Returns a Python bool."""
    return bool(isclose(x, other, rtol, atol, equal_nan).array.all())


def equal(x: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and equal elements, whatever their dtypes. Returns a Python bool."""
    return x.shape == other.shape and bool(eq(x, other).array.all())
