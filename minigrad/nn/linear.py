"""Fully connected layers, and those that only reshape."""

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
    """y = x W^T + b, over the last dimension of x.

    Parameters
        in_features, out_features: lengths of the last dimension of input and output, >= 1.
        bias: whether to add b.
    Shapes: x (..., in_features); weight (out_features, in_features); bias (out_features,); y (..., out_features).
    Initialised uniformly in +-1/sqrt(in_features), both weight and bias, as PyTorch does.

    >>> import minigrad as mg
    >>> mg.nn.Linear(3, 2)(mg.ones(4, 3)).shape
    (4, 2)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        if in_features < 1 or out_features < 1:
            raise ArgumentError(f"Linear needs at least one feature on each side, not {in_features} and {out_features}")
        self.in_features, self.out_features = in_features, out_features
        bound = 1 / math.sqrt(in_features)
        self.weight = Parameter(init.uniform_(creation.empty(out_features, in_features, device=device, dtype=dtype), -bound, bound))
        self.bias = Parameter(init.uniform_(creation.empty(out_features, device=device, dtype=dtype), -bound, bound)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in_features) to (..., out_features)."""
        return ops.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Flatten(Module):
    """Dimensions `start_dim` to `end_dim` made one; by default all but the batch.

    >>> import minigrad as mg
    >>> mg.nn.Flatten()(mg.ones(2, 3, 4)).shape
    (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        return ops.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """y = x, whatever the arguments it is made with: a place-holder in a network."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        return x
