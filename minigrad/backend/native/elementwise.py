"""Elementwise operations on large float32 arrays that lie in memory without gaps, all of them in the same order.

NumPy computes these with one thread, and the curved ones in many passes. Small arrays are declined: starting threads
would cost more than it saves. Results lie in memory as the inputs do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend.memory import empty
from minigrad.backend.native import elementwise_loops as loops
from minigrad.backend.native.layout import FLOAT
from minigrad.backend.native.team import team

SMALLEST = 1 << 14  # numbers
_STEP = 1 << 14
_BYTES = np.dtype(np.bool_)
_CHANNELS_LAST, _CHANNELS_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


def _run(loop: Any, *arrays: Any, numbers: tuple = ()) -> np.ndarray | None:
    """The loop over the arrays' memory, into new memory that is ordered like it; None where that cannot be done."""
    first = arrays[0]
    if type(first) is not np.ndarray or first.size < SMALLEST or first.dtype != FLOAT:
        return None
    last = not first.flags.c_contiguous
    if last and first.ndim != 4:
        return None
    shape, flat = first.shape, []
    for a in arrays:
        if type(a) is not np.ndarray or a.shape != shape or (a.dtype != FLOAT and a.dtype != _BYTES):
            return None
        a = a.transpose(_CHANNELS_LAST) if last else a
        if not a.flags.c_contiguous:
            return None
        flat.append(a.reshape(-1) if a.dtype == FLOAT else a.reshape(-1).view(np.uint8))
    y = empty((first.size,), FLOAT)
    team.run(loop, -(-y.size // _STEP), _STEP, *flat, y, *numbers)
    if not last:
        return y.reshape(shape)
    n, c, h, w = shape
    return y.reshape(n, h, w, c).transpose(_CHANNELS_FIRST)


def _large(x: Any) -> bool:
    return getattr(x, "size", 0) >= SMALLEST


def add_forward(xp: Any, a: Any, b: Any, *, alpha: Any = 1) -> Any:
    """Kernel of `add`, for arrays of equal shape and alpha = 1."""
    return _run(loops.add, a, b) if alpha == 1 and _large(a) and _large(b) else None


def relu_forward(xp: Any, x: Any) -> Any:
    """Kernel of `relu`."""
    return _run(loops.relu, x) if x.size >= SMALLEST else None


def relu_gradient(xp: Any, gy: Any, y: Any) -> Any:
    """Kernel of the gradient of `relu`."""
    return _run(loops.relu_gradient, gy, y) if y.size >= SMALLEST else None


def dropout_forward(xp: Any, x: Any, mask: Any, *, p: float) -> Any:
    """Kernel of `dropout`, for one number of the mask to each of x."""
    scale = np.float32(1 / (1 - p) if p < 1 else 0)  # of what is not dropped
    return _run(loops.masked, x, mask, numbers=(scale,)) if x.size >= SMALLEST else None


def dropout_gradient(xp: Any, gy: Any, mask: Any, *, p: float) -> Any:
    """Kernel of the gradient of `dropout`."""
    gx = dropout_forward(xp, gy, mask, p=p)
    return None if gx is None else (gx, None)


def exp_forward(xp: Any, x: Any) -> Any:
    """Kernel of `exp`."""
    return _run(loops.exp, x) if x.size >= SMALLEST else None


def sigmoid_forward(xp: Any, x: Any) -> Any:
    """Kernel of `sigmoid`."""
    return _run(loops.sigmoid, x) if x.size >= SMALLEST else None


def sigmoid_gradient(xp: Any, gy: Any, y: Any) -> Any:
    """Kernel of the gradient of `sigmoid`."""
    return _run(loops.sigmoid_gradient, gy, y) if y.size >= SMALLEST else None


def tanh_forward(xp: Any, x: Any) -> Any:
    """Kernel of `tanh`."""
    return _run(loops.tanh, x) if x.size >= SMALLEST else None


def tanh_gradient(xp: Any, gy: Any, y: Any) -> Any:
    """Kernel of the gradient of `tanh`."""
    return _run(loops.tanh_gradient, gy, y) if y.size >= SMALLEST else None


def silu_forward(xp: Any, x: Any) -> Any:
    """Kernel of `silu`."""
    return _run(loops.silu, x) if x.size >= SMALLEST else None


def silu_gradient(xp: Any, gy: Any, x: Any) -> Any:
    """Kernel of the gradient of `silu`."""
    return _run(loops.silu_gradient, gy, x) if x.size >= SMALLEST else None


def gelu_forward(xp: Any, x: Any, *, approximate: str) -> Any:
    """Kernel of `gelu`, the exact one."""
    return _run(loops.gelu, x) if x.size >= SMALLEST and approximate == "none" else None


def gelu_gradient(xp: Any, gy: Any, x: Any, *, approximate: str) -> Any:
    """Kernel of the gradient of `gelu`, the exact one."""
    return _run(loops.gelu_gradient, gy, x) if x.size >= SMALLEST and approximate == "none" else None
