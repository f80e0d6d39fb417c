"""Convolutional layers."""

from __future__ import annotations

import math
from typing import Any

from minigrad import creation, ops
from minigrad.errors import ArgumentError
from minigrad.nn import init
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.ops.window import ints
from minigrad.tensor import Tensor


class Conv2d(Module):
    """Convolution over images (in fact cross-correlation): y[n, o] = sum over c of w[o, c] * x[n, c], + b[o].

    See `minigrad.nn.functional.conv2d` for the formula by pixels, the gradients and their sources.

    in_channels, out_channels: numbers of channels C and O, multiples of `groups`.
    kernel_size, stride:       of the window and of its steps, ints or pairs (height, width).
    padding:                   zeros around the image, an int or a pair; "valid" is 0; "same" (stride 1 only) keeps
                               the size.
    dilation:                  distance between elements of the window, an int or a pair.
    groups:                    the channels are split into so many groups, each convolved by itself.
    bias:                      whether b is added.
    device, dtype:             of the parameters.

    Shapes: x (N, C, H, W) or (C, H, W); weight (O, C / groups, Kh, Kw); bias (O,); y (N, O, Ho, Wo) or
        (O, Ho, Wo), where
        Ho = floor((H + 2 padding - dilation (Kh - 1) - 1) / stride) + 1, and Wo likewise.
    Initialised uniformly in +-1 / sqrt(fan_in), weight and bias, fan_in = C / groups Kh Kw, as in PyTorch.
    Raises ArgumentError for numbers out of range.

    >>> import minigrad as mg
    >>> mg.nn.Conv2d(3, 8, 3, padding=1)(mg.ones(2, 3, 5, 5)).shape
    (2, 8, 5, 5)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if min(in_channels, out_channels, groups) < 1 or in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"Conv2d: {in_channels} input and {out_channels} output channels cannot be divided into {groups} groups"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = ints("Conv2d", "kernel_size", kernel_size, 2, 1)
        self.stride, self.dilation = (
            ints("Conv2d", "stride", stride, 2, 1),
            ints("Conv2d", "dilation", dilation, 2, 1),
        )
        if isinstance(padding, str):
            if padding not in ("same", "valid") or (padding == "same" and self.stride != (1, 1)):
                raise ArgumentError(
                    f'Conv2d: padding must be ints, "valid", or for stride 1 "same"; not {padding!r} '
                    f"with stride {self.stride}"
                )
            self.padding: Any = padding
        else:
            self.padding = ints("Conv2d", "padding", padding, 2, 0)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        self.weight = Parameter(
            init.uniform_(creation.empty(shape, device=device, dtype=dtype), -bound, bound)
        )
        self.bias: Parameter | None = None
        if bias:
            self.bias = Parameter(
                init.uniform_(creation.empty(out_channels, device=device, dtype=dtype), -bound, bound)
            )

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) to y (N, O, Ho, Wo)."""
        return ops.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        optional = {
            "padding": (self.padding, (0, 0)),
            "dilation": (self.dilation, (1, 1)),
            "groups": (self.groups, 1),
        }
        text += "".join(
            f", {name}={value}" for name, (value, default) in optional.items() if value != default
        )
        return text + ("" if self.bias is not None else ", bias=False")
