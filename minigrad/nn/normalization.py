"""Normalisation layers that need no batch: over features, groups of channels, neighbouring channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad import creation, ops
from minigrad.errors import ArgumentError
from minigrad.nn.module import Module
from minigrad.nn.operation_layer import OperationLayer
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor


class LayerNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, mean and (biased) variance over the last dimensions.

    See `minigrad.nn.functional.layer_norm` for the gradient.

    normalized_shape:   lengths of the dimensions normalised over, the last of x; an int for one.
    eps:                added to the variance, >= 0.
    elementwise_affine: whether weight and bias, of normalized_shape, are learnt; they begin as 1 and 0.
    bias:               False for a weight only.
    device, dtype:      of the parameters.

    Shapes: x (..., *normalized_shape); y likewise. Raises ArgumentError for lengths below 1.
    Source: Ba, Kiros & Hinton 2016, equation 4.

    >>> import minigrad as mg
    >>> mg.nn.LayerNorm(2, eps=0.0)(mg.tensor([[1.0, 3.0], [-5.0, 5.0]])).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        shape = _lengths("LayerNorm", normalized_shape, eps)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        self.weight: Parameter | None = None
        self.bias: Parameter | None = None
        if elementwise_affine:
            self.weight = Parameter(creation.ones(shape, device=device, dtype=dtype))
            self.bias = Parameter(creation.zeros(shape, device=device, dtype=dtype)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """x (..., *normalized_shape) to y of the same shape."""
        return ops.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """y = x / sqrt(mean(x^2) + eps) * weight, the mean over the last dimensions.

    See `minigrad.nn.functional.rms_norm` for the gradient.

    normalized_shape:   lengths of the dimensions normalised over, the last of x; an int for one.
    eps:                added to the mean square; None for the smallest step of x's dtype at 1.
    elementwise_affine: whether the weight, of normalized_shape, is learnt; it begins as 1.
    device, dtype:      of the weight.

    Shapes: x (..., *normalized_shape); y likewise. Raises ArgumentError for lengths below 1.
    Source: Zhang & Sennrich 2019, equation 4.

    >>> import minigrad as mg
    >>> mg.nn.RMSNorm(2)(mg.tensor([1.0, -7.0]))
    tensor([ 0.2, -1.4], grad_fn=<rms_normBackward>)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        shape = _lengths("RMSNorm", normalized_shape, 0.0 if eps is None else eps)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        self.weight: Parameter | None = None
        if elementwise_affine:
            self.weight = Parameter(creation.ones(shape, device=device, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """x (..., *normalized_shape) to y of the same shape."""
        return ops.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Each group of channels of each sample to mean 0 and variance 1, then weight and bias per channel.

    See `minigrad.nn.functional.group_norm` for the formula and the gradient.

    num_groups:    into how many groups of neighbours the channels are divided.
    num_channels:  C, a multiple of num_groups.
    eps:           added to the variance, >= 0.
    affine:        whether weight and bias, (C,), are learnt; they begin as 1 and 0.
    device, dtype: of the parameters.
    bias:          False for a weight only.

    Shapes: x (N, C, ...); y likewise. Raises ArgumentError where the groups do not divide the channels.
    Source: Wu & He 2018, equations 1, 2 and 7.

    >>> import minigrad as mg
    >>> mg.nn.GroupNorm(2, 4, eps=0.0)(mg.tensor([[1.0, 3.0, -5.0, 5.0]])).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        if min(num_groups, num_channels) < 1 or num_channels % num_groups:
            raise ArgumentError(
                f"GroupNorm: {num_channels} channels cannot be divided into {num_groups} equal groups"
            )
        if not eps >= 0:
            raise ArgumentError(f"GroupNorm: eps must be >= 0, not {eps}")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.weight: Parameter | None = None
        self.bias: Parameter | None = None
        if affine:
            self.weight = Parameter(creation.ones(num_channels, device=device, dtype=dtype))
            self.bias = Parameter(creation.zeros(num_channels, device=device, dtype=dtype)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, ...) to y of the same shape."""
        return ops.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={bias}"


class LocalResponseNorm(OperationLayer):
    """y = x / (k + alpha mean over `size` neighbouring channels of x^2)^beta.

    See `minigrad.nn.functional.local_response_norm`. size: 1 or more. Raises ArgumentError for less.
    Shapes: x (N, C, ...); y likewise. Source: Krizhevsky, Sutskever & Hinton 2012, section 3.3.

    >>> import minigrad as mg
    >>> mg.nn.LocalResponseNorm(1, alpha=3.0, beta=0.5)(mg.ones(1, 2, 1))
    tensor([[[0.5],
             [0.5]]])
    """

    operation = staticmethod(ops.local_response_norm)
    settings = ("size", "alpha", "beta", "k")

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        if size < 1:
            raise ArgumentError(f"LocalResponseNorm: size must be 1 or more, not {size}")
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _lengths(layer: str, normalized_shape: Any, eps: float) -> tuple[int, ...]:
    """normalized_shape as a tuple, checked."""
    given = (normalized_shape,) if hasattr(normalized_shape, "__index__") else normalized_shape
    shape = tuple(given) if isinstance(given, (tuple, list)) else ()
    if not shape or any(not hasattr(n, "__index__") or n < 1 for n in shape):
        raise ArgumentError(
            f"{layer}: normalized_shape must be an int or ints, 1 or more, not {normalized_shape!r}"
        )
    if not eps >= 0:
        raise ArgumentError(f"{layer}: eps must be >= 0, not {eps}")
    return shape
