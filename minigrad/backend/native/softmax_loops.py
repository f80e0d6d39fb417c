"""The loops of `softmax.py`: over rows of n numbers, cut into blocks of `step` rows."""

from __future__ import annotations

import math

import numpy as np

from minigrad.backend.native.compiling import kernel
from minigrad.backend.native.instructions import next_block
from minigrad.backend.native.rows import row_dot, row_max, row_sum
from minigrad.backend.native.smooth import exp, inlined


@inlined
def _exponentials(x, first, y, y0, n):
    """y[y0 + k] = e^(x[first + k] - most), most being the largest x; returns it, and their sum."""
    most = row_max(x, first, n)
    a, b = x[first : first + n], y[y0 : y0 + n]
    for k in range(n):
        b[k] = exp(a[k] - most)
    return most, row_sum(y, y0, n)


@kernel
def softmax_loop(counter, blocks, rows, step, n, x, y):
    """y = e^x / sum of e^x."""
    block = next_block(counter)
    while block < blocks:
        for first in range(block * step * n, min((block + 1) * step, rows) * n, n):
            total = _exponentials(x, first, y, first, n)[1]
            b = y[first : first + n]
            for k in range(n):
                b[k] /= total
        block = next_block(counter)


@kernel
def softmax_gradient_loop(counter, blocks, rows, step, n, gy, y, gx):
    """gx = y (gy - sum of gy y)."""
    block = next_block(counter)
    while block < blocks:
        for first in range(block * step * n, min((block + 1) * step, rows) * n, n):
            total = row_dot(gy, first, y, first, n)
            a, b, c = gy[first : first + n], y[first : first + n], gx[first : first + n]
            for k in range(n):
                c[k] = b[k] * (a[k] - total)
        block = next_block(counter)


@kernel
def log_softmax_loop(counter, blocks, rows, step, n, x, y):
    """y = x - log of the sum of e^x."""
    block = next_block(counter)
    while block < blocks:
        for first in range(block * step * n, min((block + 1) * step, rows) * n, n):
            most, total = _exponentials(x, first, y, first, n)
            log_total = np.float32(math.log(total))
            a, b = x[first : first + n], y[first : first + n]
            for k in range(n):
                b[k] = (a[k] - most) - log_total
        block = next_block(counter)


@kernel
def log_softmax_gradient_loop(counter, blocks, rows, step, n, gy, y, gx):
    """gx = gy - e^y sum of gy."""
    block = next_block(counter)
    while block < blocks:
        for first in range(block * step * n, min((block + 1) * step, rows) * n, n):
            total = row_sum(gy, first, n)
            a, b, c = gy[first : first + n], y[first : first + n], gx[first : first + n]
            for k in range(n):
                c[k] = a[k] - exp(b[k]) * total
        block = next_block(counter)


@kernel
def cross_entropy_loop(counter, blocks, rows, step, n, x, targets, losses, ignored, smoothing):
    """loss = -(1 - smoothing) log p_target - smoothing times the mean of all log p; 0 for targets that do not count."""
    scratch = np.empty(n, np.float32)
    block = next_block(counter)
    while block < blocks:
        for row in range(block * step, min((block + 1) * step, rows)):
            target = targets[row]
            losses[row] = 0
            if target == ignored or target < 0 or target >= n:
                continue
            first = row * n
            most, total = _exponentials(x, first, scratch, 0, n)
            log_total = math.log(total)
            loss = log_total - (x[first + target] - most)
            if smoothing > 0:
                even = 0.0
                for k in range(n):
                    even += x[first + k] - most
                loss = (1 - smoothing) * loss + smoothing * (log_total - even / n)
            losses[row] = loss
        block = next_block(counter)


@kernel
def cross_entropy_gradient_loop(counter, blocks, rows, step, n, x, targets, each, gx, ignored, smoothing):
    """gx = each (softmax(x) - q), q the share of each class in the target; 0 for targets that do not count."""
    even = smoothing / np.float32(n)
    block = next_block(counter)
    while block < blocks:
        for row in range(block * step, min((block + 1) * step, rows)):
            first, target, g = row * n, targets[row], each[row]
            b = gx[first : first + n]
            if target == ignored or target < 0 or target >= n:
                b[:] = 0
                continue
            scale = np.float32(1) / _exponentials(x, first, gx, first, n)[1]
            own = b[target] * scale - ((np.float32(1) - smoothing) + even)
            for k in range(n):
                b[k] = g * (b[k] * scale - even)
            b[target] = g * own
        block = next_block(counter)
