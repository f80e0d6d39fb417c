"""Pooling to a given output size, whatever the size of the input.

Along each axis, output i of m looks at the elements from floor(i n / m) up to ceil((i + 1) n / m) of n. If m divides n
these are equal pieces next to each other; otherwise they differ in length by one, and may overlap by one.
"""

from __future__ import annotations

from typing import Any

from minigrad.engine import describe
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.op import operation
from minigrad.ops.arguments import count, need_floating, need_tensor
from minigrad.ops.max_pool import max_pool2d
from minigrad.ops.window import batched, ints

__all__ = ["adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d"]
METHODS: list[str] = []

_SOURCE = "He, Zhang, Ren, Sun 2015, Spatial Pyramid Pooling in Deep Convolutional Networks, section 2.2"


# ---------------------------------------------------------------- mean


@operation(
    name="adaptive_avg_pool2d",
    formula="y[n, c, i, j] = mean of x[n, c] over rows floor(i H / Ho) to ceil((i + 1) H / Ho), columns likewise",
    gradient_formula="gx = for each element the sum of gy / number of elements over the outputs that look at it",
    source=_SOURCE,
    samples=lambda draw: [
        draw.call(draw.normal(2, 3, 4, 5), size=(1, 1)),
        draw.call(draw.normal(2, 2, 4, 6), size=(2, 3)),
        draw.call(draw.normal(1, 2, 5, 4), size=(3, 7)),
    ],
    flops=lambda inputs, outputs, params: count(inputs[0]),
)
def _adaptive_avg_pool2d(xp, x, *, size):
    (N, C, H, W), (Ho, Wo) = x.shape, size
    if H % Ho == 0 and W % Wo == 0:
        return xp.mean(x.reshape(N, C, Ho, H // Ho, Wo, W // Wo), axis=(3, 5))
    for axis, m in ((2, Ho), (3, Wo)):  # the mean of a rectangle is the mean of its columns' means
        x = xp.stack(
            [xp.mean(x[_piece(axis, a, b)], axis=axis) for a, b in _bounds(x.shape[axis], m)], axis=axis
        )
    return x


@_adaptive_avg_pool2d.gradient
def adaptive_avg_pool2d_gradient(xp, gy, x_shape):
    return xp.adaptive_avg_pool2d_transposed(gy, size=x_shape[2:])


@operation(
    formula="y = for each element of the image the sum of x / number of elements over the pieces that it lies in",
    gradient_formula="gx = adaptive_avg_pool2d(gy)",
    source="transpose of adaptive_avg_pool2d",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3, 1, 1), size=(4, 5)),
        draw.call(draw.normal(2, 2, 2, 3), size=(4, 6)),
        draw.call(draw.normal(1, 2, 3, 7), size=(5, 4)),
    ],
    may_view=True,
    flops=lambda inputs, outputs, params: count(outputs[0]),
)
def adaptive_avg_pool2d_transposed(xp, x, *, size):
    """Each number, divided, goes to all elements of its piece: (N, C, Ho, Wo) -> (N, C, *size)."""
    (N, C, Ho, Wo), (H, W) = x.shape, size
    x = xp.transpose(x, (0, 2, 3, 1))  # channels last, as the image was, most likely
    if H % Ho == 0 and W % Wo == 0:
        x = (x / (H // Ho * (W // Wo))).reshape(N, Ho, 1, Wo, 1, C)
        y = xp.broadcast_to(x, (N, Ho, H // Ho, Wo, W // Wo, C)).reshape(N, H, W, C)
        return xp.transpose(y, (0, 3, 1, 2))
    for axis, n in ((1, H), (2, W)):
        y = xp.zeros((*x.shape[:axis], n, *x.shape[axis + 1 :]), dtype=x.dtype)
        for i, (a, b) in enumerate(_bounds(n, x.shape[axis])):
            y[_piece(axis, a, b)] += x[_piece(axis, i, i + 1)] / (b - a)
        x = y
    return xp.transpose(x, (0, 3, 1, 2))


@adaptive_avg_pool2d_transposed.gradient
def adaptive_avg_pool2d_transposed_gradient(xp, gy, x_shape):
    return xp.adaptive_avg_pool2d(gy, size=x_shape[2:])


def adaptive_avg_pool2d(x: Any, output_size: Any) -> Any:
    """The means of as many pieces of the image as the output has elements; output_size=1 is global average pooling.

        y[n, c, i, j] = mean of x[n, c] over rows floor(i H / Ho) to ceil((i + 1) H / Ho) - 1, columns likewise

    x:           (N, C, H, W), or (C, H, W), floating point
    output_size: an int or (Ho, Wo); None keeps the length of that axis

    Returns (N, C, Ho, Wo), or (C, Ho, Wo).
    Gradient: each element receives gy / number of elements from every piece that it lies in. Nothing is kept.
    Errors: ArgumentError for a bad output_size; ShapeError for other shapes, or an image without elements; DtypeError
    for integers.
    Source: He, Zhang, Ren, Sun 2015, section 2.2.

    >>> import minigrad as mg
    >>> mg.nn.functional.adaptive_avg_pool2d(mg.arange(16.0).reshape(1, 1, 4, 4), 2)
    tensor([[[[ 2.5,  4.5],
              [10.5, 12.5]]]])
    """
    need_floating("adaptive_avg_pool2d", x)
    x, restore = batched("adaptive_avg_pool2d", x, 2)
    return restore(_adaptive_avg_pool2d(x, size=_output_size("adaptive_avg_pool2d", x, output_size, 2)))


def adaptive_avg_pool1d(x: Any, output_size: Any) -> Any:
    """The means of as many pieces of the sequence as the output shall have elements: (N, C, L) -> (N, C, output_size).

    >>> import minigrad as mg
    >>> mg.nn.functional.adaptive_avg_pool1d(mg.arange(5.0).reshape(1, 1, 5), 2)
    tensor([[[1., 3.]]])
    """
    need_floating("adaptive_avg_pool1d", x)
    x, restore = batched("adaptive_avg_pool1d", x, 1)
    size = _output_size("adaptive_avg_pool1d", x, output_size, 1)
    y = _adaptive_avg_pool2d(x.reshape((*x.shape[:2], 1, x.shape[2])), size=(1, *size))
    return restore(y.reshape((*x.shape[:2], *size)))


# ---------------------------------------------------------------- maximum


@operation(
    name="adaptive_max_pool2d",
    formula="y[n, c, i, j] = max of x[n, c] over rows floor(i H / Ho) to ceil((i + 1) H / Ho), columns likewise",
    gradient_formula="gx = gy at the element that won in each piece, else 0; several pieces add up",
    source=_SOURCE,
    samples=lambda draw: [
        draw.call(draw.apart(2, 3, 4, 5), size=(3, 2)),
        draw.call(draw.apart(1, 2, 3, 4), size=(2, 5)),
        draw.call(draw.apart(1, 2, 4, 4), size=(2, 2)),
    ],
    outputs=("y", "indices"),
    flops=lambda inputs, outputs, params: count(inputs[0]),
)
def _adaptive_max_pool2d(xp, x, *, size):
    (N, C, H, W), (Ho, Wo) = x.shape, size
    indices = xp.empty((N, C, Ho, Wo), dtype=xp.int64)
    for i, (top, bottom) in enumerate(_bounds(H, Ho)):
        for j, (left, right) in enumerate(_bounds(W, Wo)):
            winner = xp.argmax(x[:, :, top:bottom, left:right].reshape(N, C, -1), axis=2)
            indices[:, :, i, j] = (top + winner // (right - left)) * W + left + winner % (right - left)
    y = xp.take_along_axis(x.reshape(N, C, H * W), indices.reshape(N, C, Ho * Wo), axis=2)
    return y.reshape(N, C, Ho, Wo), indices


@_adaptive_max_pool2d.gradient
def adaptive_max_pool2d_gradient(xp, gy, indices, x_shape, *, size):
    N, C, H, W = x_shape
    flat = (N, C, size[0] * size[1])
    gx = xp.zeros((N, C, H * W), dtype=gy[0].dtype)
    return xp.scatter_add(gx, indices.reshape(flat), gy[0].reshape(flat), dim=2).reshape(x_shape)


def adaptive_max_pool2d(x: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest elements of as many pieces of the image as the output shall have elements.

        y[n, c, i, j] = max of x[n, c] over rows floor(i H / Ho) to ceil((i + 1) H / Ho) - 1, columns likewise

    x:              (N, C, H, W), or (C, H, W)
    output_size:    an int or (Ho, Wo); None keeps the length of that axis
    return_indices: also return where each maximum was found

    Returns (N, C, Ho, Wo), or (C, Ho, Wo); with return_indices a pair of it and the int64 positions in the flattened
    (H, W).
    Where the output divides the image into equal pieces, this is `max_pool2d`.
    Gradient: gy goes to the element that won, the first of equals; overlapping pieces add up. Memory: the positions
    are kept.
    Errors: ArgumentError for a bad output_size; ShapeError for other shapes, or an image without elements; DtypeError
    for bools.
    Source: He, Zhang, Ren, Sun 2015, section 2.2.

    >>> import minigrad as mg
    >>> mg.nn.functional.adaptive_max_pool2d(mg.arange(9.0).reshape(1, 1, 3, 3), 2)
    tensor([[[[4., 5.],
              [7., 8.]]]])
    """
    return _pool_max("adaptive_max_pool2d", 2, x, output_size, return_indices)


def adaptive_max_pool1d(x: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest of each of as many pieces as the output shall have elements: (N, C, L) -> (N, C, output_size).

    >>> import minigrad as mg
    >>> mg.nn.functional.adaptive_max_pool1d(mg.arange(5.0).reshape(1, 1, 5), 2)
    tensor([[[2., 4.]]])
    """
    return _pool_max("adaptive_max_pool1d", 1, x, output_size, return_indices)


def _pool_max(op: str, n: int, x: Any, output_size: Any, return_indices: bool) -> Any:
    need_tensor(op, x)
    if x.dtype == bool:
        raise DtypeError(f"{op} needs numbers, not {describe(x)}; convert with x.float()")
    x, restore = batched(op, x, n)
    size = _output_size(op, x, output_size, n)
    image = x if n == 2 else x.reshape((*x.shape[:2], 1, x.shape[2]))
    Ho, Wo = size if n == 2 else (1, *size)
    H, W = image.shape[2:]
    if H % Ho == 0 and W % Wo == 0:
        results = max_pool2d(image, (H // Ho, W // Wo), return_indices=True)
    else:
        results = _adaptive_max_pool2d(image, size=(Ho, Wo))
    y, indices = (restore(part.reshape((*x.shape[:2], *size))) for part in results)
    return (y, indices) if return_indices else y


# ---------------------------------------------------------------- shared


def _bounds(n: int, m: int) -> list[tuple[int, int]]:
    """The m pieces of n elements: from where to where."""
    return [(i * n // m, -((i + 1) * n // -m)) for i in range(m)]


def _piece(axis: int, start: int, stop: int) -> tuple[slice, ...]:
    return (slice(None),) * axis + (slice(start, stop),)


def _output_size(op: str, x: Any, output_size: Any, n: int) -> tuple[int, ...]:
    """output_size as n ints; None stands for the length that x has."""
    wanted = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * n
    if len(wanted) != n:
        raise ArgumentError(
            f"{op}: output_size must be an int or {n} of them (None keeps a length); got {output_size!r}"
        )
    if min(x.shape[2:]) < 1:
        raise ShapeError(f"{op}: x {list(x.shape)} has no elements to pool")
    return ints(
        op,
        "output_size",
        [length if m is None else m for m, length in zip(wanted, x.shape[2:], strict=True)],
        n,
        1,
    )
