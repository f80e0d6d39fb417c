"""What a reader gives back where an array will not do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Signal:
    """What numbers were taken of: kind, such as "gradient", of a parameter or layer of that name."""

    id: int
    kind: str
    name: str
    shape: tuple[int, ...]
    units: int


@dataclass(frozen=True)
class Influence:
    """One unit of a layer (or a parameter), its rank over the network at a step (1 is first), and its score."""

    step: int
    layer: str
    unit: int
    rank: int
    score: float


@dataclass(frozen=True)
class Agreement:
    """How an estimate of influence agreed, at a step, with what removing `units` units did, which is `truth`."""

    step: int
    method: str
    correlation: float
    units: int
    truth: Any


@dataclass(frozen=True)
class Note:
    """What a rule noticed at a step; severity is "note", "warning" or "stop"."""

    step: int
    time: float
    severity: str
    rule: str
    signal: str | None
    unit: int | None
    text: str
