"""Loops over flat float32 arrays of equal size, cut into blocks of `step`; see `elementwise.py`."""

from __future__ import annotations

import numpy as np

from minigrad.backend.native import smooth
from minigrad.backend.native.compiling import inlined, kernel
from minigrad.backend.native.instructions import next_block

_ZERO, _ONE = np.float32(0), np.float32(1)
_exp, _sigmoid, _tanh, _normal = smooth.exp, smooth.sigmoid, smooth.tanh, smooth.normal_cdf_and_density


@inlined
def _bounds(block, step, x):
    return block * step, min((block + 1) * step, x.size)


@kernel
def add(counter, blocks, step, a, b, y):
    """y = a + b."""
    block = next_block(counter)
    while block < blocks:
        i, j = _bounds(block, step, y)
        u, v, w = a[i:j], b[i:j], y[i:j]
        for k in range(w.size):
            w[k] = u[k] + v[k]
        block = next_block(counter)


@kernel
def relu(counter, blocks, step, x, y):
    """y = max(x, 0)."""
    block = next_block(counter)
    while block < blocks:
        i, j = _bounds(block, step, y)
        u, w = x[i:j], y[i:j]
        for k in range(w.size):
            w[k] = _ZERO if u[k] < _ZERO else u[k]  # NaN stays
        block = next_block(counter)


@kernel
def relu_gradient(counter, blocks, step, gy, y, gx):
    """gx = gy [y > 0]."""
    block = next_block(counter)
    while block < blocks:
        i, j = _bounds(block, step, gx)
        u, v, w = gy[i:j], y[i:j], gx[i:j]
        for k in range(w.size):
            w[k] = u[k] if v[k] > _ZERO else _ZERO
        block = next_block(counter)


@kernel
def masked(counter, blocks, step, x, mask, y, scale):
    """y = x scale mask, the mask of bytes 0 and 1."""
    block = next_block(counter)
    while block < blocks:
        i, j = _bounds(block, step, y)
        u, v, w = x[i:j], mask[i:j], y[i:j]
        for k in range(w.size):
            w[k] = u[k] * scale * np.float32(v[k])
        block = next_block(counter)


@kernel
def exp(counter, blocks, step, x, y):
    """y = e^x."""
    block = next_block(counter)
    while block < blocks:
        i, j = _bounds(block, step, y)
        u, w = x[i:j], y[i:j]
        for k in range(w.size):
            w[k] = _exp(u[k])
        block = next_block(counter)


@kernel
def sigmoid(counter, blocks, step, x, y):
    """y = 1 / (1 + e^-x)."""
    block = next_block(counter)
    while block < blocks:
        i, j = _bounds(block, step, y)
        u, w = x[i:j], y[i:j]
        for k in range(w.size):
            w[k] = _sigmoid(u[k])
        block = next_block(counter)


@kernel
def sigmoid_gradient(counter, blocks, step, gy, y, gx):
    """gx = gy y (1 - y)."""
    block = next_block(counter)
    while block < blocks:
        i, j = _bounds(block, step, gx)
        u, v, w = gy[i:j], y[i:j], gx[i:j]
        for k in range(w.size):
            w[k] = u[k] * (v[k] * (_ONE - v[k]))
        block = next_block(counter)


@kernel
def tanh(counter, blocks, step, x, y):
    """y = tanh x."""
    block = next_block(counter)
    while block < blocks:
        i, j = _bounds(block, step, y)
        u, w = x[i:j], y[i:j]
        for k in range(w.size):
            w[k] = _tanh(u[k])
        block = next_block(counter)


@kernel
def tanh_gradient(counter, blocks, step, gy, y, gx):
    """gx = gy (1 - y^2)."""
    block = next_block(counter)
    while block < blocks:
        i, j = _bounds(block, step, gx)
        u, v, w = gy[i:j], y[i:j], gx[i:j]
        for k in range(w.size):
            w[k] = u[k] * (_ONE - v[k] * v[k])
        block = next_block(counter)


@kernel
def silu(counter, blocks, step, x, y):
    """y = x sigmoid(x)."""
    block = next_block(counter)
    while block < blocks:
        i, j = _bounds(block, step, y)
        u, w = x[i:j], y[i:j]
        for k in range(w.size):
            w[k] = u[k] / (_ONE + _exp(-u[k]))
        block = next_block(counter)


@kernel
def silu_gradient(counter, blocks, step, gy, x, gx):
    """gx = gy s (1 + x (1 - s)), s = sigmoid(x)."""
    block = next_block(counter)
    while block < blocks:
        i, j = _bounds(block, step, gx)
        u, v, w = gy[i:j], x[i:j], gx[i:j]
        for k in range(w.size):
            s = _sigmoid(v[k])
            w[k] = u[k] * (s * (_ONE + v[k] * (_ONE - s)))
        block = next_block(counter)


@kernel
def gelu(counter, blocks, step, x, y):
    """y = x Phi(x)."""
    block = next_block(counter)
    while block < blocks:
        i, j = _bounds(block, step, y)
        u, w = x[i:j], y[i:j]
        for k in range(w.size):
            w[k] = u[k] * _normal(u[k])[0]
        block = next_block(counter)


@kernel
def gelu_gradient(counter, blocks, step, gy, x, gx):
    """gx = gy (Phi(x) + x Phi'(x))."""
    block = next_block(counter)
    while block < blocks:
        i, j = _bounds(block, step, gx)
        u, v, w = gy[i:j], x[i:j], gx[i:j]
        for k in range(w.size):
            distribution, density = _normal(v[k])
            w[k] = u[k] * (distribution + v[k] * density)
        block = next_block(counter)
