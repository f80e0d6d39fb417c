"""Pooling with channels innermost: each window's elements are LANES channels at a time, in registers.

Inputs that lie otherwise are copied once, as the plain definitions copy them. Maxima, and their gradients, are the
same as the plain ones to the bit; means differ by rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend.memory import empty
from minigrad.backend.native.layout import FLOAT, channels_first, flat_like
from minigrad.backend.native.pooling_loops import avg_loop, avg_transposed_loop, max_loop, scatter_loop
from minigrad.backend.native.team import team

_BLOCK = 1 << 14  # numbers of the larger image in a block


def _geometry(
    size: Any, channels: int, counts: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any
) -> Any:
    """What the loops are told: image, channels, number of windows, and the windows."""
    return (*size, channels, *counts, *kernel_size, *stride, *padding, *dilation)


def _counts(
    size: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[int, int]:
    """How many windows fit; in ceil_mode also a last one that begins inside the image or before, and ends outside."""
    counts = []
    for n, k, s, p, d in zip(size, kernel_size, stride, padding, dilation, strict=True):
        free = n + 2 * p - d * (k - 1) - 1
        count = (free + (s - 1 if ceil_mode else 0)) // s + 1
        counts.append(count - 1 if ceil_mode and (count - 1) * s >= n + p else count)
    return counts[0], counts[1]


def _takes(x: Any, *sizes: Any) -> bool:
    return (
        type(x) is np.ndarray
        and x.dtype == FLOAT
        and x.ndim == 4
        and x.size > 0
        and min(min(s) for s in sizes) > 0
    )


def _images(n: int, size: Any, channels: int, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Memory for (N, C, H, W), channels innermost; and flat."""
    flat = empty((n * size[0] * size[1] * channels,), dtype)
    return channels_first(flat.reshape(n, *size, channels)), flat


def _in_rows(loop: Any, rows: int, numbers: int, *arguments: Any) -> None:
    """The loop over rows of images, cut into blocks of rows; `numbers` of them in a row."""
    step = max(1, _BLOCK // numbers)
    team.run(loop, -(-rows // step), rows, step, *arguments)


# ---------------------------------------------------------------- maxima


def max_pool2d_forward(
    xp: Any, x: Any, *, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Any:
    """Kernel of `max_pool2d`, for float32 and windows of at most 256 elements."""
    if not _takes(x, kernel_size) or kernel_size[0] * kernel_size[1] > 256:
        return None
    (N, C, *size), windows = x.shape, (kernel_size, stride, padding, dilation)
    counts = _counts(size, *windows, ceil_mode)
    if min(counts) < 1:
        return None
    y, flat_y = _images(N, counts, C, FLOAT)
    winner, flat_winner = _images(N, counts, C, np.uint8)
    geometry = _geometry(size, C, counts, *windows)
    _in_rows(max_loop, N * counts[0], size[1] * C * stride[0], flat_like(x), flat_y, flat_winner, geometry)
    return y, winner


def window_scatter_forward(
    xp: Any, x: Any, winner: Any, *, size: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any
) -> Any:
    """Kernel of `window_scatter`, the gradient of `max_pool2d`: each element collects from the windows that see it."""
    if not _takes(x, size, kernel_size) or winner.dtype != np.uint8 or winner.shape != x.shape:
        return None
    N, C, *counts = x.shape
    y, flat = _images(N, size, C, FLOAT)
    geometry = _geometry(size, C, counts, kernel_size, stride, padding, dilation)
    _in_rows(scatter_loop, N * size[0], size[1] * C, flat_like(x), flat_like(winner), flat, geometry)
    return y


# ---------------------------------------------------------------- means


def _divisors(divisor: Any, size: Any, counts: Any, kernel_size: Any, stride: Any, padding: Any) -> Any:
    """Each window's divisor is rows[h] columns[w]: the lengths that count, one array after the other."""
    if not isinstance(divisor, str):
        return np.array([divisor] * counts[0] + [1] * counts[1], np.int64)
    lengths = []
    for n, m, k, s, p in zip(size, counts, kernel_size, stride, padding, strict=True):
        first = np.arange(m) * s - p
        low, high = (-p, n + p) if divisor == "padded" else (0, n)
        lengths.append(np.minimum(first + k, high) - np.maximum(first, low))
    return np.concatenate(lengths).astype(np.int64)


def avg_pool2d_forward(
    xp: Any, x: Any, *, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, divisor: Any
) -> Any:
    """Kernel of `avg_pool2d`."""
    if (
        not _takes(x, kernel_size)
        or not isinstance(divisor, (str, int))
        or kernel_size[0] * kernel_size[1] > 1024
    ):
        return None
    (N, C, *size), windows = x.shape, (kernel_size, stride, padding)
    counts = _counts(size, *windows, (1, 1), ceil_mode)
    if min(counts) < 1:
        return None
    y, flat = _images(N, counts, C, FLOAT)
    divisors = _divisors(divisor, size, counts, *windows)
    geometry = _geometry(size, C, counts, *windows, (1, 1))
    _in_rows(avg_loop, N * counts[0], size[1] * C * stride[0], flat_like(x), flat, divisors, geometry)
    return y


def avg_pool2d_transposed_forward(
    xp: Any, x: Any, *, size: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, divisor: Any
) -> Any:
    """Kernel of `avg_pool2d_transposed`."""
    if not _takes(x, size, kernel_size) or not isinstance(divisor, (str, int)):
        return None
    N, C, *counts = x.shape
    y, flat = _images(N, size, C, FLOAT)
    divisors = _divisors(divisor, size, counts, kernel_size, stride, padding)
    geometry = _geometry(size, C, counts, kernel_size, stride, padding, (1, 1))
    _in_rows(avg_transposed_loop, N * size[0], size[1] * C, flat_like(x), flat, divisors, geometry)
    return y


def _pieces(size: Any, counts: Any) -> dict[str, Any] | None:
    """The windows that pieces of equal size are; None if they are not of equal size."""
    if size[0] % counts[0] or size[1] % counts[1]:
        return None
    piece = size[0] // counts[0], size[1] // counts[1]
    how = {"kernel_size": piece, "stride": piece, "padding": (0, 0), "ceil_mode": False}
    return {**how, "divisor": piece[0] * piece[1]}


def adaptive_avg_pool2d_forward(xp: Any, x: Any, *, size: Any) -> Any:
    """Kernel of `adaptive_avg_pool2d`, for pieces of equal size: global average pooling above all."""
    if not _takes(x, size):
        return None
    windows = _pieces(x.shape[2:], size)
    return windows and avg_pool2d_forward(xp, x, **windows)


def adaptive_avg_pool2d_transposed_forward(xp: Any, x: Any, *, size: Any) -> Any:
    """Kernel of `adaptive_avg_pool2d_transposed`."""
    if not _takes(x, size):
        return None
    windows = _pieces(size, x.shape[2:])
    return windows and avg_pool2d_transposed_forward(xp, x, size=size, **windows)
