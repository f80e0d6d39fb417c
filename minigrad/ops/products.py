"""Products of vectors and matrices under their own names; all are `matmul` of what they accept."""

from __future__ import annotations

from typing import Any

from minigrad.dtypes import is_floating
from minigrad.errors import ArgumentError, ShapeError
from minigrad.ops.arguments import count, need_tensor
from minigrad.ops.dims import as_dims, as_int
from minigrad.ops.linalg import matmul

__all__ = ["addbmm", "addmm", "addmv", "baddbmm", "bmm", "dot", "inner", "mm", "mv", "outer", "tensordot"]
METHODS = ["addbmm", "addmm", "addmv", "baddbmm", "bmm", "dot", "inner", "mm", "mv", "outer"]


def mm(x: Any, mat2: Any) -> Any:
    """Product of two matrices: (I, K) and (K, J) -> (I, J). As `matmul`, but all else than matrices is refused."""
    _need_dims("mm", x=(x, 2), mat2=(mat2, 2))
    return matmul(x, mat2)


def bmm(x: Any, mat2: Any) -> Any:
    """Products of two equally long batches of matrices: (B, I, K) and (B, K, J) -> (B, I, J), without broadcasting."""
    _need_dims("bmm", x=(x, 3), mat2=(mat2, 3))
    if x.shape[0] != mat2.shape[0]:
        raise ShapeError(
            f"bmm: x {list(x.shape)} and mat2 {list(mat2.shape)} must have as many matrices each; matmul broadcasts"
        )
    return matmul(x, mat2)


def mv(x: Any, vec: Any) -> Any:
    """Product of a matrix and a vector: (I, K) and (K,) -> (I,)."""
    _need_dims("mv", x=(x, 2), vec=(vec, 1))
    return matmul(x, vec)


def dot(x: Any, tensor: Any) -> Any:
    """Dot product of two vectors: sum_k x_k tensor_k, 0-dimensional.

    >>> import minigrad as mg
    >>> mg.dot(mg.tensor([1.0, 2.0]), mg.tensor([3.0, 4.0]))
    tensor(11.)
    """
    _need_dims("dot", x=(x, 1), tensor=(tensor, 1))
    return matmul(x, tensor)


def inner(x: Any, other: Any) -> Any:
    """Dot products along the last dimension of both: (..., K) and (---, K) -> (..., ---). With a number, x other."""
    need_tensor("inner", x)
    need_tensor("inner", other)
    if not x.ndim or not other.ndim:
        return x * other
    if x.shape[-1] != other.shape[-1]:
        raise ShapeError(
            f"inner: the last lengths of x {list(x.shape)} and other {list(other.shape)} must be equal"
        )
    return tensordot(x, other, dims=([x.ndim - 1], [other.ndim - 1]))


def outer(x: Any, vec2: Any) -> Any:
    """Outer product of two vectors: y[i, j] = x[i] vec2[j].

    >>> import minigrad as mg
    >>> mg.outer(mg.tensor([1.0, 2.0]), mg.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    _need_dims("outer", x=(x, 1), vec2=(vec2, 1))
    return x.reshape((x.shape[0], 1)) * vec2


def addmm(x: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta x + alpha (mat1 mat2) for matrices; x broadcasts, and is not looked at if beta is 0."""
    _need_dims("addmm", mat1=(mat1, 2), mat2=(mat2, 2))
    return _plus("addmm", x, matmul(mat1, mat2), beta, alpha)


def addmv(x: Any, mat: Any, vec: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta x + alpha (mat vec) for a matrix and a vector; x broadcasts, and is not looked at if beta is 0."""
    _need_dims("addmv", mat=(mat, 2), vec=(vec, 1))
    return _plus("addmv", x, matmul(mat, vec), beta, alpha)


def baddbmm(x: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta x + alpha bmm(batch1, batch2); x broadcasts, and is not looked at if beta is 0."""
    return _plus("baddbmm", x, bmm(batch1, batch2), beta, alpha)


def addbmm(x: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta x + alpha times the sum of bmm(batch1, batch2) over the batch; x is not looked at if beta is 0."""
    return _plus("addbmm", x, bmm(batch1, batch2).sum(0), beta, alpha)


def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Sum of products over several dimensions of both: those of a and of b that `dims` names are summed, in pairs.

    a, b: tensors of one dtype
    dims: how many: the last `dims` of a with the first of b; or two lists of equally many dimensions

    Returns the remaining dimensions of a, then those of b. Gradient and errors: those of `matmul`.

    >>> import minigrad as mg
    >>> mg.tensordot(mg.ones(2, 3, 4), mg.ones(4, 3, 5), dims=([1, 2], [1, 0])).shape
    (2, 5)
    """
    need_tensor("tensordot", a)
    need_tensor("tensordot", b)
    if isinstance(dims, (tuple, list)) and len(dims) == 2:
        summed_a, summed_b = as_dims(dims[0], a.shape), as_dims(dims[1], b.shape)
    else:
        n = as_int(dims, "dims")
        if not 0 <= n <= min(a.ndim, b.ndim):
            raise ArgumentError(
                f"tensordot: dims={n} for a {list(a.shape)} and b {list(b.shape)}; allowed: 0 to {min(a.ndim, b.ndim)}"
            )
        summed_a, summed_b = tuple(range(a.ndim - n, a.ndim)), tuple(range(n))
    lengths = tuple(a.shape[d] for d in summed_a if a.ndim)
    if len(summed_a) > a.ndim or lengths != tuple(b.shape[d] for d in summed_b if b.ndim):
        raise ShapeError(
            f"tensordot: dimensions {summed_a} of a {list(a.shape)} and {summed_b} of b {list(b.shape)} must be "
            "equally many, with equal lengths"
        )
    free_a = tuple(d for d in range(a.ndim) if d not in summed_a)
    free_b = tuple(d for d in range(b.ndim) if d not in summed_b)
    rows, columns = tuple(a.shape[d] for d in free_a), tuple(b.shape[d] for d in free_b)
    left = a.permute(free_a + summed_a).reshape((count(rows), count(lengths)))
    right = b.permute(summed_b + free_b).reshape((count(lengths), count(columns)))
    return matmul(left, right).reshape(rows + columns)


def _plus(op: str, x: Any, product: Any, beta: float, alpha: float) -> Any:
    """beta x + alpha product, in the shape of the product."""
    need_tensor(op, x)
    if not is_floating(product.dtype) and not (isinstance(alpha, int) and isinstance(beta, int)):
        raise ArgumentError(
            f"{op}: beta {beta} and alpha {alpha} must be ints for tensors of {product.dtype}"
        )
    y = product if alpha == 1 else alpha * product
    if beta == 0:
        return y
    total = y + (x if beta == 1 else beta * x)
    if total.shape != product.shape:
        raise ShapeError(
            f"{op}: x {list(x.shape)} does not broadcast to the product's shape {list(product.shape)}"
        )
    return total


def _need_dims(op: str, **operands: tuple[Any, int]) -> None:
    """ShapeError unless each operand has as many dimensions as said."""
    for name, (x, ndim) in operands.items():
        need_tensor(op, x)
        if x.ndim != ndim:
            what = {1: "a vector (K,)", 2: "a matrix (I, K)", 3: "a batch of matrices (B, I, K)"}[ndim]
            raise ShapeError(
                f"{op}: {name} must be {what}; got shape {list(x.shape)}. matmul takes operands of any dimensions"
            )
