"""Pooling layers."""

from __future__ import annotations

from typing import Any

from minigrad import ops
from minigrad.nn.module import Module
from minigrad.ops.window import ints
from minigrad.tensor import Tensor


class MaxPool2d(Module):
    """The largest element of each window; see `minigrad.nn.functional.max_pool2d` for the formula and the gradient.

    kernel_size:    of the window, an int or (Kh, Kw).
    stride:         step of the window; None for kernel_size, so that windows touch.
    padding:        elements around the image that never win, at most half the window.
    dilation:       distance between elements of the window.
    return_indices: also return where each maximum was found in its (H, W), flattened.
    ceil_mode:      also take a last window that begins inside the image and ends outside.

    Shapes: x (N, C, H, W) or (C, H, W); y (N, C, Ho, Wo) or (C, Ho, Wo), where
        Ho = floor((H + 2 padding - dilation (Kh - 1) - 1) / stride) + 1, rounded up with ceil_mode.
    Raises ArgumentError for sizes out of range.

    >>> import minigrad as mg
    >>> mg.nn.MaxPool2d(2)(mg.ones(1, 1, 4, 4)).shape
    (1, 1, 2, 2)
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size, self.stride, self.padding = _window("MaxPool2d", kernel_size, stride, padding)
        ints("MaxPool2d", "dilation", dilation, 2, 1)
        self.dilation, self.return_indices, self.ceil_mode = dilation, return_indices, ceil_mode

    def forward(self, x: Tensor) -> Any:
        """x (N, C, H, W) to y (N, C, Ho, Wo), or with return_indices to y and the indices, int64 of y's shape."""
        return ops.max_pool2d(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """The mean of each window; see `minigrad.nn.functional.avg_pool2d` for the formula and the gradient.

    kernel_size, stride, ceil_mode: as for `MaxPool2d`.
    padding:                        zeros around the image, at most half the window.
    count_include_pad:              whether the mean's denominator counts the padding.
    divisor_override:               divide by this number instead.

    Shapes: x (N, C, H, W) or (C, H, W); y (N, C, Ho, Wo) or (C, Ho, Wo), where
        Ho = floor((H + 2 padding - Kh) / stride) + 1, rounded up with ceil_mode.
    Raises ArgumentError for sizes out of range.

    >>> import minigrad as mg
    >>> mg.nn.AvgPool2d(2)(mg.arange(4.0).reshape(1, 1, 2, 2))
    tensor([[[[1.5]]]])
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        self.kernel_size, self.stride, self.padding = _window("AvgPool2d", kernel_size, stride, padding)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) to y (N, C, Ho, Wo)."""
        return ops.avg_pool2d(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(Module):
    """The mean of windows laid out so that the output has a given size; see
    `minigrad.nn.functional.adaptive_avg_pool2d`.

    output_size: an int or (Ho, Wo), where None keeps the size of x; 1 for the mean of each channel.

    Shapes: x (N, C, H, W) or (C, H, W); y (N, C, Ho, Wo) or (C, Ho, Wo).

    >>> import minigrad as mg
    >>> mg.nn.AdaptiveAvgPool2d(1)(mg.ones(2, 3, 5, 7)).shape
    (2, 3, 1, 1)
    """

    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) to y (N, C, Ho, Wo)."""
        return ops.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


def _window(layer: str, kernel_size: Any, stride: Any, padding: Any) -> tuple[Any, Any, Any]:
    """The sizes of a window as given, checked."""
    stride = kernel_size if stride is None else stride
    for name, value, least in (
        ("kernel_size", kernel_size, 1),
        ("stride", stride, 1),
        ("padding", padding, 0),
    ):
        ints(layer, name, value, 2, least)
    return kernel_size, stride, padding
