"""Where the time goes: an observer that adds up calls, seconds and floating-point operations by operation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minigrad.observe import Call, observe


class Profile:
    """Totals per (operation, phase): `rows[name, phase]` = [calls, seconds, floating-point operations].

    Floating-point operations are counted for forwards only; a gradient's number is not declared by its operation.
    """

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], list[float]] = {}
        self._started: list[float] = []

    def before(self, call: Call) -> None:
        """Start the clock."""
        self._started.append(time.perf_counter())

    def after(self, call: Call) -> None:
        """Stop the clock and add up."""
        seconds = time.perf_counter() - self._started.pop()
        row = self.rows.setdefault((call.op.name, call.phase), [0, 0.0, 0.0])
        row[0] += 1
        row[1] += seconds
        if call.phase == "forward":
            row[2] += call.op.flops([_shape(a) for a in call.arrays], [_shape(y) for y in call.outputs], call.params)

    @property
    def seconds(self) -> float:
        """Time spent inside operations."""
        return sum(row[1] for row in self.rows.values())

    def table(self, limit: int = 20) -> str:
        """The operations that took longest, as text."""
        lines = [f"{'operation':<24}{'phase':<10}{'calls':>8}{'seconds':>10}{'share':>8}{'GFLOP/s':>10}"]
        total = self.seconds or 1.0
        for (name, phase), (calls, seconds, flops) in sorted(self.rows.items(), key=lambda item: -item[1][1])[:limit]:
            speed = f"{flops / seconds / 1e9:>10.1f}" if flops and seconds else f"{'':>10}"
            lines.append(f"{name:<24}{phase:<10}{calls:>8}{seconds:>10.3f}{seconds / total:>8.1%}{speed}")
        return "\n".join(lines)


def _shape(x: Any) -> tuple[int, ...]:
    return getattr(x, "shape", ())


@contextmanager
def profile() -> Iterator[Profile]:
    """Profile every operation within the block, forward and backward.

    >>> import minigrad as mg
    >>> x = mg.ones(4, 4, requires_grad=True)
    >>> with mg.trace.profile() as p:
    ...     (x @ x).sum().backward()
    >>> p.rows["matmul", "forward"][0]
    1
    """
    with observe(Profile()) as observer:
        yield observer  # type: ignore[misc]
