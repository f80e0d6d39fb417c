"""Pooling layers whose windows are laid out so that the output has a given size.

Along an axis of length n, output i of m pools the elements floor(i n / m) to ceil((i + 1) n / m) - 1.
"""

from __future__ import annotations

from typing import Any

from minigrad import ops
from minigrad.nn.operation_layer import OperationLayer


class AdaptiveAvgPool2d(OperationLayer):
    """The mean of windows laid out so that the output has a given size; see
    `minigrad.nn.functional.adaptive_avg_pool2d`.

    output_size: an int or (Ho, Wo), where None keeps the size of x; 1 for the mean of each channel.

    Shapes: x (N, C, H, W) or (C, H, W); y (N, C, Ho, Wo) or (C, Ho, Wo).

    >>> import minigrad as mg
    >>> mg.nn.AdaptiveAvgPool2d(1)(mg.ones(2, 3, 5, 7)).shape
    (2, 3, 1, 1)
    """

    operation = staticmethod(ops.adaptive_avg_pool2d)
    settings = ("output_size",)

    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size


class AdaptiveAvgPool1d(AdaptiveAvgPool2d):
    """The means of as many pieces of a sequence as the output shall have elements: (N, C, L) to (N, C, output_size).

    >>> import minigrad as mg
    >>> mg.nn.AdaptiveAvgPool1d(2)(mg.arange(5.0).reshape(1, 1, 5))
    tensor([[[1., 3.]]])
    """

    operation = staticmethod(ops.adaptive_avg_pool1d)


class AdaptiveMaxPool2d(OperationLayer):
    """The largest elements of windows laid out so that the output has a given size; see
    `minigrad.nn.functional.adaptive_max_pool2d`.

    output_size:    an int or (Ho, Wo), where None keeps the size of x.
    return_indices: also return where each maximum was found in its (H, W), flattened, int64 of y's shape.

    Shapes: x (N, C, H, W) or (C, H, W); y (N, C, Ho, Wo) or (C, Ho, Wo).

    >>> import minigrad as mg
    >>> mg.nn.AdaptiveMaxPool2d(1)(mg.arange(4.0).reshape(1, 1, 2, 2))
    tensor([[[[3.]]]])
    """

    operation = staticmethod(ops.adaptive_max_pool2d)
    settings = ("output_size", "return_indices")
    shown = ("output_size",)

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        self.output_size, self.return_indices = output_size, return_indices


class AdaptiveMaxPool1d(AdaptiveMaxPool2d):
    """The largest of each of as many pieces as the output shall have elements: (N, C, L) to (N, C, output_size).

    >>> import minigrad as mg
    >>> mg.nn.AdaptiveMaxPool1d(2)(mg.arange(5.0).reshape(1, 1, 5))
    tensor([[[2., 4.]]])
    """

    operation = staticmethod(ops.adaptive_max_pool1d)
