"""Softmax and its relatives as layers."""

from __future__ import annotations

from minigrad import ops
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.module import Module
from minigrad.nn.operation_layer import OperationLayer
from minigrad.tensor import Tensor


class _AlongDim(OperationLayer):
    """What the three share: the dimension along which they work."""

    settings = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        if dim is None:
            raise ArgumentError(
                f"{type(self).__name__}: say along which dimension the classes lie, for example dim=1 for (N, C)"
            )
        self.dim = dim


class Softmax(_AlongDim):
    """y = e^x / sum of e^x along `dim`: probabilities; see `minigrad.nn.functional.softmax`.

    As input of a loss, prefer the logits x themselves: `CrossEntropyLoss` applies this without overflow.

    >>> import minigrad as mg
    >>> mg.nn.Softmax(dim=1)(mg.tensor([[0.0, 0.0, 1000.0]]))
    tensor([[0., 0., 1.]])
    """

    operation = staticmethod(ops.softmax)


class LogSoftmax(_AlongDim):
    """y = x - log(sum of e^x along `dim`): logarithms of probabilities; see `minigrad.nn.functional.log_softmax`.

    >>> import minigrad as mg
    >>> mg.nn.LogSoftmax(dim=1)(mg.tensor([[0.0, 1000.0]]))
    tensor([[-1000.,     0.]])
    """

    operation = staticmethod(ops.log_softmax)


class Softmin(_AlongDim):
    """y = softmax(-x) along `dim`; see `minigrad.nn.functional.softmin`.

    >>> import minigrad as mg
    >>> mg.nn.Softmin(dim=0)(mg.tensor([0.0, 1000.0]))
    tensor([1., 0.])
    """

    operation = staticmethod(ops.softmin)


class Softmax2d(Module):
    """Softmax over the channels of each pixel. Shapes: x (N, C, H, W) or (C, H, W); y likewise.

    >>> import minigrad as mg
    >>> mg.nn.Softmax2d()(mg.ones(1, 4, 2, 2))[0, :, 0, 0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) to y of the same shape."""
        if x.ndim not in (3, 4):
            raise ShapeError(f"Softmax2d takes (N, C, H, W) or (C, H, W), not shape {list(x.shape)}")
        return ops.softmax(x, dim=-3)
