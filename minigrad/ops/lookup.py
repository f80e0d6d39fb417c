"""Whole entries by number, and entries by value: rows of a table, selections, one-hot vectors.

`index_select`, `index_add` and `embedding` rest on the operations `index` and `index_put`, see `minigrad/ops/index.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import engine
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.op import operation
from minigrad.ops.dims import as_dim, as_int
from minigrad.ops.gather import as_line, check_integer, like_before
from minigrad.ops.index import _index, _index_put
from minigrad.ops.join import unbind
from minigrad.ops.keys import check_range
from minigrad.ops.shape import broadcast_shapes, expand

METHODS = ["argwhere", "index_add", "index_select", "masked_select", "nonzero"]
__all__ = [*METHODS, "embedding", "one_hot"]


# ---------------------------------------------------------------- whole rows


def index_select(x: Any, dim: int, index: Any) -> Any:
    """Entries of a dimension, in the order and as often as a vector names them.

    index: int32 or int64 (n,), values 0 to x.shape[dim] - 1.

    Returns a tensor of x's shape but for the length n of `dim`. The gradient of an entry named twice adds up.

    >>> import minigrad as mg
    >>> mg.index_select(mg.tensor([[1, 2, 3], [4, 5, 6]]), 1, mg.tensor([2, 0]))
    tensor([[3, 1],
            [6, 4]])
    """
    dim = as_dim(dim, x.shape)
    index = _checked_vector("index_select", x, dim, index)
    if not x.ndim and index.shape != (1,):
        raise ShapeError(
            f"index_select: x has no dimensions, so index must hold one 0, not shape {list(index.shape)}"
        )
    return like_before(_index(as_line(x), index, dims=(dim,)), x)


def index_add(x: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """A copy of x with alpha * source added: entry k of source along `dim` to entry index[k] of x.

    index:  int32 or int64 (n,), values 0 to x.shape[dim] - 1; duplicates add up.
    source: of x's dtype and shape, but for the length n of `dim`.

    >>> import minigrad as mg
    >>> mg.index_add(mg.zeros(3, 2), 0, mg.tensor([2, 0, 2]), mg.ones(3, 2))
    tensor([[1., 1.],
            [0., 0.],
            [2., 2.]])
    """
    dim = as_dim(dim, x.shape)
    index = _checked_vector("index_add", x, dim, index)
    if source.dtype != x.dtype:
        raise DtypeError(f"index_add: x is {x.dtype}, source is {source.dtype}; convert one with .to(dtype)")
    line, source = as_line(x), source if x.ndim else as_line(source)
    expected = line.shape[:dim] + index.shape + line.shape[dim + 1 :]
    if source.shape != expected:
        raise ShapeError(
            f"index_add along dim {dim}: for x of shape {list(x.shape)} and {index.shape[0]} indices, source must have "
            f"shape {list(expected)}, not {list(source.shape)}"
        )
    scaled = source if alpha == 1 else source * alpha
    return like_before(_index_put(line, scaled, index, dims=(dim,), accumulate=True), x)


def _checked_vector(name: str, x: Any, dim: int, index: Any) -> Any:
    check_integer(name, index)
    if index.ndim > 1:
        raise ShapeError(f"{name}: index must be a vector, not of shape {list(index.shape)}")
    check_range(index, dim, as_line(x).shape, negative=False)
    return as_line(index)


@operation(
    name="embedding",
    formula="y[.., :] = weight[x[..], :]",
    gradient_formula="gweight[x[..], :] += gy[.., :], but not for padding_idx",
    source="Bengio et al. 2003, section 2",
    samples=lambda draw: [
        draw.call(draw.integers(0, 5, 2, 3), draw.normal(5, 4), padding_idx=None),
        draw.call(
            np.array([1, 0, 1]), draw.normal(3, 2), padding_idx=2
        ),  # not looked up: else no true derivative
    ],
    dtypes="move",
    kept_for={"weight": "x"},
    flops=0,
)
def _embedding(xp, x, weight, *, padding_idx):
    return xp.take(weight, x, axis=0)


@_embedding.gradient
def embedding_gradient(xp, gy, x, weight_shape, *, padding_idx):
    if padding_idx is not None:
        gy = xp.where((x == padding_idx).reshape((*x.shape, 1)), 0, gy)
    return None, xp.index_put(xp.zeros(weight_shape, dtype=gy.dtype), gy, x, dims=(0,), accumulate=True)


def embedding(x: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """Rows of a table looked up by number: y[.., :] = weight[x[..], :].

    x:           int32 or int64, any shape (*); values 0 to V - 1.
    weight:      (V, D), one vector for each of V things.
    padding_idx: a row that gets no gradient, usually zeros that stand for "nothing here"; negative counts from the end.

    Returns (*, D). The gradient of a row is the sum over the places where it was looked up.
    Raises ArgumentError for a number out of range, naming it.

    Source: Bengio et al. 2003, "A neural probabilistic language model", section 2.

    >>> import minigrad as mg
    >>> table = mg.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]])
    >>> mg.embedding(mg.tensor([2, 1]), table)
    tensor([[3., 4.],
            [1., 2.]])
    """
    check_integer("embedding", x)
    if weight.ndim != 2:
        raise ShapeError(f"embedding: weight must be a table (V, D), not of shape {list(weight.shape)}")
    if padding_idx is not None:
        given, n = as_int(padding_idx, "padding_idx"), weight.shape[0]
        if not -n <= given < n:
            raise ArgumentError(
                f"embedding: padding_idx {given} names no row of the table of shape {list(weight.shape)}"
            )
        padding_idx = given % n
    check_range(x, 0, weight.shape, negative=False)
    return _embedding(x, weight, padding_idx=padding_idx)


# ---------------------------------------------------------------- by value


@operation(
    name="nonzero",
    formula="y = the indices of all elements other than 0, one row each",
    source="definition",
    samples=lambda draw: [draw.call(draw.integers(0, 2, 3, 4)), draw.call(draw.mask(5))],
    dtypes="move",
    flops=0,
)
def _nonzero(xp, x):
    return xp.argwhere(x)


@operation(
    name="one_hot",
    formula="y[.., c] = 1 if x[..] = c else 0",
    source="definition",
    samples=lambda draw: [draw.call(draw.integers(0, 3, 2, 2), num_classes=3)],
    dtypes="move",
    flops=0,
)
def _one_hot(xp, x, *, num_classes):
    return (x[..., None] == xp.arange(num_classes)).astype(np.int64)


def nonzero(x: Any, *, as_tuple: bool = False) -> Any:
    """Indices of all elements other than 0, in row-major order.

    Returns int64 (n, x.ndim), a row for each of n elements; or, if `as_tuple`, one vector (n,) for each dimension.

    >>> import minigrad as mg
    >>> mg.nonzero(mg.tensor([[0, 7], [8, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    return unbind(_nonzero(as_line(x)), 1) if as_tuple else _nonzero(x)


def argwhere(x: Any) -> Any:
    """The same as `nonzero`."""
    return _nonzero(x)


def masked_select(x: Any, mask: Any) -> Any:
    """The elements where a mask of bools is True, in row-major order, as a vector; x and mask are broadcast.

    >>> import minigrad as mg
    >>> mg.masked_select(mg.tensor([[1, 2], [3, 4]]), mg.tensor([True, False]))
    tensor([1, 3])
    """
    if mask.dtype != bool:
        raise DtypeError(f"masked_select: the mask must be bool, not {mask.dtype}")
    shape = broadcast_shapes(x.shape, mask.shape) or (1,)
    return _index(expand(x, shape), expand(mask, shape), dims=(0,))


def one_hot(x: Any, num_classes: int = -1) -> Any:
    """Classes as vectors with a single 1: y[.., c] = 1 where x[..] = c. Has no gradient.

    x:           integers 0 to num_classes - 1, any shape (*).
    num_classes: their number; -1 for one more than the largest in x.

    Returns int64 (*, num_classes).

    >>> import minigrad as mg
    >>> mg.one_hot(mg.tensor([2, 0]))
    tensor([[0, 0, 1],
            [1, 0, 0]])
    """
    if not hasattr(x, "dtype") or x.dtype.kind not in "iu":
        raise DtypeError(f"one_hot takes integers, not {getattr(x, 'dtype', type(x).__name__)}")
    array = x.array if isinstance(x, engine.Tensor) else x
    classes = as_int(num_classes, "num_classes")
    if classes == -1:
        if not array.size:
            raise ArgumentError(
                f"one_hot: x of shape {list(x.shape)} is empty, so the number of classes must be given"
            )
        classes = int(array.max()) + 1
    if array.size and not 0 <= int(array.min()) <= int(array.max()) < classes:
        raise ArgumentError(
            f"one_hot: classes must lie between 0 and {classes - 1}; x holds {array.min()} to {array.max()}"
        )
    if classes < 1:
        raise ArgumentError(f"one_hot needs 1 class or more, not {classes}")
    return _one_hot(x, num_classes=classes)
