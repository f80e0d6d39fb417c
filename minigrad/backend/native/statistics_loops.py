"""The loops of `statistics.py`: one pass over memory for counts, extremes and four moments, with float64's accuracy.

An array is cut into blocks, which threads share, and a block into *stretches* that stay in the first-level cache. A
stretch is looked at twice. The first look finds the extremes, the zeros and the sum, and so a centre c and a power of
two s by which all deviations d = s (x - c) lie in about [-1, 1]; the second sums d, d^2, d^3 and d^4. The scale is what
lets float32 do: the fourth power of a gradient of 1e-10 is below its smallest number. Few numbers come to each lane of
a float32 sum; what is known of stretches is then put together in float64, in their order:

    mean = sum n_b mean_b / n,    D_b = mean_b - mean,    M_k = sum over stretches b of

    M2:  M2_b + n_b D_b^2
    M3:  M3_b + 3 D_b M2_b + n_b D_b^3
    M4:  M4_b + 4 D_b M3_b + 6 D_b^2 M2_b + n_b D_b^4        M_k = sum (x - mean)^k

A stretch whose sum is not finite is looked at again when its finite numbers have been picked out.

Sources: Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance", for mean and M2; Pébay 2008,
"Formulas for robust, one-pass parallel computation of covariances and arbitrary-order statistical moments"
(SAND2008-6212), for M3 and M4, here for any number of stretches at once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minigrad.backend.native import instructions
from minigrad.backend.native.compiling import inlined, kernel
from minigrad.backend.native.instructions import LANES, VECTOR, next_block
from minigrad.backend.native.vectors import (
    FLOATS,
    MASK,
    add,
    greater,
    max_across,
    multiply,
    select,
    spread,
    subtract,
    sum_across,
)
from minigrad.backend.statistics import NUMBERS

STRETCH = 1 << 12
STRETCHES = 8  # in a block
STEP = STRETCHES * STRETCH  # numbers in a block
_TOGETHER = 2 * LANES

# A job is an array, or a parameter with its gradient and its previous values. Its numbers, one row of a table:
END, SIZE, WEIGHT, GRADIENT, PREVIOUS, POSITIONS, COUNT, SAMPLE, COLUMNS = range(9)
# END: the number of the first block of the next job; SIZE: elements; COUNT: positions; the others are the `id` of
# arrays, 0 if there are none: asking arrays for the addresses of their data takes Python a microsecond each.

# What is known of a stretch, in float64
_N, _NANS, _INFS, _ZEROS, _LOW, _HIGH, _MEAN, _M2, _M3, _M4, PARTS = range(11)

_ZERO, _ONE, _INF = np.float32(0), np.float32(1), np.float32(np.inf)
_LARGEST = np.float32(np.finfo(np.float32).max)
_DATA = 2 * np.dtype(np.intp).itemsize  # in an array object: behind the reference count and the type


@intrinsic
def _data_of(typingctx: Any, kind: Any, array_object: Any) -> Any:
    """Where the data of an array of dtype `kind` are, given where the array object is, which is its `id`."""
    pointer = types.CPointer(kind.dtype)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.add(args[1], ir.Constant(args[1].type, _DATA))
        return builder.load(builder.inttoptr(place, context.get_value_type(pointer).as_pointer()))

    return pointer(kind, types.int64), codegen


@intrinsic
def _data(typingctx: Any, array: Any) -> Any:
    """Where the data of an array are."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), codegen


@intrinsic
def _scratch(typingctx: Any) -> Any:
    """Room for the numbers of a stretch, on the thread's stack."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        room = cgutils.alloca_once(builder, ir.FloatType(), size=STRETCH)
        room.align = 64
        return room

    return types.CPointer(types.float32)(), codegen


@intrinsic
def _behind(typingctx: Any, pointer: Any, offset: Any) -> Any:
    """Where the data from `offset` on are."""
    return pointer(pointer, types.int64), lambda context, builder, signature, args: builder.gep(
        args[0], [args[1]]
    )


@intrinsic
def _load(typingctx: Any, x: Any, offset: Any) -> Any:
    """The vector of x[offset : offset + LANES]."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(builder.bitcast(builder.gep(args[0], [args[1]]), VECTOR.as_pointer()))
        value.align = 4
        return value

    return FLOATS(x, types.int64), codegen


@intrinsic
def _multiply_add(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return instructions.multiply_add(builder, *args)

    return FLOATS(FLOATS, FLOATS, FLOATS), codegen


@intrinsic
def _is_zero(typingctx: Any, a: Any) -> Any:
    """Which lanes are 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fcmp_ordered("==", args[0], ir.Constant(args[0].type, None))

    return MASK(a), codegen


@inlined
def _first_look(x, n):
    """Smallest, largest, number of zeros and sum of x[:n]; the sum is not finite if one of the numbers is not."""
    one, low0, high0, sum0, zeros0 = spread(_ONE), spread(_INF), spread(-_INF), spread(_ZERO), spread(_ZERO)
    low1, high1, sum1, zeros1 = low0, high0, sum0, zeros0
    whole = n // _TOGETHER * _TOGETHER
    for i in range(0, whole, _TOGETHER):  # two vectors, so that the next addition need not wait for the last
        a, b = _load(x, i), _load(x, i + LANES)
        low0, low1 = select(greater(low0, a), a, low0), select(greater(low1, b), b, low1)
        high0, high1 = select(greater(a, high0), a, high0), select(greater(b, high1), b, high1)
        sum0, sum1 = add(sum0, a), add(sum1, b)
        zeros0 = select(_is_zero(a), add(zeros0, one), zeros0)
        zeros1 = select(_is_zero(b), add(zeros1, one), zeros1)
    low = _ZERO - max_across(subtract(spread(_ZERO), select(greater(low0, low1), low1, low0)))
    high = max_across(select(greater(high0, high1), high0, high1))
    zeros, total = sum_across(add(zeros0, zeros1)), sum_across(add(sum0, sum1))
    for i in range(whole, n):
        a = x[i]
        low, high = a if a < low else low, a if a > high else high
        zeros += _ONE if a == _ZERO else _ZERO
        total += a
    return low, high, zeros, total


@inlined
def _second_look(x, n, scale, shift):
    """Sums of d, d^2, d^3 and d^4 over d = scale x + shift, x[:n]."""
    s, t = spread(scale), spread(shift)
    a1 = a2 = a3 = a4 = b1 = b2 = b3 = b4 = spread(_ZERO)
    whole = n // _TOGETHER * _TOGETHER
    for i in range(0, whole, _TOGETHER):
        d, e = _multiply_add(_load(x, i), s, t), _multiply_add(_load(x, i + LANES), s, t)
        d2, e2 = multiply(d, d), multiply(e, e)
        a1, b1 = add(a1, d), add(b1, e)
        a2, b2 = add(a2, d2), add(b2, e2)
        a3, b3 = _multiply_add(d2, d, a3), _multiply_add(e2, e, b3)
        a4, b4 = _multiply_add(d2, d2, a4), _multiply_add(e2, e2, b4)
    s1, s2 = 0.0 + sum_across(add(a1, b1)), 0.0 + sum_across(add(a2, b2))
    s3, s4 = 0.0 + sum_across(add(a3, b3)), 0.0 + sum_across(add(a4, b4))
    for i in range(whole, n):
        u = 0.0 + (scale * x[i] + shift)
        s1, s2, s3, s4 = s1 + u, s2 + u * u, s3 + u * u * u, s4 + u * u * (u * u)
    return s1, s2, s3, s4


@inlined
def _describe(x, count, scratch, part):
    """What is known of a stretch x[:count], into part[:PARTS]; scratch, as long, may be x."""
    y, n, nans, picked, mean = x, count, 0, False, 0.0
    while True:
        low, high, zeros, total = _first_look(y, n)
        if picked:
            break
        mean = total / np.float64(n)
        if abs(total) < _INF:
            break
        n, mean = 0, 0.0
        for i in range(count):  # the finite numbers, one behind the other
            v = x[i]
            finite = abs(v) <= _LARGEST
            mean += v if finite else _ZERO
            nans += v != v
            scratch[n] = v
            n += finite
        mean = mean / n if n else 0.0
        y, picked = scratch, True
    # Rounding may not push the centre out: equal numbers have deviations of exactly 0
    centre = np.float32(mean)
    centre = _ZERO if n == 0 else low if centre < low else high if centre > high else centre
    above, below = (0.0 + high) - centre, (0.0 + centre) - low
    exponent = math.frexp(above if above > below else below)[1] if n else 0
    exponent = -126 if exponent < -126 else exponent  # the scale is a float32, too
    unit = math.ldexp(1.0, exponent)
    scale = np.float32(1 / unit)
    s1, s2, s3, s4 = _second_look(y, n, scale, -centre * scale)
    m = s1 / n if n else 0.0  # the mean, as a deviation
    m2, unit2 = m * m, unit * unit
    part[_N], part[_NANS], part[_INFS], part[_ZEROS] = n, nans, count - n - nans, zeros
    part[_LOW], part[_HIGH], part[_MEAN] = low, high, centre + m * unit
    part[_M2] = (s2 - n * m2) * unit2
    part[_M3] = (s3 - 3 * m * s2 + 2 * n * m2 * m) * (unit2 * unit)
    part[_M4] = (s4 - 4 * m * s3 + 6 * m2 * s2 - 3 * n * m2 * m2) * (unit2 * unit2)


@kernel
def gather(counter, blocks, jobs, rows, parts):
    """What is known of the stretches of each block, and its share of the sample.

    rows:  1 for that of one array, 3 for weight, gradient and change; the weights then overwrite the previous values.
    jobs:  int64, flat (jobs, COLUMNS).
    parts: float64, flat (blocks, STRETCHES, rows, PARTS), left as they are where there is no stretch.
    """
    scratch, job, first = _scratch(), _data(jobs), 0
    block = next_block(counter)
    while block < blocks:
        while job[END] <= block:  # a thread's blocks increase
            job, first = _behind(job, COLUMNS), job[END]
        size, count, gradient = job[SIZE], job[COUNT], job[GRADIENT]
        weight, positions = _data_of(np.float32, job[WEIGHT]), _data_of(np.int64, job[POSITIONS])
        sample = _data_of(np.float32, job[SAMPLE])
        start = (block - first) * STEP
        end, p, q = start + STEP, 0, count
        end = size if size < end else end
        while p < q:  # p becomes the first position that is not below the start
            middle = (p + q) // 2
            if positions[middle] < start:
                p = middle + 1
            else:
                q = middle
        part = _behind(_data(parts), block * STRETCHES * rows * PARTS)
        while start < end:
            n = end - start if end - start < STRETCH else STRETCH
            while q < count and positions[q] < start + n:
                q += 1
            for row in range(rows):
                x = _behind(weight, start)
                if row == 1 and gradient:
                    x = _behind(_data_of(np.float32, gradient), start)
                elif row == 2:
                    before = _behind(_data_of(np.float32, job[PREVIOUS]), start)
                    for i in range(n):
                        scratch[i] = x[i] - before[i]
                        before[i] = x[i]
                    x = scratch
                for i in range(p, q):
                    sample[row * count + i] = x[positions[i] - start]
                _describe(x, n, scratch, part)
                part = _behind(part, PARTS)
            start, p = start + n, q
        block = next_block(counter)


@kernel
def finish(jobs, rows, parts, numbers):
    """numbers: float64, flat (jobs, rows, NUMBERS), of what `gather` left of the stretches of each job."""
    job, y, first = _data(jobs), _data(numbers), 0
    for _ in range(jobs.size // COLUMNS):
        for row in range(rows):
            begin = _behind(_data(parts), (first * STRETCHES * rows + row) * PARTS)
            stretches = (job[SIZE] + STRETCH - 1) // STRETCH
            n = nans = infs = zeros = total = 0.0
            low, high = np.inf, -np.inf
            for i in range(stretches):
                b = _behind(begin, i * rows * PARTS)
                n, nans, infs, zeros = n + b[_N], nans + b[_NANS], infs + b[_INFS], zeros + b[_ZEROS]
                total += b[_N] * b[_MEAN]
                low, high = b[_LOW] if b[_LOW] < low else low, b[_HIGH] if b[_HIGH] > high else high
            mean = total / n
            mean = low if mean < low else high if mean > high else mean
            m2 = m3 = m4 = 0.0
            for i in range(stretches):
                b = _behind(begin, i * rows * PARTS)
                m, d = b[_N], b[_MEAN] - mean
                if m > 0:
                    d2 = d * d
                    m2 += b[_M2] + m * d2
                    m3 += b[_M3] + 3 * d * b[_M2] + m * d2 * d
                    m4 += b[_M4] + 4 * d * b[_M3] + 6 * d2 * b[_M2] + m * d2 * d2
            y[0], y[1], y[2], y[3] = n + nans + infs, nans, infs, zeros
            if n > 0:
                variance = m2 / n if m2 > 0 else 0.0
                std = math.sqrt(variance)
                y[4], y[5], y[6], y[7] = low, high, mean, std
                y[8] = m3 / n / (variance * std)  # 0 / 0 if all are equal
                y[9] = m4 / n / (variance * variance)
                y[10] = math.sqrt(n * (variance + mean * mean))
            else:
                for i in range(4, NUMBERS):
                    y[i] = np.nan
            y = _behind(y, NUMBERS)
        first, job = job[END], _behind(job, COLUMNS)
