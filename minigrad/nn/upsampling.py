"""Layers that change the size of images."""

from __future__ import annotations

from typing import Any

from minigrad import ops
from minigrad.errors import ArgumentError
from minigrad.nn.operation_layer import OperationLayer


class Upsample(OperationLayer):
    """The image (sequence, volume) in another size; see `minigrad.nn.functional.interpolate` for the formula.

    size:                   of the result: an int, or one for each spatial axis.
    scale_factor:           the size of the result as a multiple of that of x, rounded down; this or size.
    mode:                   "nearest", "nearest-exact", "area", "linear" (sequences), "bilinear", "bicubic" (images)
                            or "trilinear" (volumes).
    align_corners:          for the linear and cubic modes: whether corners map to corners.
    recompute_scale_factor: take the exact ratio of the sizes instead of scale_factor, which rounding down changed.

    Shapes: x (N, C, L), (N, C, H, W) or (N, C, D, H, W); y (N, C, *size).
    Raises ArgumentError unless one of size and scale_factor is given.

    >>> import minigrad as mg
    >>> mg.nn.Upsample(scale_factor=2)(mg.tensor([[[1.0, 2.0]]]))
    tensor([[[1., 1., 2., 2.]]])
    """

    operation = staticmethod(ops.interpolate)
    settings = ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor")

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        if (size is None) == (scale_factor is None):
            raise ArgumentError(
                f"{type(self).__name__}: give size or scale_factor, one of them; "
                f"got size={size!r}, scale_factor={scale_factor!r}"
            )
        self.size, self.scale_factor, self.mode = size, scale_factor, mode
        self.align_corners, self.recompute_scale_factor = align_corners, recompute_scale_factor

    def extra_repr(self) -> str:
        what = "size" if self.scale_factor is None else "scale_factor"
        return f"{what}={getattr(self, what)!r}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """`Upsample` with mode "nearest", under its older name.

    >>> import minigrad as mg
    >>> mg.nn.UpsamplingNearest2d(scale_factor=2)(mg.ones(1, 1, 2, 3)).shape
    (1, 1, 4, 6)
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """`Upsample` with mode "bilinear" and align_corners=True, under its older name.

    >>> import minigrad as mg
    >>> mg.nn.UpsamplingBilinear2d(size=(1, 3))(mg.tensor([[[[1.0, 2.0]]]]))
    tensor([[[[1. , 1.5, 2. ]]]])
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "bilinear", align_corners=True)
