"""JSON that every reader takes: numbers that it does not have are null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError


def json_text(value: Any, what: str) -> str:
    """The JSON text of dictionaries, lists, numbers (NumPy's too), texts and None; NaN and infinity become null.

    what: what it is, for the message. Raises ArgumentError for other types.

    >>> json_text({"loss": float("nan"), "units": np.int64(3)}, "an epoch's numbers")
    '{"loss":null,"units":3}'
    """
    try:
        return json.dumps(_plain(value), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(f"{what} holds what JSON can hold: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
