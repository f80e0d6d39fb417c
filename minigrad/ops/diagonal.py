"""Parts of matrices: triangles and diagonals."""

from __future__ import annotations

from typing import Any

from minigrad.errors import ShapeError
from minigrad.op import operation
from minigrad.ops.dims import as_dims, as_int

METHODS = ["diag", "diag_embed", "diagonal", "tril", "triu"]
__all__ = [*METHODS]


def _triangle_samples(draw: Any) -> list:
    return [
        draw.call(draw.normal(3, 4), diagonal=0),
        draw.call(draw.normal(2, 4, 3), diagonal=-1),
        draw.call(draw.normal(3, 3), diagonal=2),
    ]


@operation(
    name="tril",
    formula="y_ij = x_ij if j - i <= diagonal else 0",
    gradient_formula="gx = the same triangle of gy",
    source="definition",
    samples=_triangle_samples,
    dtypes="move",
    flops=0,
)
def _tril(xp, x, *, diagonal):
    return xp.tril(x, diagonal)


@_tril.gradient
def tril_gradient(xp, gy, *, diagonal):
    return xp.tril(gy, diagonal)


@operation(
    name="triu",
    formula="y_ij = x_ij if j - i >= diagonal else 0",
    gradient_formula="gx = the same triangle of gy",
    source="definition",
    samples=_triangle_samples,
    dtypes="move",
    flops=0,
)
def _triu(xp, x, *, diagonal):
    return xp.triu(x, diagonal)


@_triu.gradient
def triu_gradient(xp, gy, *, diagonal):
    return xp.triu(gy, diagonal)


def tril(x: Any, diagonal: int = 0) -> Any:
    """The lower triangle of a matrix, or of each: 0 above the given diagonal (0 is the main one, 1 the next above it).

    >>> import minigrad as mg
    >>> mg.tril(mg.ones(2, 3))
    tensor([[1., 0., 0.],
            [1., 1., 0.]])
    """
    return _tril(x, diagonal=_checked_diagonal("tril", x, diagonal))


def triu(x: Any, diagonal: int = 0) -> Any:
    """The upper triangle of a matrix, or of each: 0 below the given diagonal (0 is the main one, 1 the next above it).

    >>> import minigrad as mg
    >>> mg.triu(mg.ones(2, 3), diagonal=1)
    tensor([[0., 1., 1.],
            [0., 0., 1.]])
    """
    return _triu(x, diagonal=_checked_diagonal("triu", x, diagonal))


def _checked_diagonal(name: str, x: Any, diagonal: int) -> int:
    if x.ndim < 2:
        raise ShapeError(f"{name} needs 2 dimensions or more, not shape {list(x.shape)}")
    return as_int(diagonal, "diagonal")


@operation(
    name="diagonal",
    formula="y[.., k] = x[.., k, k + offset, ..] along dim1 and dim2",
    gradient_formula="gx[.., k, k + offset, ..] = gy[.., k], elsewhere 0",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.normal(3, 4), offset=1, dim1=0, dim2=1),
        draw.call(draw.normal(3, 2, 4), offset=-1, dim1=2, dim2=0),
    ],
    dtypes="move",
    may_view=True,
    flops=0,
)
def _diagonal(xp, x, *, offset, dim1, dim2):
    return xp.diagonal(x, offset, dim1, dim2)


@_diagonal.gradient
def diagonal_gradient(xp, gy, x_shape, *, offset, dim1, dim2):
    return xp.place_diagonal(gy, shape=x_shape, offset=offset, dim1=dim1, dim2=dim2)


@operation(
    name="place_diagonal",
    formula="y = 0; y[.., k, k + offset, ..] = x[.., k] along dim1 and dim2",
    gradient_formula="gx = the diagonal of gy",
    source="adjoint of diagonal",
    samples=lambda draw: [
        draw.call(draw.normal(3), shape=(3, 4), offset=1, dim1=0, dim2=1),
        draw.call(draw.normal(2, 3), shape=(3, 2, 4), offset=-1, dim1=2, dim2=0),
    ],
    dtypes="move",
    flops=0,
)
def _place_diagonal(xp, x, *, shape, offset, dim1, dim2):
    """Zeros of `shape` with the last dimension of x written on a diagonal."""
    y = xp.zeros(shape, dtype=x.dtype)
    k = xp.arange(x.shape[-1])
    xp.moveaxis(y, (dim1, dim2), (-2, -1))[..., k + max(0, -offset), k + max(0, offset)] = x
    return y


@_place_diagonal.gradient
def place_diagonal_gradient(xp, gy, *, offset, dim1, dim2):
    return xp.diagonal(gy, offset, dim1, dim2)


def diagonal(x: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """A diagonal of the matrices that two dimensions form, as the last dimension of the result; a view.

    offset: 0 is the main diagonal, 1 the next above it.

    >>> import minigrad as mg
    >>> mg.diagonal(mg.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    if x.ndim < 2:
        raise ShapeError(f"diagonal needs 2 dimensions or more, not shape {list(x.shape)}")
    first, second = as_dims((dim1, dim2), x.shape, name="dim1, dim2")
    return _diagonal(x, offset=as_int(offset, "offset"), dim1=first, dim2=second)


def diag_embed(x: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Square matrices with the last dimension of x on a diagonal, 0 elsewhere, along dim1 and dim2 of the result."""
    if not x.ndim:
        raise ShapeError("diag_embed needs a tensor with dimensions")
    offset, n = as_int(offset, "offset"), x.shape[-1] + abs(as_int(offset, "offset"))
    first, second = as_dims((dim1, dim2), (*x.shape, 0), name="dim1, dim2")
    others = iter(x.shape[:-1])
    shape = tuple(n if d in (first, second) else next(others) for d in range(x.ndim + 1))
    return _place_diagonal(x, shape=shape, offset=offset, dim1=first, dim2=second)


def diag(x: Any, diagonal: int = 0) -> Any:
    """A matrix with the vector x on a diagonal; or, of a matrix x, that diagonal.

    >>> import minigrad as mg
    >>> mg.diag(mg.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    if x.ndim not in (1, 2):
        raise ShapeError(
            f"diag takes a vector or a matrix, not shape {list(x.shape)}; see diagonal and diag_embed"
        )
    return (
        diag_embed(x, diagonal)
        if x.ndim == 1
        else _diagonal(x, offset=as_int(diagonal, "diagonal"), dim1=0, dim2=1)
    )
