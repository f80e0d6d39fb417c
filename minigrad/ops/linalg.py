"""The two products that networks are made of: of (batches of) matrices, and the fully connected layer's."""

from __future__ import annotations

from typing import Any

from minigrad.engine import describe
from minigrad.errors import DtypeError, ShapeError
from minigrad.op import operation
from minigrad.ops.arguments import count, need_tensor

__all__ = ["linear", "matmul"]
METHODS = ["matmul"]

_GILES = "Giles 2008, Collected matrix derivative results for algorithmic differentiation, section 2.2.2"


# ---------------------------------------------------------------- matmul


@operation(
    formula="y[..., i, j] = sum_k a[..., i, k] b[..., k, j]",
    gradient_formula="ga = gy b^T, gb = a^T gy",
    source=_GILES,
    samples=lambda draw: [
        draw.call(draw.normal(2, 3), draw.normal(3, 4)),
        draw.call(draw.normal(2, 1, 2, 3), draw.normal(4, 3, 2)),
        draw.call(draw.normal(2, 2, 3), draw.normal(3, 2)),
        draw.call(draw.normal(3), draw.normal(3)),
        draw.call(draw.normal(3), draw.normal(2, 3, 4)),
        draw.call(draw.normal(2, 4, 3), draw.normal(3)),
    ],
    broadcast=True,
    kept_for={"a": "b", "b": "a"},
    flops=lambda inputs, outputs, params: 2 * count(outputs[0]) * inputs[0][-1],
)
def matmul(xp, a, b):
    """Matrix product of the last two dimensions; the dimensions before them are a batch and broadcast.

        y[..., i, j] = sum over k of a[..., i, k] b[..., k, j]

    a: (..., I, K), or (K,), read as a row
    b: (..., K, J), or (K,), read as a column; of the dtype of a

    Returns (..., I, J), without I (J) if a (b) is a vector; two vectors give their 0-dimensional dot product.
    Gradient: ga = gy b^T, gb = a^T gy, summed over a broadcast batch. Memory: a is kept for gb, b for ga.
    Errors: ShapeError if the lengths K differ, the batches do not broadcast, or an operand has no dimensions;
    DtypeError for differing dtypes, and for bools.
    Source: Giles 2008, section 2.2.2.

    >>> import minigrad as mg
    >>> mg.matmul(mg.tensor([[1.0, 2.0], [3.0, 4.0]]), mg.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
    require_one_dtype("matmul", a, b)
    if not (a.ndim and b.ndim) or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ShapeError(
            f"matmul: a {list(a.shape)} and b {list(b.shape)} do not fit; the last length of a must be the last "
            "but one of b (its only one, if b is a vector), and neither may be 0-dimensional"
        )
    if a.ndim > 2 and b.ndim == 2:  # one matrix for the whole batch: all rows of a make one large product
        return xp.matmul(a.reshape(count(a.shape[:-1]), a.shape[-1]), b).reshape((*a.shape[:-1], b.shape[1]))
    return xp.matmul(a, b)


@matmul.gradient
def matmul_gradient(xp, gy, a, b, a_shape, b_shape, needs):
    # A vector is a row on the left, a column on the right
    left = a_shape if len(a_shape) > 1 else (1, *a_shape)
    right = b_shape if len(b_shape) > 1 else (*b_shape, 1)
    one_matrix = len(right) == 2
    if one_matrix:  # as in the forward
        left = (count(left[:-1]), left[-1])
        gy = gy.reshape((left[0], right[1]))
    elif len(a_shape) == 1:
        gy = gy.reshape((*gy.shape[:-1], 1, gy.shape[-1]))
    ga = gb = None
    if needs[0]:
        ga = xp.matmul(gy, xp.swapaxes(b.reshape(right), -1, -2))
        ga = ga.reshape(a_shape) if one_matrix else ga
    if needs[1]:
        gb = xp.matmul(xp.swapaxes(a.reshape(left), -1, -2), gy)
        gb = gb.reshape(b_shape) if one_matrix else gb
    return ga, gb


def require_one_dtype(op: str, *arrays: Any) -> None:
    """DtypeError unless all arrays (None among them is nothing) have one dtype, and not bool."""
    arrays = tuple(a for a in arrays if a is not None)
    if len({a.dtype for a in arrays}) > 1 or arrays[0].dtype == bool:
        raise DtypeError(
            f"{op} needs numbers of one dtype; got {', '.join(map(describe, arrays))}. Convert with .to(dtype)"
        )


# ---------------------------------------------------------------- linear


@operation(
    name="linear",
    formula="y = x w^T + b",
    gradient_formula="gx = gy w, gw = gy^T x, gb = sum of gy over all rows",
    source=_GILES,
    samples=lambda draw: [
        draw.call(draw.normal(4, 3), draw.normal(2, 3), draw.normal(2)),
        draw.call(draw.normal(2, 2, 3), draw.normal(4, 3), None),
        draw.call(draw.normal(3), draw.normal(2, 3), draw.normal(2)),
    ],
    kept_for={"x": "w", "w": "x"},
    flops=lambda inputs, outputs, params: 2 * count(outputs[0]) * inputs[0][-1],
)
def _linear(xp, x, w, b):
    require_one_dtype("linear", x, w, b)
    y = xp.matmul(x.reshape(count(x.shape[:-1]), w.shape[1]), w.T)  # one product of (rows, in) and (in, out)
    if b is not None:
        y += b
    return y.reshape((*x.shape[:-1], w.shape[0]))


@_linear.gradient
def linear_gradient(xp, gy, x, w, x_shape, w_shape, needs):
    rows = count(x_shape[:-1])
    gy = gy.reshape((rows, w_shape[0]))
    gx = xp.matmul(gy, w).reshape(x_shape) if needs[0] else None
    gw = xp.matmul(xp.transpose(gy), x.reshape((rows, w_shape[1]))) if needs[1] else None
    gb = xp.sum(gy, axis=0) if needs[2] else None
    return gx, gw, gb


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """Fully connected layer: y = x weight^T + bias.

    x:      (..., in); all leading dimensions are rows of one product
    weight: (out, in), or (in,) for a result without the last dimension; of the dtype of x
    bias:   (out,), 0-dimensional beside a weight (in,), or None

    Returns (..., out).
    Gradient: gx = gy weight, gweight = gy^T x, gbias = sum of gy over the rows.
    Memory: x is kept for the gradient by weight, weight for that by x.
    Errors: ShapeError if the last length of x is not `in`, or bias does not have length `out`; DtypeError for differing
    dtypes.
    Source: Giles 2008, section 2.2.2.

    >>> import minigrad as mg
    >>> mg.nn.functional.linear(mg.tensor([1.0, 2.0]), mg.tensor([[1.0, 1.0], [0.0, -1.0]]), mg.tensor([0.5, 0.0]))
    tensor([ 3.5, -2. ])
    """
    need_tensor("linear", x)
    if weight.ndim not in (1, 2) or not x.ndim or x.shape[-1] != weight.shape[-1]:
        raise ShapeError(
            f"linear: x {list(x.shape)} and weight {list(weight.shape)} do not fit; weight must be (out, in), and the "
            "last length of x its `in`"
        )
    if bias is not None and tuple(bias.shape) != tuple(weight.shape[:-1]):
        raise ShapeError(
            f"linear: bias must have shape {list(weight.shape[:-1])}, the `out` of weight {list(weight.shape)}; "
            f"got {list(bias.shape)}"
        )
    if weight.ndim == 1:
        return _linear(x, weight.reshape((1, -1)), None if bias is None else bias.reshape((1,))).reshape(
            x.shape[:-1]
        )
    return _linear(x, weight, bias)
