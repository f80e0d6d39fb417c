"""What the elementwise families share: sample inputs and questions about operands."""

from __future__ import annotations

from typing import Any

from minigrad import dtypes
from minigrad.engine import describe
from minigrad.errors import DtypeError

CALCULUS = "elementary calculus"


def binary_samples(draw: Any) -> list:
    """Samples of an operation on two tensors: equal shapes, broadcasting both ways, a number on either side."""
    return [
        draw.call(draw.normal(2, 3), draw.normal(2, 3)),
        draw.call(draw.normal(2, 1, 3), draw.normal(4, 1)),
        draw.call(draw.normal(3), 2.5),
        draw.call(-0.5, draw.normal(2, 2)),
    ]


def is_floating(x: Any) -> bool:
    """Whether an operand, an array or a Python number, is a floating-point one."""
    return isinstance(x, float) or (hasattr(x, "dtype") and x.dtype in dtypes.FLOATING)


def is_bool(x: Any) -> bool:
    """Whether an operand, an array or a Python number, is a bool."""
    return isinstance(x, bool) or (hasattr(x, "dtype") and x.dtype == dtypes.bool_)


def need_numbers(name: str, *operands: Any) -> None:
    """Refuse operands that are all bools: arithmetic on them would have to be of a type nobody asked for."""
    if all(map(is_bool, operands)):
        raise DtypeError(
            f"{name}({', '.join(map(describe, operands))}): bools are not numbers; convert with x.long() or x.float()"
        )
