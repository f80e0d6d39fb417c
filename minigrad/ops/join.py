"""Several tensors made one, and one made several: cat, stack, split, unbind and their kin."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.op import operation
from minigrad.ops.dims import as_dim, as_int, as_ints
from minigrad.ops.shape import atleast_1d, atleast_2d, reshape

METHODS = ["chunk", "split", "tensor_split", "unbind"]
__all__ = [*METHODS, "cat", "concat", "concatenate", "hstack", "meshgrid", "stack", "vstack"]


# ---------------------------------------------------------------- joining


@operation(
    name="cat",
    formula="y = [x_0, x_1, ..] along dim",
    gradient_formula="gx_k = the part of gy that came from x_k",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3), draw.normal(1, 3), draw.normal(0, 3), dim=0),
        draw.call(draw.normal(2, 3, 2), draw.normal(2, 1, 2), dim=1),
        draw.call(draw.normal(4), dim=0),
    ],
    dtypes="promote",
    flops=0,
)
def _cat(xp, *xs, dim):
    return xp.concatenate(xs, axis=dim)


@_cat.gradient
def cat_gradient(xp, gy, xs_shape, needs, *, dim):
    gxs, start = [], 0
    for shape, needed in zip(xs_shape, needs, strict=True):
        stop = start + shape[dim]
        gxs.append(gy[(slice(None),) * dim + (slice(start, stop),)] if needed else None)
        start = stop
    return gxs


@operation(
    name="stack",
    formula="y[.., k, ..] = x_k",
    gradient_formula="gx_k = gy[.., k, ..]",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3), draw.normal(2, 3), dim=0),
        draw.call(draw.normal(2, 3), draw.normal(2, 3), draw.normal(2, 3), dim=2),
        draw.call(draw.normal(), dim=0),
    ],
    dtypes="promote",
    flops=0,
)
def _stack(xp, *xs, dim):
    return xp.stack(xs, axis=dim)


@_stack.gradient
def stack_gradient(xp, gy, needs, *, dim):
    return [gy[(slice(None),) * dim + (k,)] if needed else None for k, needed in enumerate(needs)]


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors joined along an existing dimension; their other lengths must agree. Dtypes promote.

    As in PyTorch, a tensor of shape (0,) fits everything and adds nothing. Raises ShapeError if shapes do not fit.

    >>> import minigrad as mg
    >>> mg.cat([mg.zeros(2, 3), mg.ones(1, 3)]).shape
    (3, 3)
    """
    tensors = _as_tensors("cat", tensors)
    shape = next((x.shape for x in tensors if x.shape != (0,)), (0,))
    dim = as_dim(dim, shape)
    empty = shape[:dim] + (0,) + shape[dim + 1 :]
    tensors = [reshape(x, empty) if x.shape == (0,) != shape else x for x in tensors]
    for x in tensors:
        if (
            not x.ndim
            or len(x.shape) != len(shape)
            or any(a != b for d, (a, b) in enumerate(zip(x.shape, shape, strict=True)) if d != dim)
        ):
            given = ", ".join(str(list(t.shape)) for t in tensors)
            raise ShapeError(
                f"cat along dim {dim}: shapes {given} must have that dimension and agree in all others; "
                "stack adds a dimension"
            )
    return _cat(*tensors, dim=dim)


def concat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The same as `cat`."""
    return cat(tensors, dim)


def concatenate(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The same as `cat`."""
    return cat(tensors, dim)


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors of one shape joined along a new dimension at position `dim` of the result. Dtypes promote.

    >>> import minigrad as mg
    >>> mg.stack([mg.zeros(3), mg.ones(3)], dim=1).shape
    (3, 2)
    """
    tensors = _as_tensors("stack", tensors)
    if len({x.shape for x in tensors}) > 1:
        raise ShapeError(
            f"stack needs tensors of one shape, got {', '.join(str(list(x.shape)) for x in tensors)}; "
            "cat joins along a dimension"
        )
    return _stack(*tensors, dim=as_dim(dim, tensors[0].shape, extra=1))


def hstack(tensors: Sequence[Any]) -> Any:
    """Tensors side by side: joined along dimension 1, vectors along 0."""
    tensors = [atleast_1d(x) for x in _as_tensors("hstack", tensors)]
    return cat(tensors, 0 if tensors[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Any]) -> Any:
    """Tensors one below the other: joined along dimension 0, vectors as rows."""
    return cat([atleast_2d(x) for x in _as_tensors("vstack", tensors)])


def _as_tensors(name: str, tensors: Any) -> list:
    if not isinstance(tensors, (tuple, list)):
        raise DtypeError(f"{name} takes a list or tuple of tensors, not {type(tensors).__name__}")
    if not tensors:
        raise ArgumentError(f"{name} needs at least one tensor")
    for x in tensors:
        if not hasattr(x, "shape"):
            raise DtypeError(
                f"{name} takes tensors, not {type(x).__name__} {x!r:.80}; make one with mg.tensor(...)"
            )
    return list(tensors)


# ---------------------------------------------------------------- taking apart


@operation(
    name="split",
    formula="y_k = the k-th part of x along dim",
    gradient_formula="gx = [gy_0, gy_1, ..] along dim",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.normal(5, 2), sizes=(2, 0, 3), dim=0),
        draw.call(draw.normal(2, 3), sizes=(3,), dim=1),
    ],
    dtypes="move",
    may_view=True,
    flops=0,
)
def _split(xp, x, *, sizes, dim):
    parts, start = [], 0
    for size in sizes:
        parts.append(x[(slice(None),) * dim + (slice(start, start + size),)])
        start += size
    return tuple(parts)


@_split.gradient
def split_gradient(xp, gy, *, sizes, dim):
    return xp.concatenate(gy, axis=dim) if len(sizes) > 1 else gy


@operation(
    name="unbind",
    formula="y_k = x[.., k, ..]",
    gradient_formula="gx[.., k, ..] = gy_k",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.normal(3, 2), dim=0),
        draw.call(draw.normal(2, 3), dim=1),
        draw.call(draw.normal(1, 3), dim=0),
    ],
    dtypes="move",
    may_view=True,
    flops=0,
)
def _unbind(xp, x, *, dim):
    return tuple(x[(slice(None),) * dim + (k,)] for k in range(x.shape[dim]))


@_unbind.gradient
def unbind_gradient(xp, gy, x_shape, *, dim):
    return xp.stack(gy, axis=dim) if x_shape[dim] > 1 else gy.reshape(x_shape)


def split(x: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple:
    """Parts of a tensor along a dimension: of a length (the last may be shorter), or of the lengths listed. Views.

    >>> import minigrad as mg
    >>> [p.shape[0] for p in mg.split(mg.arange(5), 2)], [p.shape[0] for p in mg.split(mg.arange(5), [1, 4])]
    ([2, 2, 1], [1, 4])
    """
    n, dim = _length("split", x, dim)
    if isinstance(split_size_or_sections, (tuple, list)):
        sizes = as_ints(split_size_or_sections, "split_size_or_sections")
        if any(s < 0 for s in sizes) or sum(sizes) != n:
            raise ArgumentError(
                f"split: the lengths {list(sizes)} must add up to {n}, dimension {dim} of shape {list(x.shape)}"
            )
    else:
        size = as_int(split_size_or_sections, "split_size_or_sections")
        if size < 0 or (size == 0 and n > 0):
            raise ArgumentError(f"split needs parts of length 1 or more, not {size}")
        sizes = tuple(min(size, n - start) for start in range(0, n, size)) if n else (0,)
    return _split(x, sizes=sizes, dim=dim) if sizes else ()


def chunk(x: Any, chunks: int, dim: int = 0) -> tuple:
    """The tensor in `chunks` equal parts along a dimension; if it does not divide, the last is shorter, or missing.

    >>> import minigrad as mg
    >>> [p.shape[0] for p in mg.chunk(mg.arange(7), 3)], [p.shape[0] for p in mg.chunk(mg.arange(5), 4)]
    ([3, 3, 1], [2, 2, 1])
    """
    n, dim = _length("chunk", x, dim)
    chunks = as_int(chunks, "chunks")
    if chunks < 1:
        raise ArgumentError(f"chunk needs 1 part or more, not {chunks}")
    return split(x, -(-n // chunks), dim) if n else _split(x, sizes=(0,) * chunks, dim=dim)


def tensor_split(x: Any, indices_or_sections: Any, dim: int = 0) -> tuple:
    """The tensor in a number of nearly equal parts (the first ones longer by 1), or cut before each index listed."""
    n, dim = _length("tensor_split", x, dim)
    if getattr(indices_or_sections, "ndim", 0) == 1:  # a tensor
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, (tuple, list)):
        cuts = [slice(None, c).indices(n)[1] for c in as_ints(indices_or_sections, "indices_or_sections")]
        return tuple(_split_between(x, a, b, dim) for a, b in itertools.pairwise([0, *cuts, n]))
    sections = as_int(indices_or_sections, "indices_or_sections")
    if sections < 1:
        raise ArgumentError(f"tensor_split needs 1 part or more, not {sections}")
    return _split(x, sizes=tuple(n // sections + (k < n % sections) for k in range(sections)), dim=dim)


def _split_between(x: Any, start: int, stop: int, dim: int) -> Any:
    return x[(slice(None),) * dim + (slice(start, max(start, stop)),)]


def unbind(x: Any, dim: int = 0) -> tuple:
    """The entries of a dimension, each without it, as a tuple. Views."""
    _, dim = _length("unbind", x, dim)
    return _unbind(x, dim=dim)


def _length(name: str, x: Any, dim: int) -> tuple[int, int]:
    if not x.ndim:
        raise ShapeError(f"{name} needs a tensor with dimensions; this one has none")
    dim = as_dim(dim, x.shape)
    return x.shape[dim], dim


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple:
    """Coordinates of a grid: the k-th result varies along dimension k as the k-th vector does.

    indexing: "ij", or "xy", which swaps the first two dimensions as for pictures (rows follow the second vector).

    >>> import minigrad as mg
    >>> rows, columns = mg.meshgrid(mg.arange(2), mg.arange(3))
    >>> rows.tolist(), columns.tolist()
    ([[0, 0, 0], [1, 1, 1]], [[0, 1, 2], [0, 1, 2]])
    """
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    if indexing not in ("ij", "xy"):
        raise ArgumentError(f"meshgrid: indexing must be 'ij' or 'xy', not {indexing!r}")
    vectors = [atleast_1d(x) for x in _as_tensors("meshgrid", tensors)]
    if any(x.ndim > 1 for x in vectors):
        raise ShapeError(
            f"meshgrid takes vectors, not shapes {', '.join(str(list(x.shape)) for x in vectors)}"
        )
    swapped = indexing == "xy" and len(vectors) > 1
    order = (
        [1, 0, *range(2, len(vectors))] if swapped else list(range(len(vectors)))
    )  # dimension along which the k-th varies
    shape = tuple(vectors[order.index(d)].shape[0] for d in range(len(vectors)))
    grids = []
    for k, x in enumerate(vectors):
        along = tuple(-1 if d == order[k] else 1 for d in range(len(vectors)))
        grids.append(reshape(x, along).expand(shape))
    return tuple(grids)
