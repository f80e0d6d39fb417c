"""Fully connected layers, and one that does nothing."""

from __future__ import annotations

import math
from typing import Any

from minigrad import creation, ops
from minigrad.errors import ArgumentError
from minigrad.nn import init
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor


class Linear(Module):
    """y = x W^T + b, over the last dimension of x; see `minigrad.nn.functional.linear`.

    in_features, out_features: lengths of the last dimension of x and of y, 1 or more.
    bias:                      whether b is added.
    device, dtype:             of the parameters.

    Shapes: x (..., in_features); weight (out_features, in_features); bias (out_features,); y (..., out_features).
    Gradient: gx = gy W, gW = gy^T x and gb = gy, both summed over all but the last dimension.
    Initialised uniformly in +-1 / sqrt(in_features), weight and bias, as in PyTorch.
    Raises ArgumentError for a length below 1.

    >>> import minigrad as mg
    >>> mg.nn.Linear(3, 2)(mg.ones(4, 3)).shape
    (4, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        if in_features < 1 or out_features < 1:
            raise ArgumentError(
                f"Linear needs at least one feature on each side, not {in_features} and {out_features}"
            )
        self.in_features, self.out_features = in_features, out_features
        bound = 1 / math.sqrt(in_features)
        weight = creation.empty(out_features, in_features, device=device, dtype=dtype)
        self.weight = Parameter(init.uniform_(weight, -bound, bound))
        self.bias: Parameter | None = None
        if bias:
            self.bias = Parameter(
                init.uniform_(creation.empty(out_features, device=device, dtype=dtype), -bound, bound)
            )

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in_features) to y (..., out_features)."""
        return ops.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )


class Identity(Module):
    """y = x, whatever the arguments it is made with: a place-holder in a network.

    >>> import minigrad as mg
    >>> mg.nn.Identity(54, unused=True)(mg.ones(1))
    tensor([1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        """x itself."""
        return x
