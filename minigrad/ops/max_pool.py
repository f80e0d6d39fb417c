"""Maximum pooling: the largest element of each window, and which one that is."""

from __future__ import annotations

from typing import Any

from minigrad.engine import describe
from minigrad.errors import DtypeError, ShapeError
from minigrad.op import operation
from minigrad.ops.arguments import count, need_tensor
from minigrad.ops.window import (
    beyond_padding,
    channels_last,
    pooling_arguments,
    window_counts,
    window_elements,
)

__all__ = ["max_pool1d", "max_pool2d"]
METHODS: list[str] = []

_SOURCE = (
    "Ranzato, Huang, Boureau, LeCun 2007, Unsupervised Learning of Invariant Feature Hierarchies, section 2"
)


def _windows(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0), dilation=(1, 1)) -> dict:
    """The parameters that all operations here share."""
    return {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}


_OVERLAPPING = _windows((3, 2), (1, 2), (0, 1), (1, 2))


@operation(
    name="max_pool2d",
    formula="y = max of each window; winner = which of its elements that is, counted row by row",
    gradient_formula="gx = gy at the winner of each window, else 0; several windows add up",
    source=_SOURCE,
    samples=lambda draw: [
        draw.call(draw.apart(2, 3, 4, 6), ceil_mode=False, **_windows()),
        draw.call(draw.apart(1, 2, 5, 6), ceil_mode=False, **_windows((3, 2), (1, 2), (1, 1), (1, 2))),
        draw.call(draw.apart(2, 1, 6, 4), ceil_mode=True, **_windows((3, 3), (2, 2), (1, 0))),
    ],
    outputs=("y", "winner"),
    flops=lambda inputs, outputs, params: count(outputs[0]) * count(params["kernel_size"]),
)
def _max_pool2d(xp, x, *, kernel_size, stride, padding, dilation, ceil_mode):
    size, counts = x.shape[2:], window_counts(x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    floating = x.dtype.kind == "f"
    lowest = -xp.inf if floating else xp.iinfo(x.dtype).min
    beyond = beyond_padding(size, counts, kernel_size, stride, padding, dilation)
    x = channels_last(xp, x, padding, beyond=beyond, value=lowest)
    y = xp.full((x.shape[0], *counts, x.shape[3]), lowest, dtype=x.dtype)  # (N, Ho, Wo, C)
    number = xp.uint8 if count(kernel_size) <= 256 else xp.int32
    winner = xp.zeros(y.shape, dtype=number)
    winner += _first_inside(xp, counts, kernel_size, stride, padding, dilation)[:, :, None].astype(number)
    for i, j, seen in window_elements(kernel_size, counts, stride, dilation):
        element = xp.ascontiguousarray(x[seen])
        better = element > y
        if floating:
            better |= element != element  # NaN wins: it must not go unseen
        # The numbers grow: the latest wins
        winner = xp.maximum(winner, better * number(i * kernel_size[1] + j))
        y = xp.maximum(y, element)
    return xp.transpose(y, (0, 3, 1, 2)), xp.transpose(winner, (0, 3, 1, 2))


@_max_pool2d.gradient
def max_pool2d_gradient(xp, gy, winner, x_shape, *, kernel_size, stride, padding, dilation):
    return xp.window_scatter(
        gy[0], winner, size=x_shape[2:], **_windows(kernel_size, stride, padding, dilation)
    )


@operation(
    formula="y[n, c, h s + i d - p, w s + j d - p] += x[n, c, h, w], where winner[n, c, h, w] = i Kw + j",
    gradient_formula="gx = window_gather(gy, winner)",
    source="transpose of window_gather",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3, 2, 3), draw.integers(0, 4, 2, 3, 2, 3), size=(4, 6), **_windows()),
        draw.call(draw.normal(1, 2, 3, 3), draw.integers(2, 4, 1, 2, 3, 3), size=(4, 6), **_OVERLAPPING),
    ],
)
def window_scatter(xp, x, winner, *, size, kernel_size, stride, padding, dilation):
    """Each window's number is added to the element that `winner` names: (N, C, Ho, Wo) -> (N, C, *size)."""
    (N, C, *counts), (H, W), (ph, pw) = x.shape, size, padding
    more_h, more_w = beyond_padding(size, counts, kernel_size, stride, padding, dilation)
    y = xp.zeros((N, H + 2 * ph + more_h, W + 2 * pw + more_w, C), dtype=x.dtype)
    places = _places(xp, channels_last(xp, winner), y.shape, kernel_size, stride, dilation)
    xp.add.at(y.reshape(-1), places, channels_last(xp, x).reshape(-1))
    return xp.transpose(y[:, ph : ph + H, pw : pw + W], (0, 3, 1, 2))


@window_scatter.gradient
def window_scatter_gradient(xp, gy, winner, *, kernel_size, stride, padding, dilation):
    return xp.window_gather(gy, winner, **_windows(kernel_size, stride, padding, dilation)), None


@operation(
    formula="y[n, c, h, w] = x[n, c, h s + i d - p, w s + j d - p], where winner[n, c, h, w] = i Kw + j",
    gradient_formula="gx = window_scatter(gy, winner)",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3, 4, 6), draw.integers(0, 4, 2, 3, 2, 3), **_windows()),
        draw.call(draw.normal(1, 2, 4, 6), draw.integers(2, 4, 1, 2, 3, 3), **_OVERLAPPING),
    ],
    flops=0,
)
def window_gather(xp, x, winner, *, kernel_size, stride, padding, dilation):
    """The element of each window that `winner` names: (N, C, H, W) -> (N, C, Ho, Wo)."""
    beyond = beyond_padding(x.shape[2:], winner.shape[2:], kernel_size, stride, padding, dilation)
    x, winner = channels_last(xp, x, padding, beyond=beyond), channels_last(xp, winner)
    y = x.reshape(-1)[_places(xp, winner, x.shape, kernel_size, stride, dilation)]
    return xp.transpose(y.reshape(winner.shape), (0, 3, 1, 2))


@window_gather.gradient
def window_gather_gradient(xp, gy, winner, x_shape, *, kernel_size, stride, padding, dilation):
    how = _windows(kernel_size, stride, padding, dilation)
    return xp.window_scatter(gy, winner, size=x_shape[2:], **how), None


@operation(
    formula="y[n, c, h, w] = (h s + i d - p) W + (w s + j d - p), where winner[n, c, h, w] = i Kw + j",
    source="definition",
    samples=lambda draw: [draw.call(draw.integers(0, 4, 2, 3, 2, 3), width=6, **_windows())],
    flops=0,
)
def window_indices(xp, winner, *, width, kernel_size, stride, padding, dilation):
    """Where in the image, its rows one after the other, the winner of each window lies; int64."""
    winner = winner.astype(xp.int64)
    i, j = winner // kernel_size[1], winner % kernel_size[1]
    rows = xp.arange(winner.shape[2])[:, None] * stride[0] + i * dilation[0] - padding[0]
    columns = xp.arange(winner.shape[3]) * stride[1] + j * dilation[1] - padding[1]
    return rows * width + columns


def _first_inside(xp, counts, kernel_size, stride, padding, dilation):
    """For each window, (Ho, Wo), its first element that is not padding: it wins if all are equally low."""
    rows, columns = (
        xp.maximum(0, -((xp.arange(m) * s - p) // d))
        for m, s, p, d in zip(counts, stride, padding, dilation, strict=True)
    )
    return rows[:, None] * kernel_size[1] + columns


def _places(xp, winner, shape, kernel_size, stride, dilation):
    """For each window the place of its winner among all elements of the padded image (N, H, W, C) in a row."""
    (N, Ho, Wo, C), (_, H, W, _) = winner.shape, shape
    i, j = xp.arange(kernel_size[0])[:, None] * dilation[0], xp.arange(kernel_size[1]) * dilation[1]
    places = xp.take(((i * W + j) * C).reshape(-1), winner)  # from the window's corner to its winner
    places = places.reshape(N, Ho, Wo * C)
    # From the row to the corner
    places += (xp.arange(Wo)[:, None] * stride[1] * C + xp.arange(C)).reshape(-1)
    places += ((xp.arange(N)[:, None] * H + xp.arange(Ho) * stride[0]) * W * C)[:, :, None]
    return places.reshape(-1)


def max_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window.

        y[n, c, h, w] = max over i, j of x[n, c, h stride + i dilation - padding, w stride + j dilation - padding]

    x:              (N, C, H, W), or (C, H, W); floating point or integer
    kernel_size:    of the window, an int or (Kh, Kw)
    stride:         step of the window; None for kernel_size, so that windows touch
    padding:        elements around the image that never win; at most half of kernel_size
    dilation:       distance between elements of the window
    ceil_mode:      also take a last window that begins inside the image (or its leading padding) and ends outside
    return_indices: also return where each maximum was found

    Returns (N, C, Ho, Wo), or (C, Ho, Wo), where Ho = floor((H + 2 padding - dilation (Kh - 1) - 1) / stride) + 1, with
    ceil_mode rounded up; with return_indices a pair of it and the int64 positions in the flattened (H, W).
    Gradient: gy goes to the element that won, the first of equals; overlapping windows add up. NaN wins over all.
    Memory: one byte per element of y, which says who won, is kept.
    Errors: ArgumentError for bad arguments; ShapeError if no window fits.
    Source: Ranzato et al. 2007, section 2.

    >>> import minigrad as mg
    >>> mg.nn.functional.max_pool2d(mg.arange(16.0).reshape(1, 1, 4, 4), 2)
    tensor([[[[ 5.,  7.],
              [13., 15.]]]])
    """
    return _pool_max("max_pool2d", 2, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool1d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of a sequence: `max_pool2d` with one spatial axis; (N, C, L) -> (N, C, Lo).

    >>> import minigrad as mg
    >>> mg.nn.functional.max_pool1d(mg.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2)
    tensor([[[3., 2.]]])
    """
    return _pool_max("max_pool1d", 1, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _pool_max(op, n, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices) -> Any:
    need_tensor(op, x)
    x, windows, restore = pooling_arguments(op, n, x, kernel_size, stride, padding, dilation, ceil_mode)
    if x.dtype == bool:
        raise DtypeError(f"{op} needs numbers, not {describe(x)}; convert with x.float()")
    for n, s, p, d in zip(
        x.shape[2:], windows["stride"], windows["padding"], windows["dilation"], strict=True
    ):
        if any(
            start % d >= n for start in range(-p, 0, s)
        ):  # start % d is the first element that is not padding
            raise ShapeError(
                f"{op}: with padding {padding} and dilation {dilation}, windows see nothing of x {list(x.shape)}"
            )
    y, winner = _max_pool2d(x, ceil_mode=bool(ceil_mode), **windows)
    if not return_indices:
        return restore(y)
    return restore(y), restore(window_indices(winner, width=x.shape[3], **windows))
