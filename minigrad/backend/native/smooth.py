"""Exponentials and their kin in float32, one number at a time, written so that the compiler makes vectors of them.

Every function is a short chain of multiply-adds without branches: loops over them run 8 or 16 numbers abreast.
Largest relative errors, against float64: exp 1e-7, tanh and sigmoid 2e-7, the normal distribution 5e-7 for |x| < 3, and
5e-6 where it is all but 0, since x^2 is rounded there before it becomes an exponent.

exp(x) = 2^k e^r with k = round(x / ln 2) and |r| <= ln 2 / 2, e^r by Taylor's series to the seventh power, whose error
is 6e-9. (Cody & Waite 1980, "Software manual for the elementary functions", chapter 6.)
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

# A loop becomes vectors only if what it calls is part of it: LLVM would leave the longer ones of these as calls
inlined = numba.njit(forceinline=True, fastmath={"contract"}, error_model="numpy", nogil=True)

_f = np.float32
_LOG2_E = _f(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = (
    _f(0.693359375),
    _f(-2.12194440054690583e-4),
)  # the first has few bits: k times it is exact
_ROUND = _f(
    12582912.0
)  # 1.5 2^23: a number added to it is rounded to a whole one, which stands in the last bits
_ROUND_BITS = np.int32(_ROUND.view(np.int32))
_2, _3, _4, _5, _6, _7 = (_f(1 / v) for v in (2, 6, 24, 120, 720, 5040))
_ONE, _HALF = _f(1), _f(0.5)
_LOWEST, _HIGHEST = _f(-104), _f(89)  # where e^x is 0, and infinite
_SQRT_HALF, _DENSITY = _f(0.5**0.5), _f((2 * np.pi) ** -0.5)

# erfcx(z) = e^(z^2) erfc(z) = t P(t), t = 1 / (1 + z / 2), for z from 0 to 10.5: a fit at Chebyshev's points, whose
# relative error is 4e-8
_P0, _P1, _P2, _P3, _P4, _P5, _P6, _P7, _P8, _P9 = (
    _f(v)
    for v in (
        0.28206056, 0.28295335, 0.23766873, 0.23094691, -0.11642385,
        0.45952307, -0.72124139, 0.47106159, -0.14266279, 0.01611382,
    )
)  # fmt: skip


@intrinsic
def _bits(typingctx: Any, x: Any) -> Any:
    """The bits of a float32 as an int32."""
    return types.int32(types.float32), lambda context, builder, signature, args: builder.bitcast(
        args[0], ir.IntType(32)
    )


@intrinsic
def _of_bits(typingctx: Any, bits: Any) -> Any:
    """The float32 of these bits."""
    return types.float32(types.int32), lambda context, builder, signature, args: builder.bitcast(
        args[0], ir.FloatType()
    )


@inlined
def _power_of_two(k):
    """2^k for whole k from -126 to 127, as bits."""
    return _of_bits(np.int32((k + np.int32(127)) << np.int32(23)))


@inlined
def _times_power_of_two(y, k):
    """y 2^k, k of any size that exponentials need: in two steps, so that neither power leaves the range."""
    half = np.int32(k >> np.int32(1))
    return y * _power_of_two(half) * _power_of_two(np.int32(k - half))


@inlined
def _reduced(x):
    """k = round(x / ln 2), and x - k ln 2."""
    shifted = x * _LOG2_E + _ROUND
    whole = shifted - _ROUND
    return np.int32(_bits(shifted) - _ROUND_BITS), (x - whole * _LN2_HIGH) - whole * _LN2_LOW


@inlined
def _expm1_of_small(r):
    """e^r - 1 for |r| <= ln 2 / 2, with a small relative error."""
    return r + r * r * (_2 + r * (_3 + r * (_4 + r * (_5 + r * (_6 + r * _7)))))


@inlined
def exp(x):
    """e^x; 0 and infinity beyond the range of float32, NaN for NaN."""
    x = _LOWEST if x < _LOWEST else x
    x = _HIGHEST if x > _HIGHEST else x
    k, r = _reduced(x)
    return _times_power_of_two(_ONE + _expm1_of_small(r), k)


@inlined
def sigmoid(x):
    """1 / (1 + e^-x)."""
    return _ONE / (_ONE + exp(-x))


@inlined
def tanh(x):
    """(e^2x - 1) / (e^2x + 1), by way of e^2|x| - 1, which is accurate near 0 too."""
    size = abs(x)
    size = _f(10) if size > _f(10) else size
    k, r = _reduced(size + size)
    power = _power_of_two(k)
    less_one = power * _expm1_of_small(r) + (power - _ONE)
    y = less_one / (less_one + _f(2))
    return -y if x < _f(0) else y


@inlined
def normal_cdf_and_density(x):
    """Phi(x) = erfc(-x / sqrt 2) / 2, accurate in both tails, and its derivative."""
    size = abs(x)
    bell = exp(_f(-0.5) * (size * size))
    size = _f(14.5) if size > _f(14.5) else size
    t = _ONE / (_ONE + _HALF * (size * _SQRT_HALF))
    high = _P5 + t * (_P6 + t * (_P7 + t * (_P8 + t * _P9)))
    tail = _HALF * bell * t * (_P0 + t * (_P1 + t * (_P2 + t * (_P3 + t * (_P4 + t * high)))))
    return (_ONE - tail if x > _f(0) else tail), _DENSITY * bell
