"""The loops of `optimizers.py`. A block is a stretch of one parameter: at most STEP numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from minigrad.backend.native.compiling import inlined, kernel
from minigrad.backend.native.instructions import next_block

STEP = 1 << 14
_ZERO = np.float32(0)

# An array object begins with Python's reference count and type; then comes the address of its data (the struct
# PyArrayObject of NumPy's C interface). Asking each array for it in Python takes a microsecond.
_DATA = 2 * np.dtype(np.intp).itemsize


@intrinsic
def _data_of(typingctx: Any, array_object: Any) -> Any:
    """Where the float32 numbers of an array are, given where the array object is, which is its `id`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.add(args[0], ir.Constant(args[0].type, _DATA))
        return builder.load(builder.inttoptr(place, ir.FloatType().as_pointer().as_pointer()))

    return types.CPointer(types.float32)(array_object), codegen


@inlined
def _stretch(block, ends, sizes, objects, column, k):
    """Block `block` of the k-th array of a column."""
    start = (block - (ends[k - 1] if k else 0)) * STEP
    return carray(_data_of(objects[column, k]), sizes[k])[start : min(start + STEP, sizes[k])]


@kernel
def sgd_update(counter, blocks, ends, sizes, objects, common, lr):
    """w -= lr g."""
    sign, penalty = common
    block = next_block(counter)
    while block < blocks:
        k = np.searchsorted(ends, block, "right")
        w, g = _stretch(block, ends, sizes, objects, 0, k), _stretch(block, ends, sizes, objects, 1, k)
        for i in range(w.size):
            d = sign * g[i] + penalty * w[i] if penalty != _ZERO else sign * g[i]
            w[i] -= lr * d
        block = next_block(counter)


@kernel
def momentum_update(counter, blocks, ends, sizes, objects, common, lr, first, momentum, kept, nesterov):
    """v = momentum v + kept g, or g at first; w -= lr v, or lr (g + momentum v)."""
    sign, penalty = common
    block = next_block(counter)
    while block < blocks:
        k = np.searchsorted(ends, block, "right")
        w, g = _stretch(block, ends, sizes, objects, 0, k), _stretch(block, ends, sizes, objects, 1, k)
        v = _stretch(block, ends, sizes, objects, 2, k)
        fresh = first[k]
        for i in range(w.size):
            d = sign * g[i] + penalty * w[i] if penalty != _ZERO else sign * g[i]
            moved = d if fresh else momentum * v[i] + kept * d
            v[i] = moved
            w[i] -= lr * (d + momentum * moved if nesterov else moved)
        block = next_block(counter)


@kernel
def adam_update(
    counter, blocks, ends, sizes, objects, common, shrink, rates, step1, beta2, step2, amsgrad
):  # fmt: skip
    """w = shrink w - rate m / (sqrt(v) + small), the averages having been moved; rates: all rates, then all small."""
    sign, penalty = common
    block = next_block(counter)
    while block < blocks:
        k = np.searchsorted(ends, block, "right")
        w, g = _stretch(block, ends, sizes, objects, 0, k), _stretch(block, ends, sizes, objects, 1, k)
        m, v = _stretch(block, ends, sizes, objects, 2, k), _stretch(block, ends, sizes, objects, 3, k)
        rate, small = rates[k], rates[sizes.size + k]
        if amsgrad:
            largest = _stretch(block, ends, sizes, objects, 4, k)
            for i in range(w.size):
                one = shrink * w[i]
                d = sign * g[i] + penalty * one if penalty != _ZERO else sign * g[i]
                m[i] += step1 * (d - m[i])
                v[i] = beta2 * v[i] + step2 * (d * d)
                before = largest[i]
                most = before if before >= v[i] else v[i]  # NaN in v stays there, and so here
                largest[i] = most
                w[i] = one - rate * (m[i] / (np.sqrt(most) + small))
        else:
            for i in range(w.size):
                one = shrink * w[i]
                d = sign * g[i] + penalty * one if penalty != _ZERO else sign * g[i]
                m[i] += step1 * (d - m[i])
                v[i] = beta2 * v[i] + step2 * (d * d)
                w[i] = one - rate * (m[i] / (np.sqrt(v[i]) + small))
        block = next_block(counter)
