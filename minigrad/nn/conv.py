"""Convolutional layers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from minigrad import creation, ops
from minigrad.errors import ArgumentError
from minigrad.nn import init
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.ops.window import ints
from minigrad.tensor import Tensor

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class ConvBase(Module):
    """What all convolutions share: their arguments, checked, and parameters; a subclass says how many axes they have.

    The weight's first two lengths are (O, C / groups), or `transposed` (C, O / groups).
    """

    axes: ClassVar[int]
    transposed: ClassVar[bool] = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        kind = type(self).__name__
        if min(in_channels, out_channels, groups) < 1 or in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"{kind}: {in_channels} input and {out_channels} output channels cannot be divided into {groups} groups"
            )
        allowed = _PADDING_MODES[:1] if self.transposed else _PADDING_MODES
        if padding_mode not in allowed:
            raise ArgumentError(
                f"{kind}: padding_mode must be {' or '.join(map(repr, allowed))}, not {padding_mode!r}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.padding_mode = padding_mode
        self.kernel_size = ints(kind, "kernel_size", kernel_size, self.axes, 1)
        self.stride = ints(kind, "stride", stride, self.axes, 1)
        self.dilation = ints(kind, "dilation", dilation, self.axes, 1)
        self.padding = self._checked_padding(kind, padding)
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        shape = (first, second // groups, *self.kernel_size)
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        weight = creation.empty(shape, device=device, dtype=dtype)
        self.weight = Parameter(init.uniform_(weight, -bound, bound))
        self.bias: Parameter | None = None
        if bias:
            self.bias = Parameter(
                init.uniform_(creation.empty(out_channels, device=device, dtype=dtype), -bound, bound)
            )

    def _checked_padding(self, kind: str, padding: Any) -> Any:
        if not isinstance(padding, str):
            return ints(kind, "padding", padding, self.axes, 0)
        if self.transposed:
            raise ArgumentError(f"{kind}: padding must be ints, not {padding!r}")
        if padding not in ("same", "valid") or (padding == "same" and max(self.stride) > 1):
            raise ArgumentError(
                f'{kind}: padding must be ints, "valid", or for stride 1 "same"; not {padding!r} '
                f"with stride {self.stride}"
            )
        return padding

    def extra_repr(self) -> str:
        facts = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        if isinstance(self.padding, str) or any(self.padding):
            facts += f", padding={self.padding}"
        if any(d != 1 for d in self.dilation):
            facts += f", dilation={self.dilation}"
        facts += self._more_facts()
        if self.groups != 1:
            facts += f", groups={self.groups}"
        if self.bias is None:
            facts += ", bias=False"
        if self.padding_mode != "zeros":
            facts += f", padding_mode={self.padding_mode}"
        return facts

    def _more_facts(self) -> str:
        return ""


class _Conv(ConvBase):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _with_border(self, x: Tensor) -> tuple[Tensor, Any]:
        """x, and the zeros still to be added: none, if the border is not of zeros and stands already."""
        if self.padding_mode == "zeros" or self.padding == "valid":
            return x, self.padding
        if self.padding == "same":
            sums = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            widths = [(total // 2, total - total // 2) for total in sums]
        else:
            widths = [(p, p) for p in self.padding]
        return ops.pad(x, [w for pair in reversed(widths) for w in pair], self.padding_mode), 0


class Conv1d(_Conv):
    """Convolution over sequences: `Conv2d` with one axis.

    Arguments as for `Conv2d`, each with one int. Shapes: x (N, C, L) or (C, L); weight (O, C / groups, K); bias (O,);
    y (N, O, Lo) or (O, Lo), where Lo = floor((L + 2 padding - dilation (K - 1) - 1) / stride) + 1.

    >>> import minigrad as mg
    >>> mg.nn.Conv1d(3, 8, 3, padding=1, padding_mode="circular")(mg.ones(2, 3, 5)).shape
    (2, 8, 5)
    """

    axes = 1

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, L) to y (N, O, Lo)."""
        x, padding = self._with_border(x)
        return ops.conv1d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv2d(_Conv):
    """Convolution over images (in fact cross-correlation): y[n, o] = sum over c of w[o, c] * x[n, c], + b[o].

    See `minigrad.nn.functional.conv2d` for the formula by pixels, the gradients and their sources.

    in_channels, out_channels: numbers of channels C and O, multiples of `groups`.
    kernel_size, stride:       of the window and of its steps, ints or pairs (height, width).
    padding:                   width of the border around the image, an int or a pair; "valid" is 0; "same" (stride 1
                               only) keeps the size.
    dilation:                  distance between elements of the window, an int or a pair.
    groups:                    the channels are split into so many groups, each convolved by itself.
    bias:                      whether b is added.
    padding_mode:              what the border is filled with: "zeros", or as in `minigrad.nn.functional.pad` "reflect",
                               "replicate" or "circular".
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

    axes = 2

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) to y (N, O, Ho, Wo)."""
        x, padding = self._with_border(x)
        return ops.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
