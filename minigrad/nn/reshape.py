"""Layers that only move elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad import ops
from minigrad.errors import ArgumentError
from minigrad.nn.operation_layer import OperationLayer
from minigrad.ops.window import ints


class Flatten(OperationLayer):
    """Dimensions `start_dim` to `end_dim` made one; by default all but the first, which counts the batch.

    start_dim, end_dim: the first and the last of the dimensions, counted from the end if negative.

    >>> import minigrad as mg
    >>> mg.nn.Flatten()(mg.ones(2, 3, 4)).shape
    (2, 12)
    """

    operation = staticmethod(ops.flatten)
    settings = ("start_dim", "end_dim")

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim


class Unflatten(OperationLayer):
    """One dimension made several: the reverse of `Flatten`.

    dim:              which one, counted from the end if negative.
    unflattened_size: lengths of the new dimensions; one of them may be -1, for what remains.

    >>> import minigrad as mg
    >>> mg.nn.Unflatten(1, (3, -1))(mg.ones(2, 12)).shape
    (2, 3, 4)
    """

    shown = ("dim", "unflattened_size")

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        if not isinstance(unflattened_size, (tuple, list)):
            raise ArgumentError(
                f"Unflatten: unflattened_size must be the lengths of the new dimensions, not {unflattened_size!r}"
            )
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, x: Any) -> Any:
        """x (..., n, ...) to y (..., *unflattened_size, ...)."""
        return ops.unflatten(x, self.dim, self.unflattened_size)


class Unfold(OperationLayer):
    """Every window of the image as a column; see `minigrad.nn.functional.unfold`.

    kernel_size, dilation, padding, stride: of the windows, ints or pairs.

    Shapes: x (N, C, H, W); y (N, C Kh Kw, number of windows).

    >>> import minigrad as mg
    >>> mg.nn.Unfold(2)(mg.ones(1, 3, 4, 5)).shape
    (1, 12, 12)
    """

    operation = staticmethod(ops.unfold)
    settings = ("kernel_size", "dilation", "padding", "stride")

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        _check_windows(type(self).__name__, kernel_size, dilation, padding, stride)
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride


class Fold(OperationLayer):
    """Columns back to the windows of an image, summed where they overlap; see `minigrad.nn.functional.fold`.

    output_size:                            (H, W) of the image.
    kernel_size, dilation, padding, stride: of the windows, ints or pairs.

    Shapes: x (N, C Kh Kw, number of windows); y (N, C, H, W).

    >>> import minigrad as mg
    >>> mg.nn.Fold((1, 3), (1, 2))(mg.ones(1, 2, 2))
    tensor([[[[1., 2., 1.]]]])
    """

    operation = staticmethod(ops.fold)
    settings = ("output_size", "kernel_size", "dilation", "padding", "stride")

    def __init__(
        self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        _check_windows(type(self).__name__, kernel_size, dilation, padding, stride)
        ints("Fold", "output_size", output_size, 2, 1)
        self.output_size = output_size
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride


class PixelShuffle(OperationLayer):
    """Channels to pixels: x (N, C r^2, H, W) to y (N, C, H r, W r); see `minigrad.nn.functional.pixel_shuffle`.

    upscale_factor: r, 1 or more. Source: Shi et al. 2016, equation 4.

    >>> import minigrad as mg
    >>> mg.nn.PixelShuffle(2)(mg.ones(1, 12, 4, 5)).shape
    (1, 3, 8, 10)
    """

    operation = staticmethod(ops.pixel_shuffle)
    settings = ("upscale_factor",)

    def __init__(self, upscale_factor: int) -> None:
        (self.upscale_factor,) = ints("PixelShuffle", "upscale_factor", upscale_factor, 1, 1)


class PixelUnshuffle(OperationLayer):
    """Pixels to channels, the reverse of `PixelShuffle`: x (N, C, H r, W r) to y (N, C r^2, H, W).

    downscale_factor: r, 1 or more.

    >>> import minigrad as mg
    >>> mg.nn.PixelUnshuffle(2)(mg.ones(1, 3, 8, 10)).shape
    (1, 12, 4, 5)
    """

    operation = staticmethod(ops.pixel_unshuffle)
    settings = ("downscale_factor",)

    def __init__(self, downscale_factor: int) -> None:
        (self.downscale_factor,) = ints("PixelUnshuffle", "downscale_factor", downscale_factor, 1, 1)


def _check_windows(layer: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> None:
    ints(layer, "kernel_size", kernel_size, 2, 1)
    ints(layer, "dilation", dilation, 2, 1)
    ints(layer, "padding", padding, 2, 0)
    ints(layer, "stride", stride, 2, 1)
