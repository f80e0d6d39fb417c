"""Sliding windows over images: what convolution and pooling have in common.

An image is (N, C, H, W). A window of Kh x Kw elements, `dilation` apart, moves over it in steps of `stride`; `padding`
zeros stand around the image. Inside, images lie channels last, (N, H, W, C): the Kw C numbers of a window's row are
then neighbours in memory, and are copied in one run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import operation

__all__ = ["fold", "unfold"]
METHODS: list[str] = []

_SOURCE = "Chellapilla, Puri, Simard 2006, High Performance CNNs for Document Processing, section 2"


def _windows(stride=(1, 1), padding=(0, 0), dilation=(1, 1)) -> dict:
    """The parameters of a sample."""
    return {"stride": stride, "padding": padding, "dilation": dilation}


@operation(
    formula="cols[n, h, w, i, j, c] = x[n, c, h s + i d - p, w s + j d - p]",
    gradient_formula="gx = col2im(gcols)",
    source=_SOURCE,
    samples=lambda draw: [
        draw.call(draw.normal(2, 3, 4, 5), kernel_size=(3, 2), **_windows()),
        draw.call(draw.normal(1, 2, 5, 6), kernel_size=(2, 3), **_windows((2, 1), (1, 2), (1, 2))),
        draw.call(draw.normal(2, 3, 3, 2), kernel_size=(1, 1), **_windows()),
    ],
    dtypes="move",
    may_view=True,  # windows of one element, one step apart, are the image itself
    flops=0,
)
def im2col(xp, x, *, kernel_size, stride, padding, dilation):
    """Every window of an image, written out: (N, C, H, W) -> (N, Ho, Wo, Kh, Kw, C)."""
    (Kh, Kw), (sh, sw), (dh, dw) = kernel_size, stride, dilation
    Ho, Wo = window_counts(x.shape[2:], kernel_size, stride, padding, dilation)
    x = channels_last(xp, x, padding)  # (N, H + 2 ph, W + 2 pw, C)
    N, _, _, C = x.shape
    image, row, column, channel = x.strides  # bytes from one to the next
    # A view first: the next window is sh rows (or sw columns) on, the next element within a window dh (or dw)
    strides = (image, row * sh, column * sw, row * dh, column * dw, channel)
    windows = xp.lib.stride_tricks.as_strided(x, (N, Ho, Wo, Kh, Kw, C), strides)
    return xp.ascontiguousarray(windows)


@im2col.gradient
def im2col_gradient(xp, gy, x_shape, *, stride, padding, dilation):
    return xp.col2im(gy, size=x_shape[2:], stride=stride, padding=padding, dilation=dilation)


@operation(
    formula="x[n, c, h s + i d - p, w s + j d - p] += cols[n, h, w, i, j, c]",
    gradient_formula="gcols = im2col(gx)",
    source=_SOURCE,
    samples=lambda draw: [
        draw.call(draw.normal(2, 2, 4, 3, 2, 3), size=(4, 5), **_windows()),
        draw.call(draw.normal(1, 3, 6, 2, 3, 2), size=(5, 6), **_windows((2, 1), (1, 2), (1, 2))),
        draw.call(draw.normal(1, 2, 2, 2, 2, 1), size=(5, 5), **_windows((2, 2))),
    ],
)
def col2im(xp, cols, *, size, stride, padding, dilation):
    """The transpose of im2col: (N, Ho, Wo, Kh, Kw, C) -> (N, C, H, W), each number added where it came from.

    size is (H, W). The windows may be fewer than fit: what none of them sees is 0.
    """
    N, Ho, Wo, Kh, Kw, C = cols.shape
    (H, W), (ph, pw) = size, padding
    x = xp.zeros((N, H + 2 * ph, W + 2 * pw, C), dtype=cols.dtype)
    for i, j, seen in window_elements((Kh, Kw), (Ho, Wo), stride, dilation):
        x[seen] += cols[:, :, :, i, j]
    return xp.transpose(x[:, ph : ph + H, pw : pw + W], (0, 3, 1, 2))


@col2im.gradient
def col2im_gradient(xp, gy, cols_shape, *, stride, padding, dilation):
    _, Ho, Wo, Kh, Kw, _ = cols_shape
    return xp.im2col(gy, kernel_size=(Kh, Kw), stride=stride, padding=padding, dilation=dilation)[:, :Ho, :Wo]


def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Every window of an image as a column.

        y[n, (c, i, j), (h, w)] = x[n, c, h stride + i dilation - padding, w stride + j dilation - padding],  0 outside

    x:                          (N, C, H, W), or (C, H, W)
    kernel_size (Kh, Kw), dilation, padding, stride: an int, or one for each of H and W

    Returns (N, C Kh Kw, L), or (C Kh Kw, L), where L = Ho Wo counts the windows,
    Ho = floor((H + 2 padding - dilation (Kh - 1) - 1) / stride) + 1.
    Gradient: `fold` of gy; nothing is kept for backward.
    Errors: ArgumentError for a bad kernel_size, dilation, padding or stride; ShapeError if no window fits.
    Source: Chellapilla, Puri, Simard 2006, section 2 (im2col).

    >>> import minigrad as mg
    >>> mg.nn.functional.unfold(mg.arange(6.0).reshape(1, 1, 2, 3), (2, 2))
    tensor([[[0., 1.],
             [1., 2.],
             [3., 4.],
             [4., 5.]]])
    """
    kernel_size, stride, padding, dilation = window_arguments(
        "unfold", 2, kernel_size, stride, padding, dilation
    )
    x, restore = batched("unfold", x, 2)
    check_windows_fit("unfold", x.shape[2:], kernel_size, stride, padding, dilation)
    N, C = x.shape[:2]
    cols = im2col(x, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation)
    Ho, Wo, Kh, Kw = cols.shape[1:5]
    # (N, C, Kh, Kw, Ho, Wo) -> (N, C Kh Kw, Ho Wo)
    y = cols.permute(0, 5, 3, 4, 1, 2).reshape(N, C * Kh * Kw, Ho * Wo)
    return restore(y)


def fold(
    x: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """Adds columns up to an image: the transpose of `unfold`, not its inverse, since windows overlap.

        y[n, c, a, b] = sum of x[n, (c, i, j), (h, w)] over a = h stride + i dilation - padding, b likewise

    x:                          (N, C Kh Kw, L), or (C Kh Kw, L)
    output_size (H, W), kernel_size (Kh, Kw), dilation, padding, stride: an int, or one for each of H and W

    Returns (N, C, H, W), or (C, H, W).
    Gradient: `unfold` of gy; nothing is kept for backward.
    Errors: ShapeError if x has not C Kh Kw rows, or not one column for each of the windows that fit into output_size.
    Source: Chellapilla, Puri, Simard 2006, section 2.

    >>> import minigrad as mg
    >>> ones = mg.ones(1, 4, 2)
    >>> mg.nn.functional.fold(ones, (2, 3), (2, 2))  # how many windows see each element
    tensor([[[[1., 2., 1.],
              [1., 2., 1.]]]])
    """
    size = ints("fold", "output_size", output_size, 2, least=1)
    kernel_size, stride, padding, dilation = window_arguments(
        "fold", 2, kernel_size, stride, padding, dilation
    )
    x, restore = batched("fold", x, 1)
    check_windows_fit("fold", size, kernel_size, stride, padding, dilation)
    (Kh, Kw), (Ho, Wo) = kernel_size, window_counts(size, kernel_size, stride, padding, dilation)
    N, rows, L = x.shape
    if rows % (Kh * Kw) or Ho * Wo != L:
        raise ShapeError(
            f"fold: x has shape {list(x.shape)}; {Kh} x {Kw} windows want a number of rows that {Kh * Kw} divides, "
            f"and {Ho} x {Wo} = {Ho * Wo} of them fit into an image of {_times(size)} with stride {stride}, "
            f"padding {padding}, dilation {dilation}: x must be (N, C * {Kh * Kw}, {Ho * Wo})"
        )
    # -> (N, Ho, Wo, Kh, Kw, C)
    cols = x.reshape(N, rows // (Kh * Kw), Kh, Kw, Ho, Wo).permute(0, 4, 5, 2, 3, 1)
    return restore(col2im(cols, size=size, stride=stride, padding=padding, dilation=dilation))


# ---------------------------------------------------------------- shared by convolution and pooling


def window_counts(size, kernel_size, stride, padding, dilation, ceil_mode: bool = False) -> tuple[int, ...]:
    """How many windows fit along each axis; with ceil_mode also a last one that starts inside but ends outside."""
    counts = []
    for n, k, s, p, d in zip(size, kernel_size, stride, padding, dilation, strict=True):
        free = n + 2 * p - d * (k - 1) - 1  # steps of 1 that a window can go
        count = (free + (s - 1 if ceil_mode else 0)) // s + 1
        counts.append(count - 1 if ceil_mode and (count - 1) * s >= n + p else count)
    return tuple(counts)


def window_elements(kernel_size, counts, stride, dilation) -> Iterator[tuple[int, int, tuple]]:
    """For each element (i, j) of the window: the slices of the padded (N, H, W, C) image where all windows have it."""
    (sh, sw), (dh, dw), (Ho, Wo) = stride, dilation, counts
    for i in range(kernel_size[0]):
        for j in range(kernel_size[1]):
            top, left = i * dh, j * dw
            rows, columns = slice(top, top + (Ho - 1) * sh + 1, sh), slice(left, left + (Wo - 1) * sw + 1, sw)
            yield i, j, (slice(None), rows, columns)


def channels_last(xp, x, padding=(0, 0), *, beyond=(0, 0), value=0):
    """(N, C, H, W) in any memory layout -> (N, H + 2 ph, W + 2 pw, C), contiguous; a view where it lies so already.

    beyond: rows and columns more at the end.
    """
    N, C, H, W = x.shape
    (ph, pw), (more_h, more_w) = padding, beyond
    x = xp.transpose(x, (0, 2, 3, 1))
    if not (ph or pw or more_h or more_w):
        return xp.ascontiguousarray(x)
    padded = xp.full((N, H + 2 * ph + more_h, W + 2 * pw + more_w, C), value, dtype=x.dtype)
    padded[:, ph : ph + H, pw : pw + W] = x
    return padded


def pieces(n: int, bytes_each: int, cache: int = 1 << 20) -> list[slice]:
    """Slices of n images, so few at a time that what is made of them (`bytes_each`) stays in the cache of a core."""
    step = max(1, cache // max(1, bytes_each))
    return [slice(i, i + step) for i in range(0, n, step)]


def ints(op: str, name: str, value: Any, n: int, least: int) -> tuple[int, ...]:
    """An int, or n of them, as a tuple of n ints that are at least `least`."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    values = values * n if len(values) == 1 else values
    try:
        numbers = tuple(v.__index__() for v in values)
    except AttributeError:
        numbers = ()
    if len(numbers) != n or any(v < least for v in numbers):
        expected = "an int" if n == 1 else f"an int or {n} of them"
        raise ArgumentError(f"{op}: {name} must be {expected}, {least} or more; got {value!r}")
    return numbers


def window_arguments(op: str, n: int, kernel_size, stride, padding, dilation) -> tuple[tuple[int, ...], ...]:
    """kernel_size, stride, padding and dilation as tuples of n ints."""
    return (
        ints(op, "kernel_size", kernel_size, n, 1),
        ints(op, "stride", stride, n, 1),
        ints(op, "padding", padding, n, 0),
        ints(op, "dilation", dilation, n, 1),
    )


def check_windows_fit(op: str, size, kernel_size, stride, padding, dilation, ceil_mode: bool = False) -> None:
    """ShapeError unless at least one window fits along each axis."""
    if min(window_counts(size, kernel_size, stride, padding, dilation, ceil_mode)) < 1:
        extent = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel_size, strict=True))
        padded = tuple(n + 2 * p for n, p in zip(size, padding, strict=True))
        raise ShapeError(
            f"{op}: a window of {_times(kernel_size)} with dilation {_times(dilation)} spans {_times(extent)}, "
            f"the input of {_times(size)} with padding {_times(padding)} only {_times(padded)}; "
            "take a smaller kernel, or more padding"
        )


def _times(numbers) -> str:
    return " x ".join(map(str, numbers))


def batched(op: str, x: Any, spatial: int) -> tuple[Any, Any]:
    """x with a batch dimension, and the function that takes it off a result again if x had none."""
    if x.ndim == spatial + 2:
        return x, lambda y: y
    if x.ndim == spatial + 1:
        return x.reshape((1, *x.shape)), lambda y: y.reshape(y.shape[1:])
    axes = ", ".join(("N", "C", *("DHW"[-spatial:] if spatial > 1 else "L")))
    raise ShapeError(f"{op}: x must be ({axes}), or without N for a single one; got shape {list(x.shape)}")


def pooling_arguments(op, n, x, kernel_size, stride, padding, dilation, ceil_mode) -> tuple[Any, dict, Any]:
    """x as a batch of images, the windows' arguments as pairs, and what makes the result as x was."""
    stride = kernel_size if stride is None or stride in ((), []) else stride
    kernel_size, stride, padding, dilation = window_arguments(op, n, kernel_size, stride, padding, dilation)
    if any(2 * p > k for p, k in zip(padding, kernel_size, strict=True)):
        raise ArgumentError(f"{op}: padding {padding} must be at most half of kernel_size {kernel_size}")
    x, restore = batched(op, x, n)
    check_windows_fit(op, x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    if n == 2:
        return (
            x,
            {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation},
            restore,
        )
    windows = {
        "kernel_size": (1, *kernel_size),
        "stride": (1, *stride),
        "padding": (0, *padding),
        "dilation": (1, *dilation),
    }
    return (
        x.reshape((*x.shape[:2], 1, x.shape[2])),
        windows,
        lambda y: restore(y.reshape((*y.shape[:2], y.shape[3]))),
    )


def beyond_padding(size, counts, kernel_size, stride, padding, dilation) -> tuple[int, ...]:
    """How many rows and columns the last windows reach beyond the padded image (in ceil_mode they may)."""
    return tuple(
        max(0, (m - 1) * s + d * (k - 1) + 1 - (n + 2 * p))
        for n, m, k, s, p, d in zip(size, counts, kernel_size, stride, padding, dilation, strict=True)
    )
