"""Pooling layers with windows of a given size."""

from __future__ import annotations

from typing import Any

from minigrad import ops
from minigrad.errors import ArgumentError
from minigrad.nn.operation_layer import OperationLayer
from minigrad.ops.window import ints


class MaxPool2d(OperationLayer):
    """The largest element of each window; see `minigrad.nn.functional.max_pool2d` for the formula and the gradient.

    kernel_size:    of the window, an int or (Kh, Kw).
    stride:         step of the window; None for kernel_size, so that windows touch.
    padding:        elements around the image that never win, at most half the window.
    dilation:       distance between elements of the window.
    return_indices: also return where each maximum was found in its (H, W), flattened, int64 of y's shape.
    ceil_mode:      also take a last window that begins inside the image and ends outside.

    Shapes: x (N, C, H, W) or (C, H, W); y (N, C, Ho, Wo) or (C, Ho, Wo), where
        Ho = floor((H + 2 padding - dilation (Kh - 1) - 1) / stride) + 1, rounded up with ceil_mode.
    Raises ArgumentError for sizes out of range.

    >>> import minigrad as mg
    >>> mg.nn.MaxPool2d(2)(mg.ones(1, 1, 4, 4)).shape
    (1, 1, 2, 2)
    """

    axes = 2
    operation = staticmethod(ops.max_pool2d)
    settings = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    shown = settings[:-1]

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size, self.stride, self.padding = _window(self, self.axes, kernel_size, stride, padding)
        ints(type(self).__name__, "dilation", dilation, self.axes, 1)
        self.dilation, self.return_indices, self.ceil_mode = dilation, return_indices, ceil_mode


class MaxPool1d(MaxPool2d):
    """The largest element of each window of a sequence. Arguments as for `MaxPool2d`, each with one int.

    Shapes: x (N, C, L) or (C, L); y (N, C, Lo) or (C, Lo).

    >>> import minigrad as mg
    >>> mg.nn.MaxPool1d(2)(mg.tensor([[[1.0, 5.0, 2.0, 3.0]]]))
    tensor([[[5., 3.]]])
    """

    axes = 1
    operation = staticmethod(ops.max_pool1d)


class AvgPool2d(OperationLayer):
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

    operation = staticmethod(ops.avg_pool2d)
    settings = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
    shown = ("kernel_size", "stride", "padding")

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        if divisor_override == 0:
            raise ArgumentError("AvgPool2d: divisor_override must not be 0")
        self.kernel_size, self.stride, self.padding = _window(self, 2, kernel_size, stride, padding)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override


class AvgPool1d(OperationLayer):
    """The mean of each window of a sequence. Arguments as for `AvgPool2d`, each with one int.

    Shapes: x (N, C, L) or (C, L); y (N, C, Lo) or (C, Lo).

    >>> import minigrad as mg
    >>> mg.nn.AvgPool1d(2)(mg.tensor([[[1.0, 5.0, 2.0, 3.0]]]))
    tensor([[[3. , 2.5]]])
    """

    operation = staticmethod(ops.avg_pool1d)
    settings = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
    shown = ("kernel_size", "stride", "padding")

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        window = _window(self, 1, kernel_size, stride, padding)
        self.kernel_size, self.stride, self.padding = window
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad


def _window(layer: Any, axes: int, kernel_size: Any, stride: Any, padding: Any) -> tuple[Any, Any, Any]:
    """The sizes of a window as given, checked."""
    stride = kernel_size if stride is None else stride
    kind = type(layer).__name__
    kernel, border = ints(kind, "kernel_size", kernel_size, axes, 1), ints(kind, "padding", padding, axes, 0)
    ints(kind, "stride", stride, axes, 1)
    if any(2 * p > k for p, k in zip(border, kernel, strict=True)):
        raise ArgumentError(f"{kind}: padding {padding} must be at most half of kernel_size {kernel_size}")
    return kernel_size, stride, padding
