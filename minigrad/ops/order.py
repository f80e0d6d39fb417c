"""Operations that put elements in order: sort, top k, k-th value, median; and those that count equal ones.

NaN counts as greater than every number, as in PyTorch and NumPy.
"""

from __future__ import annotations

import math
from typing import Any

from minigrad import dtypes
from minigrad.engine import describe
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.op import operation
from minigrad.ops.arguments import along_lines, count, line_dim, need_tensor
from minigrad.ops.dims import as_int
from minigrad.ops.extremes import pick, shared, to_picked
from minigrad.ops.scan import ValuesAndIndices, along

__all__ = ["argsort", "bincount", "kthvalue", "median", "sort", "topk", "unique"]
METHODS = ["argsort", "bincount", "kthvalue", "median", "sort", "topk", "unique"]


def _comparisons(inputs: list, outputs: list, params: dict) -> float:
    """n log2 n, the least that comparisons can do."""
    length = inputs[0][params["dim"]] if inputs[0] else 1
    return count(inputs[0]) * math.log2(max(length, 1))


# ---------------------------------------------------------------- sorting


def _sort_samples(draw: Any) -> list:
    return [
        draw.call(draw.apart(5), dim=0, descending=False),
        draw.call(draw.apart(2, 4, 2), dim=1, descending=True),
    ]


def _ranking(xp: Any, x: Any, dim: int, descending: bool) -> Any:
    """The indices that sort x along `dim`; equal elements keep their order."""
    if not descending:
        return xp.argsort(x, axis=dim, kind="stable")
    # Sorted from behind and read from behind: largest first, and equal ones still in order
    return x.shape[dim] - 1 - xp.flip(xp.argsort(xp.flip(x, dim), axis=dim, kind="stable"), dim)


@operation(
    name="sort",
    formula="y_i = x_{k_i} with y_1 <= y_2 <= ...",
    gradient_formula="gx_{k_i} = gy_i",
    source="definition",
    samples=_sort_samples,
    outputs=("values", "indices"),
    flops=_comparisons,
)
def _sort(xp, x, *, dim, descending):
    indices = _ranking(xp, x, dim, descending)
    return xp.take_along_axis(x, indices, axis=dim), indices


@_sort.gradient
def sort_gradient(xp, gy, indices, *, dim):
    return xp.take_along_axis(
        gy[0], xp.argsort(indices, axis=dim), axis=dim
    )  # sorting a permutation inverts it


@operation(
    name="argsort",
    formula="k with x_{k_1} <= x_{k_2} <= ...",
    source="definition",
    samples=_sort_samples,
    flops=_comparisons,
)
def _argsort(xp, x, *, dim, descending):
    return _ranking(xp, x, dim, descending)


def sort(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> ValuesAndIndices:
    """Elements in order along `dim`, and where they came from: (values, indices), both of x's shape, the indices int64.

    Equal elements keep their order whether `stable` is set or not; NaN counts as greatest. Gradient: each element
    gets that of its sorted place.

    >>> import minigrad as mg
    >>> mg.sort(mg.tensor([3.0, 1.0, 2.0]), descending=True)
    ValuesAndIndices(values=tensor([3., 2., 1.]), indices=tensor([0, 2, 1]))
    """
    return ValuesAndIndices(*along_lines(_sort, x, dim=line_dim("sort", x, dim), descending=descending))


def argsort(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The indices of `sort`, int64. Not differentiable."""
    return along_lines(_argsort, x, dim=line_dim("argsort", x, dim), descending=descending)


# ---------------------------------------------------------------- picking by rank


@operation(
    name="topk",
    formula="y = the k largest (or smallest) x_i, in order; their indices",
    gradient_formula="gx_{k_i} = gy_i, elsewhere 0",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.apart(5), k=2, dim=0, largest=True),
        draw.call(draw.apart(2, 4, 2), k=3, dim=1, largest=False),
        draw.call(draw.apart(2, 4), k=4, dim=1, largest=True),
    ],
    outputs=("values", "indices"),
    flops=lambda inputs, outputs, params: count(inputs[0]),
)
def _topk(xp, x, *, k, dim, largest):
    n = x.shape[dim]
    if 0 < k < n:  # find the k first (linear time), then sort only these
        chosen = along(dim, n - k, None) if largest else along(dim, None, k)
        found = xp.argpartition(x, n - k if largest else k - 1, axis=dim)[chosen]
        found = xp.sort(found, axis=dim)  # back in their order in x, which equal ones shall keep
        ranks = _ranking(xp, xp.take_along_axis(x, found, axis=dim), dim, descending=largest)
        indices = xp.take_along_axis(found, ranks, axis=dim)
    else:
        indices = _ranking(xp, x, dim, descending=largest)[along(dim, None, k)]
    return xp.take_along_axis(x, indices, axis=dim), indices


@_topk.gradient
def topk_gradient(xp, gy, x_shape, indices, *, dim):
    return xp.scatter_add(xp.zeros(x_shape, dtype=gy[0].dtype), indices, gy[0], dim=dim)


def topk(x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesAndIndices:
    """The k largest (or smallest) elements along `dim`, in order: (values, indices), of length k along `dim`.

    Which of several equal elements at the border are taken is left open. The result is in order whether `sorted` is
    set or not.

    >>> import minigrad as mg
    >>> mg.topk(mg.tensor([3.0, 1.0, 2.0]), 2).values
    tensor([3., 2.])
    """
    dim = line_dim("topk", x, dim)
    return ValuesAndIndices(
        *along_lines(_topk, x, k=_rank("topk", x, dim, k, 0 if x.ndim else 1), dim=dim, largest=largest)
    )


def _rank(name: str, x: Any, dim: int, k: Any, smallest: int) -> int:
    """k, checked."""
    k, length = as_int(k, "k"), x.shape[dim] if x.ndim else 1
    if not smallest <= k <= length:
        raise ArgumentError(
            f"{name}: k must lie between {smallest} and {length}, the length of dim {dim} of {describe(x)}, not be {k}"
        )
    return k


@operation(
    name="kthvalue",
    formula="y = the k-th smallest x_i; its index",
    gradient_formula="gx_i = gy [i = index]",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.apart(5), k=2, dim=0, keepdim=False),
        draw.call(draw.apart(2, 4, 2), k=3, dim=1, keepdim=True),
    ],
    outputs=("values", "indices"),
    flops=lambda inputs, outputs, params: count(inputs[0]),
)
def _kthvalue(xp, x, *, k, dim, keepdim):
    return pick(xp, x, xp.argpartition(x, k - 1, axis=dim)[along(dim, k - 1, k)], dim, keepdim)


@_kthvalue.gradient
def kthvalue_gradient(xp, gy, x_shape, indices, *, dim):
    return to_picked(xp, gy[0], indices, x_shape, dim)


def kthvalue(x: Any, k: int, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """The k-th smallest element along `dim`, k from 1: (values, indices), without `dim` unless `keepdim`.

    >>> import minigrad as mg
    >>> mg.kthvalue(mg.tensor([3.0, 1.0, 2.0]), 2)
    ValuesAndIndices(values=tensor(2.), indices=tensor(2))
    """
    dim = line_dim("kthvalue", x, dim)
    return ValuesAndIndices(
        *along_lines(_kthvalue, x, k=_rank("kthvalue", x, dim, k, 1), dim=dim, keepdim=keepdim)
    )


@operation(
    name="median",
    formula="y = the floor((n + 1)/2)-th smallest x_i; its index",
    gradient_formula="gx_i = gy [i = index]; over all elements, shared by those equal to y",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.apart(2, 3), dim=None, keepdim=False),
        draw.call(draw.apart(5), dim=0, keepdim=False),
        draw.call(draw.apart(2, 4, 2), dim=1, keepdim=True),
    ],
    outputs=("values", "indices"),
    flops=lambda inputs, outputs, params: count(inputs[0]),
)
def _median(xp, x, *, dim, keepdim):
    if dim is None:
        x, dim = x.reshape(-1), 0
    middle = xp.argpartition(x, (x.shape[dim] - 1) // 2, axis=dim)
    middle = middle[along(dim, (x.shape[dim] - 1) // 2, (x.shape[dim] + 1) // 2)]
    unordered = xp.isnan(x)
    first = xp.argmax(unordered, axis=dim, keepdims=True)
    return pick(xp, x, xp.where(xp.any(unordered, axis=dim, keepdims=True), first, middle), dim, keepdim)


@_median.gradient
def median_gradient(xp, gy, x, values, indices, *, dim):
    if dim is None:
        return shared(xp, gy[0], x, values, None)
    return to_picked(xp, gy[0], indices, x.shape, dim)


def median(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Median of all elements, or (values, indices) of the medians along `dim`. Of an even number, the lower middle one.

    NaN if any element is. Gradient: to the element picked; over all elements, those equal to the median share it.

    >>> import minigrad as mg
    >>> mg.median(mg.tensor([3.0, 1.0, 2.0, 9.0]))
    tensor(2.)
    """
    need_tensor("median", x)
    if dim is None:
        if keepdim:
            raise ArgumentError("median takes keepdim together with dim only")
        dim_or_all = None
    else:
        dim_or_all = line_dim("median", x, dim)
    if count(x.shape, None if dim_or_all is None or not x.ndim else (dim_or_all,)) == 0:
        raise ShapeError(f"median: {describe(x)} has no elements to choose from")
    if dim_or_all is None:
        return _median(x, dim=None, keepdim=False)[0]
    return ValuesAndIndices(*along_lines(_median, x, dim=dim_or_all, keepdim=keepdim))


# ---------------------------------------------------------------- counting equal elements


@operation(
    name="unique",
    formula="y = the different x_i, ascending; where each x_i stands in y; how often each occurs",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.integers(0, 4, 3, 5), dim=None),
        draw.call(draw.integers(0, 2, 5, 2), dim=0),
    ],
    outputs=("values", "inverse", "counts"),
    flops=lambda inputs, outputs, params: count(inputs[0]),
)
def _unique(xp, x, *, dim):
    y, inverse, counts = xp.unique(x, return_inverse=True, return_counts=True, axis=dim)
    return y, inverse.reshape(x.shape if dim is None else (-1,)), counts


def unique(
    x: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different elements, ascending; along `dim`, the different slices. Not differentiable.

    return_inverse: also where each element (or slice) of x stands in the result.
    return_counts:  also how often each occurs in x.

    Returns a tensor, or a tuple of it and what was asked for. It is in order whether `sorted` is set or not.

    >>> import minigrad as mg
    >>> mg.unique(mg.tensor([2, 1, 2]), return_counts=True)
    (tensor([1, 2]), tensor([1, 2]))
    """
    need_tensor("unique", x)
    y, inverse, counts = _unique(x, dim=None if dim is None else line_dim("unique", x, dim))
    asked = (y, *([inverse] if return_inverse else []), *([counts] if return_counts else []))
    return asked if len(asked) > 1 else y


@operation(
    name="bincount",
    formula="y_k = sum_{i: x_i = k} w_i",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.integers(0, 4, 7), None, minlength=0),
        draw.call(draw.integers(0, 4, 7), draw.normal(7), minlength=6),
    ],
    flops=lambda inputs, outputs, params: count(inputs[0]),
)
def _bincount(xp, x, weights, *, minlength):
    y = xp.bincount(x, weights, minlength=minlength)
    return y.astype(weights.dtype if weights is not None and weights.dtype in dtypes.FLOATING else y.dtype)


def bincount(x: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each number 0, 1, ... occurs in x, or the sum of the `weights` where it does. Not differentiable.

    x:         integers >= 0 in one dimension.
    weights:   one number for each of them.
    minlength: the least length of the result, which is otherwise the largest number plus 1.

    Returns int64 counts, or sums in the weights' dtype (float64 for integer weights).

    >>> import minigrad as mg
    >>> mg.bincount(mg.tensor([0, 2, 2]), minlength=4)
    tensor([1, 0, 2, 0])
    """
    need_tensor("bincount", x)
    if x.ndim != 1 or dtypes.is_floating(x.dtype) or x.dtype == dtypes.bool_:
        raise DtypeError(f"bincount takes integers in one dimension, not {describe(x)}")
    if weights is not None and tuple(weights.shape) != tuple(x.shape):
        raise ShapeError(
            f"bincount: weights have shape {list(weights.shape)}, x has {list(x.shape)}; they must agree"
        )
    if (minlength := as_int(minlength, "minlength")) < 0:
        raise ArgumentError(f"bincount: minlength must be >= 0, not {minlength}")
    if x.shape[0] and int(x.min()) < 0:
        raise ArgumentError(f"bincount: the numbers must be >= 0; the smallest is {int(x.min())}")
    return _bincount(x, weights, minlength=minlength)
