"""Numbers as JSON that a page can read: short, and without NaN and infinity, which JSON does not have."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np


def number(value: Any) -> float | int | None:
    """A number of at most 7 digits, as many as float32 has; None for NaN and infinity.

    >>> number(0.1 + 0.2), number(float("nan")), number(3.0)
    (0.3, None, 3)
    """
    value = float(value)
    if not math.isfinite(value):
        return None
    short = float(f"{value:.7g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def numbers(values: Iterable[Any]) -> list[float | int | None]:
    """Each as `number` has it."""
    return [number(value) for value in values]


def packed(array: np.ndarray) -> dict[str, Any]:
    """An array for the page: its shape, and float32 numbers, little-endian, in base 64.

    >>> packed(np.zeros((1, 2)))
    {'shape': [1, 2], 'f32': 'AAAAAAAAAAA='}
    """
    with np.errstate(over="ignore"):
        data = np.ascontiguousarray(array, "<f4").tobytes()
    return {"shape": list(array.shape), "f32": base64.b64encode(data).decode()}


def json_bytes(value: Any) -> bytes:
    """JSON that may stand inside a page's script element."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").encode()
