"""Convolutional layers."""

from __future__ import annotations

import math
from typing import Any

from minigrad import creation, ops
from minigrad.errors import ArgumentError
from minigrad.nn import init
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """A size given once for both dimensions, or for each."""
    return (value, value) if isinstance(value, int) else tuple(value)  # type: ignore[return-value]


class Conv2d(Module):
    """Two-dimensional convolution (cross-correlation, as everyone calls it): y[n, o] = sum_c w[o, c] * x[n, c] + b[o].

    Parameters
        in_channels, out_channels: numbers of channels C and O, multiples of `groups`.
        kernel_size, stride, padding, dilation: ints or pairs (height, width); padding also "same" or "valid".
        groups: the channels are divided into so many groups, each convolved on its own.
        bias: whether to add b.
    Shapes: x (N, C, H, W); weight (O, C/groups, Kh, Kw); bias (O,); y (N, O, Ho, Wo),
        Ho = floor((H + 2 padding - dilation (Kh - 1) - 1) / stride) + 1, Wo likewise.
    Initialised uniformly in +-1/sqrt(fan_in), both weight and bias, as PyTorch does.

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
            raise ArgumentError(f"Conv2d: {in_channels} input and {out_channels} output channels cannot be divided into {groups} groups")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride, self.dilation = pair(kernel_size), pair(stride), pair(dilation)
        self.padding = padding if isinstance(padding, str) else pair(padding)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        self.weight = Parameter(init.uniform_(creation.empty(shape, device=device, dtype=dtype), -bound, bound))
        self.bias = Parameter(init.uniform_(creation.empty(out_channels, device=device, dtype=dtype), -bound, bound)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) to (N, O, Ho, Wo)."""
        return ops.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        optional = {"padding": (self.padding, (0, 0)), "dilation": (self.dilation, (1, 1)), "groups": (self.groups, 1)}
        text += "".join(f", {name}={value}" for name, (value, default) in optional.items() if value != default)
        return text + ("" if self.bias is not None else ", bias=False")
