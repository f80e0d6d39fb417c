"""Activations made of straight pieces, elementwise: x and y have one shape.

PyTorch's argument `inplace` is accepted by all and changes nothing: the result is always a new tensor.
"""

from __future__ import annotations

from typing import Any

from minigrad import creation, ops
from minigrad.errors import ArgumentError
from minigrad.nn.module import Module
from minigrad.nn.operation_layer import OperationLayer
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor


class PlainActivation(OperationLayer):
    """An activation that has nothing to set."""

    def __init__(self, inplace: bool = False) -> None:
        pass


class ReLU(PlainActivation):
    """y = max(x, 0), elementwise; see `minigrad.nn.functional.relu`. Gradient: gx = gy where x > 0, else 0.

    >>> import minigrad as mg
    >>> mg.nn.ReLU()(mg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    operation = staticmethod(ops.relu)


class ReLU6(PlainActivation):
    """y = min(max(x, 0), 6); see `minigrad.nn.functional.relu6`. Gradient: gx = gy where 0 < x < 6, else 0.

    >>> import minigrad as mg
    >>> mg.nn.ReLU6()(mg.tensor([-1.0, 2.0, 7.0]))
    tensor([0., 2., 6.])
    """

    operation = staticmethod(ops.relu6)


class LeakyReLU(OperationLayer):
    """y = x where x > 0, else negative_slope x; see `minigrad.nn.functional.leaky_relu`.

    >>> import minigrad as mg
    >>> mg.nn.LeakyReLU(0.1)(mg.tensor([-1.0, 2.0]))
    tensor([-0.1,  2. ])
    """

    operation = staticmethod(ops.leaky_relu)
    settings = ("negative_slope",)

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        self.negative_slope = negative_slope


class PReLU(Module):
    """y = x where x > 0, else a x, with a slope a that is learnt; see `minigrad.nn.functional.prelu`.

    num_parameters: 1 for one slope for all, or the number of channels C for one each.
    init:           the slopes at the beginning.
    device, dtype:  of the slopes.

    Shapes: x (N, C, ...), or any with one slope; weight, the slopes, (num_parameters,); y as x.
    Weight decay would pull the slopes to 0: leave it out for them. Raises ArgumentError for fewer than one slope.
    Source: He et al. 2015, "Delving deep into rectifiers", section 2.1.

    >>> import minigrad as mg
    >>> mg.nn.PReLU()(mg.tensor([-1.0, 2.0])).tolist()
    [-0.25, 2.0]
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        if num_parameters < 1:
            raise ArgumentError(f"PReLU needs at least one slope, not {num_parameters}")
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(creation.full((num_parameters,), float(init), device=device, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, ...) to y of the same shape."""
        return ops.prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class Hardtanh(OperationLayer):
    """y = x, cut off at min_val and max_val; see `minigrad.nn.functional.hardtanh`.

    min_val, max_val: the bounds, min_val < max_val. Raises ArgumentError for others.

    >>> import minigrad as mg
    >>> mg.nn.Hardtanh()(mg.tensor([-3.0, 0.5, 2.0]))
    tensor([-1. ,  0.5,  1. ])
    """

    operation = staticmethod(ops.hardtanh)
    settings = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        if not min_val < max_val:
            raise ArgumentError(f"Hardtanh: min_val must be below max_val, not {min_val} and {max_val}")
        self.min_val, self.max_val = min_val, max_val


class Hardsigmoid(PlainActivation):
    """y = min(max(x / 6 + 1/2, 0), 1), a sigmoid of three straight pieces; see `minigrad.nn.functional.hardsigmoid`.

    >>> import minigrad as mg
    >>> mg.nn.Hardsigmoid()(mg.tensor([-3.0, 0.0, 3.0]))
    tensor([0. , 0.5, 1. ])
    """

    operation = staticmethod(ops.hardsigmoid)


class Hardswish(PlainActivation):
    """y = x hardsigmoid(x); see `minigrad.nn.functional.hardswish`.

    >>> import minigrad as mg
    >>> mg.nn.Hardswish()(mg.tensor([-3.0, 0.0, 3.0]))
    tensor([-0.,  0.,  3.])
    """

    operation = staticmethod(ops.hardswish)


class Hardshrink(OperationLayer):
    """y = x where |x| > lambd, else 0; see `minigrad.nn.functional.hardshrink`.

    >>> import minigrad as mg
    >>> mg.nn.Hardshrink()(mg.tensor([-1.0, 0.3, 2.0]))
    tensor([-1.,  0.,  2.])
    """

    operation = staticmethod(ops.hardshrink)
    settings = ("lambd",)

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Softshrink(OperationLayer):
    """y = x moved towards 0 by lambd, and 0 where |x| <= lambd; see `minigrad.nn.functional.softshrink`.

    >>> import minigrad as mg
    >>> mg.nn.Softshrink()(mg.tensor([-1.0, 0.3, 2.0]))
    tensor([-0.5,  0. ,  1.5])
    """

    operation = staticmethod(ops.softshrink)
    settings = ("lambd",)

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Threshold(OperationLayer):
    """y = x where x > threshold, else value; see `minigrad.nn.functional.threshold`.

    >>> import minigrad as mg
    >>> mg.nn.Threshold(1.0, 20.0)(mg.tensor([0.5, 2.0]))
    tensor([20.,  2.])
    """

    operation = staticmethod(ops.threshold)
    settings = ("threshold", "value")

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        self.threshold, self.value = threshold, value
