"""Transposed convolutional layers, which make images larger as convolutions with a stride make them smaller."""

from __future__ import annotations

from typing import Any

from minigrad import ops
from minigrad.errors import ArgumentError
from minigrad.nn.conv import ConvBase
from minigrad.ops.window import ints
from minigrad.tensor import Tensor


class _ConvTranspose(ConvBase):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
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
        self.output_padding = ints(type(self).__name__, "output_padding", output_padding, self.axes, 0)

    def _output_padding(self, x: Tensor, output_size: Any) -> tuple[int, ...]:
        """What makes the result `output_size` large: with a stride, several sizes are convolved to that of x."""
        if output_size is None:
            return self.output_padding
        kind, wanted = type(self).__name__, tuple(output_size)[-self.axes :]
        smallest = tuple(
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                x.shape[-self.axes :], self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
        )
        if len(wanted) != self.axes or any(
            not least <= n < least + s for n, least, s in zip(wanted, smallest, self.stride, strict=False)
        ):
            largest = tuple(least + s - 1 for least, s in zip(smallest, self.stride, strict=True))
            raise ArgumentError(
                f"{kind}: output_size must lie between {list(smallest)} and {list(largest)} for x of shape "
                f"{list(x.shape)}, not be {list(output_size)}"
            )
        return tuple(n - least for n, least in zip(wanted, smallest, strict=True))

    def _more_facts(self) -> str:
        return f", output_padding={self.output_padding}" if any(self.output_padding) else ""


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution over sequences: `ConvTranspose2d` with one axis.

    Arguments as there, each with one int. Shapes: x (N, C, L) or (C, L); weight (C, O / groups, K); bias (O,);
    y (N, O, Lo) or (O, Lo), where Lo = (L - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1.

    >>> import minigrad as mg
    >>> mg.nn.ConvTranspose1d(3, 8, 4, stride=2, padding=1)(mg.ones(2, 3, 5)).shape
    (2, 8, 10)
    """

    axes = 1

    def forward(self, x: Tensor, output_size: Any = None) -> Tensor:
        """x (N, C, L) to y (N, O, Lo), with Lo = output_size[-1] if that is given."""
        more = self._output_padding(x, output_size)
        return ops.conv_transpose1d(
            x, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
        )


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution over images: what `Conv2d` does to gradients, as a layer.

    Each pixel of x adds the kernel times its value to y, the next one `stride` further. See
    `minigrad.nn.functional.conv_transpose2d` for the formula and the gradients.

    in_channels, out_channels: numbers of channels C and O, multiples of `groups`.
    kernel_size, stride, padding, dilation: of the convolution that this is the transpose of, ints or pairs.
    output_padding:            rows and columns added at the end, fewer than stride or dilation.
    groups, bias, device, dtype: as for `Conv2d`.
    padding_mode:              "zeros", the only one.

    Shapes: x (N, C, H, W) or (C, H, W); weight (C, O / groups, Kh, Kw); bias (O,); y (N, O, Ho, Wo), where
        Ho = (H - 1) stride - 2 padding + dilation (Kh - 1) + output_padding + 1, and Wo likewise.
    Initialised uniformly in +-1 / sqrt(O / groups Kh Kw), weight and bias, as in PyTorch.
    Raises ArgumentError for numbers out of range. Source: Dumoulin & Visin 2016, section 4.

    >>> import minigrad as mg
    >>> layer = mg.nn.ConvTranspose2d(3, 8, 3, stride=2, padding=1)
    >>> x = mg.ones(2, 3, 4, 4)
    >>> layer(x).shape, layer(x, output_size=(8, 8)).shape
    ((2, 8, 7, 7), (2, 8, 8, 8))
    """

    axes = 2

    def forward(self, x: Tensor, output_size: Any = None) -> Tensor:
        """x (N, C, H, W) to y (N, O, Ho, Wo), with (Ho, Wo) the last two of output_size if that is given."""
        more = self._output_padding(x, output_size)
        return ops.conv_transpose2d(
            x, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
        )
