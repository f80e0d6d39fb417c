"""Activations and dropout as layers."""

from __future__ import annotations

from minigrad import ops
from minigrad.errors import ArgumentError
from minigrad.nn.module import Module
from minigrad.tensor import Tensor


class ReLU(Module):
    """y = max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.relu(x)


class Dropout(Module):
    """In training, each element is zeroed with probability p and the rest scaled by 1 / (1 - p); in evaluation y = x.

    Source: Srivastava et al. 2014.
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ArgumentError(f"dropout's probability must lie in [0, 1], not {p}")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return ops.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"
