"""Where the time goes: an observer that adds up calls, seconds and floating-point operations by operation."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minigrad.observe import Call, observe


class _Thread(threading.local):
    """The calls that a thread is in: [call, when it began, seconds spent inside it in other operations]."""

    def __init__(self) -> None:
        self.open: list[list[Any]] = []


class Profile:
    """Totals per operation and phase, over all threads.

    rows: {(operation, "forward" or "gradient"): [calls, seconds, floating-point operations]}

    Seconds are an operation's own: those of operations called inside it (by a gradient that is recorded in turn) are
    theirs. Floating-point operations are counted for forwards only; a gradient's number is not declared by its
    operation.
    """

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], list[float]] = {}
        self._thread = _Thread()
        self._adding = threading.Lock()

    def before(self, call: Call) -> None:
        """Start the clock."""
        self._thread.open.append([call, time.perf_counter(), 0.0])

    def after(self, call: Call) -> None:
        """Stop the clock and add up."""
        now, seen, flops = time.perf_counter(), None, 0.0
        calls = self._thread.open
        while seen is not call:  # what lies above failed with an error, and never ended
            seen, began, inside = calls.pop()
        if calls:
            calls[-1][2] += now - began
        if call.phase == "forward":
            flops = call.op.flops(
                [_shape(a) for a in call.arrays], [_shape(y) for y in call.outputs], call.params
            )
        with self._adding:
            row = self.rows.setdefault((call.op.name, call.phase), [0, 0.0, 0.0])
            row[0] += 1
            row[1] += now - began - inside
            row[2] += flops

    @property
    def seconds(self) -> float:
        """Time spent inside operations."""
        return sum(row[1] for row in self.rows.values())

    def table(self, limit: int = 20) -> str:
        """The `limit` operations that took longest, as text."""
        lines = [f"{'operation':<28}{'phase':<10}{'calls':>8}{'seconds':>10}{'share':>8}{'GFLOP/s':>10}"]
        total = self.seconds or 1.0
        longest = sorted(self.rows.items(), key=lambda item: -item[1][1])
        for (name, phase), (calls, seconds, flops) in longest[:limit]:
            speed = f"{flops / seconds / 1e9:>10.1f}" if flops and seconds else ""
            lines.append(f"{name:<28}{phase:<10}{calls:>8}{seconds:>10.3f}{seconds / total:>8.1%}{speed}")
        return "\n".join(lines)


def _shape(x: Any) -> tuple[int, ...]:
    return getattr(x, "shape", ())


@contextmanager
def profile() -> Iterator[Profile]:
    """Profile every operation within the block, forward and backward.

    >>> import minigrad as mg
    >>> x = mg.ones(4, 4, requires_grad=True)
    >>> with mg.profile() as p:
    ...     (x @ x).sum().backward()
    >>> p.rows["matmul", "forward"][0]
    1
    """
    seen = Profile()
    with observe(seen):
        yield seen
