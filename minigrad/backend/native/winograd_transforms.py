"""The small matrices of Winograd's convolution F(4x4, 3x3), and the code that applies them to vectors of channels.

Four outputs y_i = sum_k d[i + k] g[k] of a filter with three taps are the coefficients of a product of polynomials.
That product is known by its values at six points, where it costs one multiplication each instead of twelve:

    y = A^T [(G g) * (B^T d)],    in two dimensions Y = A^T [(G g G^T) * (B^T d B)] A

with the six points 0, +-1/sqrt(2), +-sqrt(2), infinity. With the usual points 0, +-1, +-2 the error is four times as
large: with 512 channels 1.3e-5 of the largest output, against 3e-6 here.

Sources: Winograd 1980, "Arithmetic complexity of computations", section 4; Lavin & Gray 2016, "Fast algorithms for
convolutional neural networks", section 4; that points matter: Barabasz et al. 2020, "Error analysis and improving the
accuracy of Winograd convolution for deep neural networks".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minigrad.backend.native.instructions import LANES, VECTOR, load_vector, multiply_add, pointer_to

TILE, TAPS = 4, 3  # outputs and taps along each axis
SIZE = TILE + TAPS - 1  # inputs along each axis, and points


def _matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A (6, 4), G (6, 3) and B (6, 6), by Lagrange's interpolation in the points."""
    points = np.array([0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5)])
    a, g, b = np.zeros((SIZE, TILE)), np.zeros((SIZE, TAPS)), np.zeros((SIZE, SIZE))
    for i, point in enumerate(points):
        others = np.delete(points, i)
        a[i] = point ** np.arange(TILE)
        g[i] = point ** np.arange(TAPS) / np.prod(point - others)
        b[: SIZE - 1, i] = np.poly(others)[::-1]
    a[-1, -1] = g[-1, -1] = 1  # the point at infinity: the leading coefficient
    b[:, -1] = np.poly(points)[::-1]
    return a, g, b


_A, _G, _B = (np.where(np.abs(m) < 1e-12, 0, m) for m in _matrices())
_KINDS = {  # y = M x M^T
    0: _B.T,  # an input tile to its values at the points
    1: _A.T,  # values at the points to outputs
    2: _G,  # a filter to its values at the points
    3: _A,  # the gradient of outputs to that of values at the points
    4: _G.T,  # the gradient of a filter's values at the points to that of the filter
}
INPUT, OUTPUT, FILTER, OUTPUT_GRADIENT, FILTER_GRADIENT = _KINDS


def _times_matrix(builder: Any, matrix: np.ndarray, x: list) -> list:
    """matrix @ x, each x a vector. Points come in pairs +-p: the two rows share their even and their odd part."""
    rows: list[Any] = [None] * len(matrix)
    for i, row in enumerate(matrix):
        if rows[i] is not None:
            continue
        odd = np.arange(len(row)) % 2 == 1
        twins = [j for j in range(i + 1, len(matrix)) if np.allclose(matrix[j], np.where(odd, -row, row))]
        if twins and row[odd].any() and row[~odd].any():
            even_part = _combination(builder, np.where(odd, 0, row), x)
            odd_part = _combination(builder, np.where(odd, row, 0), x)
            rows[i] = builder.fadd(even_part, odd_part)
            rows[twins[0]] = builder.fsub(even_part, odd_part)
        else:
            rows[i] = _combination(builder, row, x)
    return rows


def _combination(builder: Any, coefficients: np.ndarray, x: list) -> Any:
    """sum of coefficients[k] x[k], those with coefficient 1 first, which cost no multiplication."""
    terms = sorted((k for k in range(len(x)) if coefficients[k]), key=lambda k: (coefficients[k] != 1, k))
    total = None
    for k in terms:
        constant = ir.Constant(
            VECTOR, [ir.Constant(ir.FloatType(), float(np.float32(coefficients[k])))] * LANES
        )
        if total is None:
            total = x[k] if coefficients[k] == 1 else builder.fmul(constant, x[k])
        else:
            total = multiply_add(builder, constant, x[k], total)
    return total


@intrinsic(prefer_literal=True)
def transform(
    typingctx: Any, kind: Any,
    y: Any, y0: Any, y_row: Any, y_column: Any, rows: Any, columns: Any,
    x: Any, x0: Any, x_row: Any, x_column: Any,
) -> Any:  # fmt: skip
    """y[i, j] = sum_ab M[i, a] M[j, b] x[a, b] for a vector of LANES channels, M one of the matrices above.

    kind: literal, which matrix. y[i, j] is at y[y0 + i y_row + j y_column], and is written for i < rows and
    j < columns only; x[a, b] at x[x0 + a x_row + b x_column]. Offsets count numbers.
    """
    matrix = _KINDS[kind.literal_value]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, y, y0, y_row, y_column, rows, columns, x, x0, x_row, x_column = args
        i64, n, m = ir.IntType(64), matrix.shape[1], matrix.shape[0]
        start = pointer_to(context, builder, signature.args[7], x, x0)
        half: list[list] = [[None] * n for _ in range(m)]  # M x
        for b in range(n):
            column = [
                builder.gep(
                    start,
                    [
                        builder.add(
                            builder.mul(x_row, ir.Constant(i64, a)),
                            builder.mul(x_column, ir.Constant(i64, b)),
                        )
                    ],
                )
                for a in range(n)
            ]
            for i, value in enumerate(
                _times_matrix(builder, matrix, [load_vector(builder, c) for c in column])
            ):
                half[i][b] = value
        target = pointer_to(context, builder, signature.args[1], y, y0)
        for i in range(m):
            results = _times_matrix(builder, matrix, half[i])  # (M x) M^T, row by row
            with builder.if_then(builder.icmp_signed("<", ir.Constant(i64, i), rows), likely=True):
                for j in range(m):
                    place = builder.gep(
                        target,
                        [
                            builder.add(
                                builder.mul(y_row, ir.Constant(i64, i)),
                                builder.mul(y_column, ir.Constant(i64, j)),
                            )
                        ],
                    )
                    with builder.if_then(builder.icmp_signed("<", ir.Constant(i64, j), columns), likely=True):
                        builder.store(results[j], builder.bitcast(place, VECTOR.as_pointer())).align = 4
        return context.get_dummy_value()

    whole = types.int64
    return types.void(kind, y, whole, whole, whole, whole, whole, x, whole, whole, whole), codegen
