"""Activations and dropout as layers."""

from __future__ import annotations

from minigrad import ops
from minigrad.errors import ArgumentError
from minigrad.nn.module import Module
from minigrad.tensor import Tensor


class ReLU(Module):
    """y = max(x, 0), elementwise; see `minigrad.nn.functional.relu`.

    Shapes: x and y alike. Gradient: gx = gy where x > 0, else 0 (so 0 at the kink).

    >>> import minigrad as mg
    >>> mg.nn.ReLU()(mg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape to y of the same."""
        return ops.relu(x)


class Dropout(Module):
    """In training each element is set to 0 with probability p, and the rest scaled by 1 / (1 - p); in evaluation y = x.

    p: probability of dropping an element, in [0, 1].

    Shapes: x and y alike. Gradient: gy, dropped and scaled as x was. The mask comes from the random stream of x's
    device.
    Raises ArgumentError for p out of range. Source: Srivastava et al. 2014, section 4.

    >>> import minigrad as mg
    >>> mg.nn.Dropout(0.5).eval()(mg.ones(3))
    tensor([1., 1., 1.])
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ArgumentError(f"Dropout: p must be a probability, 0 to 1, not {p}")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape to y of the same."""
        return ops.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"
