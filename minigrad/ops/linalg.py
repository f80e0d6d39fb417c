"""Products of matrices."""

from __future__ import annotations

from minigrad.op import operation

__all__ = ["matmul"]
METHODS = ["matmul"]


@operation(
    formula="y = a b",
    gradient_formula="ga = gy b^T, gb = a^T gy",
    source="Giles 2008, section 2.2.2",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3), draw.normal(3, 4)),
        draw.call(draw.normal(2, 1, 2, 3), draw.normal(4, 3, 2)),
    ],
    broadcast=True,
    kept_for={"a": "b", "b": "a"},
)
def matmul(xp, a, b):
    """Matrix product."""
    return xp.matmul(a, b)


@matmul.gradient
def matmul_gradient(xp, gy, a, b, needs):
    ga = xp.matmul(gy, xp.swapaxes(b, -1, -2)) if needs[0] else None
    gb = xp.matmul(xp.swapaxes(a, -1, -2), gy) if needs[1] else None
    return ga, gb
