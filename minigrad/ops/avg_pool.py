"""Average pooling: the mean of each window."""

from __future__ import annotations

from typing import Any

from minigrad.errors import ArgumentError
from minigrad.op import operation
from minigrad.ops.arguments import count, need_floating
from minigrad.ops.window import (
    beyond_padding,
    channels_last,
    pooling_arguments,
    window_counts,
    window_elements,
)

__all__ = ["avg_pool1d", "avg_pool2d"]
METHODS: list[str] = []

_SOURCE = "LeCun, Bottou, Bengio, Haffner 1998, Gradient-Based Learning Applied to Document Recognition, section II.B"


def _means(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0), ceil_mode=False, divisor="padded") -> dict:
    return {
        "kernel_size": kernel_size,
        "stride": stride,
        "padding": padding,
        "ceil_mode": ceil_mode,
        "divisor": divisor,
    }


@operation(
    name="avg_pool2d",
    formula="y = sum of each window / divisor",
    gradient_formula="gx = for each element the sum of gy / divisor over the windows that see it",
    source=_SOURCE,
    samples=lambda draw: [
        draw.call(draw.normal(2, 3, 4, 6), **_means()),
        draw.call(draw.normal(1, 2, 5, 6), **_means((3, 2), (1, 2), (1, 1), divisor="inside")),
        draw.call(draw.normal(2, 1, 6, 4), **_means((3, 3), (2, 2), (1, 0), ceil_mode=True)),
        draw.call(draw.normal(1, 1, 4, 4), **_means((2, 3), (2, 1), divisor=5)),
    ],
    flops=lambda inputs, outputs, params: count(outputs[0]) * count(params["kernel_size"]),
)
def _avg_pool2d(xp, x, *, kernel_size, stride, padding, ceil_mode, divisor):
    size, windows = x.shape[2:], (kernel_size, stride, padding, (1, 1))
    counts = window_counts(size, *windows, ceil_mode)
    x = channels_last(xp, x, padding, beyond=beyond_padding(size, counts, *windows))
    y = xp.zeros((x.shape[0], *counts, x.shape[3]), dtype=x.dtype)  # (N, Ho, Wo, C)
    for _, _, seen in window_elements(kernel_size, counts, stride, (1, 1)):
        y += x[seen]
    y /= _divisors(xp, divisor, size, counts, kernel_size, stride, padding).astype(x.dtype)
    return xp.transpose(y, (0, 3, 1, 2))


@_avg_pool2d.gradient
def avg_pool2d_gradient(xp, gy, x_shape, *, kernel_size, stride, padding, ceil_mode, divisor):
    how = {
        "kernel_size": kernel_size,
        "stride": stride,
        "padding": padding,
        "ceil_mode": ceil_mode,
        "divisor": divisor,
    }
    return xp.avg_pool2d_transposed(gy, size=x_shape[2:], **how)


@operation(
    formula="y = for each element of the image the sum of x / divisor over the windows that see it",
    gradient_formula="gx = avg_pool2d(gy)",
    source="transpose of avg_pool2d",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3, 2, 3), size=(4, 6), **_means()),
        draw.call(draw.normal(1, 2, 5, 4), size=(5, 6), **_means((3, 2), (1, 2), (1, 1), divisor="inside")),
        draw.call(draw.normal(2, 1, 4, 2), size=(6, 4), **_means((3, 3), (2, 2), (1, 0), ceil_mode=True)),
        draw.call(draw.normal(1, 1, 2, 2), size=(4, 4), **_means((2, 3), (2, 1), divisor=5)),
    ],
    flops=lambda inputs, outputs, params: count(inputs[0]) * count(params["kernel_size"]),
)
def avg_pool2d_transposed(xp, x, *, size, kernel_size, stride, padding, ceil_mode, divisor):
    """Each window's number, divided, goes to all its elements: (N, C, Ho, Wo) -> (N, C, *size)."""
    (N, C, *counts), (H, W), (ph, pw) = x.shape, size, padding
    x = channels_last(xp, x) / _divisors(xp, divisor, size, counts, kernel_size, stride, padding).astype(
        x.dtype
    )
    more_h, more_w = beyond_padding(size, counts, kernel_size, stride, padding, (1, 1))
    y = xp.zeros((N, H + 2 * ph + more_h, W + 2 * pw + more_w, C), dtype=x.dtype)
    for _, _, seen in window_elements(kernel_size, counts, stride, (1, 1)):
        y[seen] += x
    return xp.transpose(y[:, ph : ph + H, pw : pw + W], (0, 3, 1, 2))


@avg_pool2d_transposed.gradient
def avg_pool2d_transposed_gradient(xp, gy, *, kernel_size, stride, padding, ceil_mode, divisor):
    return xp.avg_pool2d(
        gy, kernel_size=kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode, divisor=divisor
    )


def _divisors(xp, divisor, size, counts, kernel_size, stride, padding):
    """What each window's sum is divided by, (Ho, Wo, 1).

    divisor: a number; or "inside" for how many of the window's elements lie in the image, "padded" in the padded one.
    """
    if not isinstance(divisor, str):
        return xp.full((1, 1, 1), divisor)
    lengths = []
    for n, m, k, s, p in zip(size, counts, kernel_size, stride, padding, strict=True):
        first = xp.arange(m) * s - p
        low, high = (-p, n + p) if divisor == "padded" else (0, n)
        lengths.append(xp.minimum(first + k, high) - xp.maximum(first, low))
    return lengths[0][:, None, None] * lengths[1][:, None]


def avg_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of each window.

        y[n, c, h, w] = sum over i, j of x[n, c, h stride + i - padding, w stride + j - padding] / number of elements

    x:                 (N, C, H, W), or (C, H, W), floating point
    kernel_size:       of the window, an int or (Kh, Kw)
    stride:            step of the window; None for kernel_size, so that windows touch
    padding:           zeros around the image; at most half of kernel_size
    ceil_mode:         also take a last window that begins inside the image (or its leading padding) and ends outside
    count_include_pad: the number of elements counts the padding too, but never what lies outside it
    divisor_override:  divide by this instead of the number of elements

    Returns (N, C, Ho, Wo), or (C, Ho, Wo), where Ho = floor((H + 2 padding - Kh) / stride) + 1, with ceil_mode
    rounded up.
    Gradient: each element receives gy / number from every window that sees it. Nothing is kept for backward.
    Errors: ArgumentError for bad arguments; ShapeError if no window fits; DtypeError for integers.
    Source: LeCun et al. 1998, section II.B.

    >>> import minigrad as mg
    >>> mg.nn.functional.avg_pool2d(mg.arange(16.0).reshape(1, 1, 4, 4), 2)
    tensor([[[[ 2.5,  4.5],
              [10.5, 12.5]]]])
    """
    return _pool_mean(
        "avg_pool2d", 2, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool1d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window of a sequence: `avg_pool2d` with one spatial axis; (N, C, L) -> (N, C, Lo).

    >>> import minigrad as mg
    >>> mg.nn.functional.avg_pool1d(mg.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2)
    tensor([[[2., 1.]]])
    """
    return _pool_mean("avg_pool1d", 1, x, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def _pool_mean(op, n, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override) -> Any:
    need_floating(op, x)
    if divisor_override is not None and (not isinstance(divisor_override, int) or divisor_override == 0):
        raise ArgumentError(
            f"{op}: divisor_override must be an int other than 0, or None; got {divisor_override!r}"
        )
    x, windows, restore = pooling_arguments(op, n, x, kernel_size, stride, padding, 1, ceil_mode)
    del windows["dilation"]
    divisor = (
        divisor_override if divisor_override is not None else "padded" if count_include_pad else "inside"
    )
    return restore(_avg_pool2d(x, ceil_mode=bool(ceil_mode), divisor=divisor, **windows))
