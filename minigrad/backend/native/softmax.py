"""Softmax, its logarithm, and cross entropy with class indices, over rows: classes are innermost in memory.

The last axis of an array in C order, or the channels of a view of NHWC. Differences from the plain definitions are
those of rounding, 1e-6 relative.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend.memory import empty
from minigrad.backend.native.layout import FLOAT
from minigrad.backend.native.softmax_loops import (
    cross_entropy_gradient_loop,
    cross_entropy_loop,
    log_softmax_gradient_loop,
    log_softmax_loop,
    softmax_gradient_loop,
    softmax_loop,
)
from minigrad.backend.native.team import team

_BLOCK = 1 << 14


def _rows(x: Any, dim: int) -> np.ndarray | None:
    """The array with `dim` moved to the end, if it then lies in C order."""
    if type(x) is not np.ndarray or x.dtype != FLOAT or not x.size or not x.ndim:
        return None
    seen = x if dim in (-1, x.ndim - 1) else np.moveaxis(x, dim, -1)
    return seen if seen.flags.c_contiguous else None


def _run(loop: Any, rows: int, n: int, *arguments: Any) -> None:
    step = max(1, _BLOCK // n)
    team.run(loop, -(-rows // step), rows, step, n, *arguments)


def _apply(loop: Any, dim: int, *arrays: Any) -> Any:
    seen = [_rows(a, dim) for a in arrays]
    if any(a is None or a.shape != seen[0].shape for a in seen):  # type: ignore[union-attr]
        return None
    first: Any = seen[0]
    y = empty(first.shape, FLOAT)
    _run(
        loop,
        first.size // first.shape[-1],
        first.shape[-1],
        *(a.reshape(-1) for a in seen if a is not None),
        y.reshape(-1),
    )
    return y if dim in (-1, y.ndim - 1) else np.moveaxis(y, -1, dim)


def softmax_forward(xp: Any, x: Any, *, dim: int) -> Any:
    """Kernel of `softmax`."""
    return _apply(softmax_loop, dim, x)


def softmax_gradient(xp: Any, gy: Any, y: Any, *, dim: int) -> Any:
    """Kernel of the gradient of `softmax`."""
    return _apply(softmax_gradient_loop, dim, gy, y)


def log_softmax_forward(xp: Any, x: Any, *, dim: int) -> Any:
    """Kernel of `log_softmax`."""
    return _apply(log_softmax_loop, dim, x)


def log_softmax_gradient(xp: Any, gy: Any, y: Any, *, dim: int) -> Any:
    """Kernel of the gradient of `log_softmax`."""
    return _apply(log_softmax_gradient_loop, dim, gy, y)


# ---------------------------------------------------------------- cross entropy


def _scores(x: Any, t: Any, w: Any) -> np.ndarray | None:
    if w is not None or x.ndim < 2 or t.shape != (x.shape[0], *x.shape[2:]):
        return None
    return _rows(x, 1)


def cross_entropy_forward(
    xp: Any, x: Any, t: Any, w: Any, *, ignore_index: int, label_smoothing: float, reduction: str
) -> Any:
    """Kernel of `cross_entropy`, without class weights."""
    seen = _scores(x, t, w)
    if seen is None:
        return None
    n, targets = seen.shape[-1], np.ascontiguousarray(t, np.int64).reshape(-1)
    losses = np.empty(targets.size, np.float32)
    _run(
        cross_entropy_loop, targets.size, n, seen.reshape(-1), targets, losses, ignore_index,
        np.float32(label_smoothing),
    )  # fmt: skip
    if reduction == "none":
        return losses.reshape(t.shape)
    total = np.add.reduce(losses, dtype=np.float64)
    if reduction == "mean":
        total = np.divide(total, _counted(targets, n, ignore_index))
    return np.asarray(total, FLOAT)


def _counted(targets: np.ndarray, n: int, ignore_index: int) -> int:
    """How many targets there are a class for, and that are not to be ignored."""
    return int(np.count_nonzero((targets != ignore_index) & (targets >= 0) & (targets < n)))


def cross_entropy_gradient(
    xp: Any, gy: Any, x: Any, t: Any, w: Any, y: Any, needs: Any,
    *, ignore_index: int, label_smoothing: float, reduction: str,
) -> Any:  # fmt: skip
    """Kernel of the gradient of `cross_entropy`, without class weights."""
    seen = _scores(x, t, w)
    if seen is None or not needs[0]:
        return None
    n, targets = seen.shape[-1], np.ascontiguousarray(t, np.int64).reshape(-1)
    if reduction == "mean":
        gy = np.divide(gy, _counted(targets, n, ignore_index))
    each = np.ascontiguousarray(np.broadcast_to(gy, t.shape), FLOAT).reshape(-1)
    gx = empty(seen.shape, FLOAT)
    _run(
        cross_entropy_gradient_loop, targets.size, n, seen.reshape(-1), targets, each, gx.reshape(-1),
        ignore_index, np.float32(label_smoothing),
    )  # fmt: skip
    return np.moveaxis(gx, -1, 1), None, None
