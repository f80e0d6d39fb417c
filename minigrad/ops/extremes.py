"""Largest and smallest elements, and where they stand."""

from __future__ import annotations

from typing import Any

from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import get_operation, operation
from minigrad.ops.arguments import along_lines, count, kept_shape, line_dim, need_tensor, reduced_dims
from minigrad.ops.scan import ValuesAndIndices

__all__ = ["amax", "amin", "argmax", "argmin", "max", "min"]
METHODS = ["amax", "amin", "argmax", "argmin", "max", "min"]


def _samples(draw: Any) -> list:
    return [
        draw.call(draw.apart(2, 3), dim=None, keepdim=False),
        draw.call(draw.apart(2, 3, 4), dim=(0, 2), keepdim=True),
        draw.call(draw.apart(2, 3, 4), dim=(1,), keepdim=False),
    ]


def _line_samples(draw: Any) -> list:
    return [
        draw.call(draw.apart(4), dim=0, keepdim=False),
        draw.call(draw.apart(2, 3, 4), dim=1, keepdim=True),
        draw.call(draw.apart(2, 3, 4), dim=2, keepdim=False),
    ]


def _comparisons(inputs: list, outputs: list, params: dict) -> float:
    return count(inputs[0])


def _need_elements(name: str, shape: tuple[int, ...], dim: tuple[int, ...] | None) -> None:
    if count(shape, dim) == 0:
        where = "" if dim is None else f" along dim {dim[0] if len(dim) == 1 else dim}"
        raise ShapeError(
            f"{name}: a tensor of shape {list(shape)} has no elements{where}, so none is the largest or smallest"
        )


# ---------------------------------------------------------------- values; equal ones share the gradient


def shared(xp: Any, gy: Any, x: Any, y: Any, dim: tuple[int, ...] | None) -> Any:
    """The gradient of picking y out of x over `dim`: elements equal to y share it in equal parts."""
    kept = kept_shape(x.shape, dim)
    equal = x == y.reshape(kept)
    share = gy.reshape(kept) / xp.sum(equal, axis=dim, keepdims=True, dtype=gy.dtype)
    return xp.where(equal, share, 0)


@operation(
    name="amax",
    formula="y = max_i x_i",
    gradient_formula="gx_i = gy [x_i = y] / #{j: x_j = y}",
    source="subgradient of least norm; Rockafellar 1970, Convex Analysis, section 23",
    samples=_samples,
    flops=_comparisons,
)
def _amax(xp, x, *, dim, keepdim):
    return xp.max(x, axis=dim, keepdims=keepdim)


@_amax.gradient
def amax_gradient(xp, gy, x, y, *, dim):
    return shared(xp, gy, x, y, dim)


@operation(
    name="amin",
    formula="y = min_i x_i",
    gradient_formula="gx_i = gy [x_i = y] / #{j: x_j = y}",
    source="subgradient of least norm; Rockafellar 1970, Convex Analysis, section 23",
    samples=_samples,
    flops=_comparisons,
)
def _amin(xp, x, *, dim, keepdim):
    return xp.min(x, axis=dim, keepdims=keepdim)


@_amin.gradient
def amin_gradient(xp, gy, x, y, *, dim):
    return shared(xp, gy, x, y, dim)


def amax(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Largest element over `dim` (an integer, several, or None for all); NaN if there is one.

    Gradient: to the largest element; where several are equal, they share it in equal parts. (`max` with a dimension
    gives all of it to the one whose index it returns.) Raises ShapeError if there are no elements to choose from.

    >>> import minigrad as mg
    >>> x = mg.tensor([[1.0, 3.0], [3.0, 2.0]], requires_grad=True)
    >>> mg.amax(x).backward()
    >>> x.grad
    tensor([[0. , 0.5],
            [0.5, 0. ]])
    """
    dim = reduced_dims("amax", x, dim)
    _need_elements("max", x.shape, dim)
    return _amax(x, dim=dim, keepdim=keepdim)


def amin(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Smallest element over `dim` (an integer, several, or None for all); NaN if there is one. Otherwise as `amax`."""
    dim = reduced_dims("amin", x, dim)
    _need_elements("min", x.shape, dim)
    return _amin(x, dim=dim, keepdim=keepdim)


# ---------------------------------------------------------------- values and indices; one element has the gradient


def pick(xp: Any, x: Any, indices: Any, dim: int, keepdim: bool) -> tuple[Any, Any]:
    """The elements of x at `indices` along `dim` (which the indices have at length 1), and the indices."""
    values = xp.take_along_axis(x, indices, axis=dim)
    return (values, indices) if keepdim else (xp.squeeze(values, axis=dim), xp.squeeze(indices, axis=dim))


def to_picked(xp: Any, gy: Any, indices: Any, shape: tuple[int, ...], dim: int) -> Any:
    """The gradient of `pick`: gy where the index stands, 0 elsewhere."""
    kept = kept_shape(shape, (dim,))
    places = xp.arange(shape[dim]).reshape(tuple(n if i == dim else 1 for i, n in enumerate(shape)))
    return xp.where(places == indices.reshape(kept), gy.reshape(kept), 0)


@operation(
    name="max",
    formula="y = max_i x_i, k = the first such i",
    gradient_formula="gx_i = gy [i = k]",
    source="elementary calculus",
    samples=_line_samples,
    outputs=("values", "indices"),
    flops=_comparisons,
)
def _max(xp, x, *, dim, keepdim):
    return pick(xp, x, xp.argmax(x, axis=dim, keepdims=True), dim, keepdim)


@_max.gradient
def max_gradient(xp, gy, x_shape, indices, *, dim):
    return to_picked(xp, gy[0], indices, x_shape, dim)


@operation(
    name="min",
    formula="y = min_i x_i, k = the first such i",
    gradient_formula="gx_i = gy [i = k]",
    source="elementary calculus",
    samples=_line_samples,
    outputs=("values", "indices"),
    flops=_comparisons,
)
def _min(xp, x, *, dim, keepdim):
    return pick(xp, x, xp.argmin(x, axis=dim, keepdims=True), dim, keepdim)


@_min.gradient
def min_gradient(xp, gy, x_shape, indices, *, dim):
    return to_picked(xp, gy[0], indices, x_shape, dim)


def max(x: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """Largest element of all, or along one dimension with its index; or the larger of two tensors, elementwise.

    max(x)          the largest element; equal ones share the gradient in equal parts (`amax`).
    max(x, dim)     (values, indices) along `dim`; the index is that of the first of equal ones (or of the first
                    NaN), and the gradient goes there alone. `keepdim` leaves the dimension in place with length 1.
    max(x, other)   `maximum(x, other)`.

    Raises ShapeError if there are no elements to choose from.

    >>> import minigrad as mg
    >>> x = mg.tensor([[1.0, 3.0], [5.0, 2.0]])
    >>> values, indices = mg.max(x, dim=1)
    >>> values, indices
    (tensor([3., 5.]), tensor([1, 0]))
    """
    return _extreme("max", x, dim, keepdim, other)


def min(x: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """Smallest element of all, or along one dimension with its index; or the smaller of two tensors. As `max`."""
    return _extreme("min", x, dim, keepdim, other)


def _extreme(name: str, x: Any, dim: Any, keepdim: bool, other: Any) -> Any:
    """`max` or `min` in the form that the arguments ask for."""
    need_tensor(name, x)
    if hasattr(dim, "ndim"):  # a second tensor, even a 0-dimensional one
        dim, other = None, dim
    if other is not None:
        if dim is not None or keepdim:
            raise ArgumentError(f"{name} takes a second tensor, or dim and keepdim, not both")
        return get_operation("maximum" if name == "max" else "minimum")(x, other)
    if dim is None:
        if keepdim:
            raise ArgumentError(
                f"{name} takes keepdim together with dim only; a{name}(x, keepdim=True) keeps all dimensions"
            )
        _need_elements(name, x.shape, None)
        return (_amax if name == "max" else _amin)(x, dim=None, keepdim=False)
    dim = line_dim(name, x, dim)
    _need_elements(name, x.shape, (dim,) if x.ndim else None)
    return ValuesAndIndices(*along_lines(_max if name == "max" else _min, x, dim=dim, keepdim=keepdim))


# ---------------------------------------------------------------- indices alone


def _index_samples(draw: Any) -> list:
    return [
        draw.call(draw.apart(2, 3), dim=None, keepdim=True),
        draw.call(draw.apart(2, 3, 4), dim=1, keepdim=False),
        draw.call(draw.apart(2, 3, 4), dim=2, keepdim=True),
    ]


@operation(
    name="argmax",
    formula="k = the first i with x_i = max_j x_j",
    source="definition",
    samples=_index_samples,
    flops=_comparisons,
)
def _argmax(xp, x, *, dim, keepdim):
    return xp.argmax(x, axis=dim, keepdims=keepdim)


@operation(
    name="argmin",
    formula="k = the first i with x_i = min_j x_j",
    source="definition",
    samples=_index_samples,
    flops=_comparisons,
)
def _argmin(xp, x, *, dim, keepdim):
    return xp.argmin(x, axis=dim, keepdims=keepdim)


def argmax(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Index of the largest element along `dim`, or (None) in row-major order among all, as int64.

    The first of equal ones, or the first NaN. Not differentiable. Raises ShapeError if there are no elements.

    >>> import minigrad as mg
    >>> mg.argmax(mg.tensor([[1.0, 3.0], [5.0, 2.0]]), dim=1)
    tensor([1, 0])
    """
    return _argextreme("argmax", _argmax, x, dim, keepdim)


def argmin(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Index of the smallest element along `dim`, or among all. As `argmax`."""
    return _argextreme("argmin", _argmin, x, dim, keepdim)


def _argextreme(name: str, op: Any, x: Any, dim: int | None, keepdim: bool) -> Any:
    need_tensor(name, x)
    dim = None if dim is None else line_dim(name, x, dim)
    dim = dim if x.ndim else None
    _need_elements(name, x.shape, None if dim is None else (dim,))
    return op(x, dim=dim, keepdim=keepdim)
