"""Layers that put a border around sequences (1d) and images (2d).

padding: its width, an int for all sides, or (left, right) for sequences, (left, right, top, bottom) for images;
         negative widths cut off.

Shapes: x (N, C, L) or (N, C, H, W), or without N; y longer by the widths. The gradient adds to each element what its
copies in the border get. See `minigrad.nn.functional.pad`. Raises ArgumentError for other widths.
"""

from __future__ import annotations

from typing import Any, ClassVar

from minigrad import ops
from minigrad.errors import ArgumentError
from minigrad.nn.module import Module
from minigrad.tensor import Tensor


class _Padding(Module):
    """What all share; a subclass says how many axes are padded, and a family how the border is filled."""

    mode: ClassVar[str]
    axes: ClassVar[int]
    value: float | None = None

    def __init__(self, padding: Any) -> None:
        given = (padding,) * (2 * self.axes) if hasattr(padding, "__index__") else padding
        if not isinstance(given, (tuple, list)) or len(given) != 2 * self.axes:
            order = "(left, right)" if self.axes == 1 else "(left, right, top, bottom)"
            raise ArgumentError(f"{type(self).__name__}: padding must be an int or {order}, not {padding!r}")
        self.padding = tuple(given)

    def forward(self, x: Tensor) -> Tensor:
        """x with the border."""
        return ops.pad(x, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ConstantPad1d(_Padding):
    """A border of `value` around sequences.

    >>> import minigrad as mg
    >>> mg.nn.ConstantPad1d((1, 2), 7.0)(mg.ones(1, 1, 1))
    tensor([[[7., 1., 7., 7.]]])
    """

    mode, axes = "constant", 1

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad2d(ConstantPad1d):
    """A border of `value` around images.

    >>> import minigrad as mg
    >>> mg.nn.ConstantPad2d((1, 0, 0, 0), 7.0)(mg.ones(1, 1, 2, 1))
    tensor([[[[7., 1.],
              [7., 1.]]]])
    """

    axes = 2


class ZeroPad1d(_Padding):
    """A border of zeros around sequences.

    >>> import minigrad as mg
    >>> mg.nn.ZeroPad1d(1)(mg.ones(1, 1, 1))
    tensor([[[0., 1., 0.]]])
    """

    mode, axes = "constant", 1


class ZeroPad2d(ZeroPad1d):
    """A border of zeros around images.

    >>> import minigrad as mg
    >>> mg.nn.ZeroPad2d((1, 1, 0, 0))(mg.ones(1, 1, 1, 1))
    tensor([[[[0., 1., 0.]]]])
    """

    axes = 2


class ReflectionPad1d(_Padding):
    """Sequences continued by their mirror image; the outermost element is not repeated.

    >>> import minigrad as mg
    >>> mg.nn.ReflectionPad1d(2)(mg.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[3., 2., 1., 2., 3., 2., 1.]]])
    """

    mode, axes = "reflect", 1


class ReflectionPad2d(ReflectionPad1d):
    """Images continued by their mirror image; the outermost pixels are not repeated.

    >>> import minigrad as mg
    >>> mg.nn.ReflectionPad2d((2, 0, 0, 0))(mg.tensor([[[[1.0, 2.0, 3.0]]]]))
    tensor([[[[3., 2., 1., 2., 3.]]]])
    """

    axes = 2


class ReplicationPad1d(_Padding):
    """Sequences continued by their outermost elements.

    >>> import minigrad as mg
    >>> mg.nn.ReplicationPad1d(2)(mg.tensor([[[1.0, 2.0]]]))
    tensor([[[1., 1., 1., 2., 2., 2.]]])
    """

    mode, axes = "replicate", 1


class ReplicationPad2d(ReplicationPad1d):
    """Images continued by their outermost pixels.

    >>> import minigrad as mg
    >>> mg.nn.ReplicationPad2d((0, 2, 0, 0))(mg.tensor([[[[1.0, 2.0]]]]))
    tensor([[[[1., 2., 2., 2.]]]])
    """

    axes = 2


class CircularPad1d(_Padding):
    """Sequences continued from their other end.

    >>> import minigrad as mg
    >>> mg.nn.CircularPad1d((1, 2))(mg.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[3., 1., 2., 3., 1., 2.]]])
    """

    mode, axes = "circular", 1


class CircularPad2d(CircularPad1d):
    """Images continued from their other side.

    >>> import minigrad as mg
    >>> mg.nn.CircularPad2d((1, 0, 0, 0))(mg.tensor([[[[1.0, 2.0]]]]))
    tensor([[[[2., 1., 2.]]]])
    """

    axes = 2
