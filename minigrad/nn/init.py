"""Initialisers: fill a tensor in place with numbers of the right size, and return it.

Random numbers come from the stream of the tensor's device (`mg.manual_seed`).

fan_in is the number of inputs that one output sums over, fan_out the number of outputs that one input reaches. For a
weight of shape (O, I, Kh, Kw), fan_in = I Kh Kw and fan_out = O Kh Kw.
"""

from __future__ import annotations

import math
from typing import Any

from minigrad.engine import no_grad
from minigrad.errors import ArgumentError, ShapeError
from minigrad.tensor import Tensor

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 0.75,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """What a layer's weights are to be larger by, so that the nonlinearity before them shrinks nothing.

    sqrt(2) for relu, 5/3 for tanh, 3/4 for selu, 1 for linear layers and sigmoid.

    param: leaky_relu's negative slope a, default 0.01; its gain is sqrt(2 / (1 + a^2)).

    Raises ArgumentError for a nonlinearity whose gain is not known. Source: He et al. 2015, equations 10 and 15.

    >>> calculate_gain("leaky_relu", 1.0)
    1.0
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise ArgumentError(
            f"no gain is known for {nonlinearity!r}; choose one of leaky_relu, {', '.join(_GAINS)}"
        )
    return _GAINS[nonlinearity]


def _fans(tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim < 2:
        raise ShapeError(
            f"fan_in and fan_out need a weight of at least 2 dimensions, not shape {list(tensor.shape)}"
        )
    receptive = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive, tensor.shape[0] * receptive


def _fan(tensor: Tensor, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"mode must be fan_in or fan_out, not {mode!r}")
    return _fans(tensor)[mode == "fan_out"]


def _fill(tensor: Tensor, numbers: Any) -> Tensor:
    with no_grad():
        return tensor.copy_(Tensor._wrap(tensor.backend.xp.asarray(numbers), tensor.backend))


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Uniform in [a, b)."""
    if not a <= b:
        raise ArgumentError(f"uniform_ needs a <= b, not {a} and {b}")
    return _fill(tensor, tensor.backend.rng.uniform(a, b, tensor.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normal with this mean and standard deviation, std >= 0."""
    if not std >= 0:
        raise ArgumentError(f"normal_ needs std >= 0, not {std}")
    return _fill(tensor, tensor.backend.rng.normal(mean, std, tensor.shape))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """The same number everywhere."""
    with no_grad():
        return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return constant_(tensor, 1.0)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform in +-gain sqrt(6 / (fan_in + fan_out)). Source: Glorot & Bengio 2010, equation 16."""
    bound = gain * math.sqrt(6 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal with std gain sqrt(2 / (fan_in + fan_out)). Source: Glorot & Bengio 2010, equation 12."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(_fans(tensor))))


def kaiming_uniform_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Uniform in +-gain sqrt(3 / fan), where gain = calculate_gain(nonlinearity, a).

    mode: "fan_in" keeps the variance of activations from layer to layer, "fan_out" that of gradients.

    Source: He et al. 2015, equation 10 (fan_in) and 14 (fan_out); a uniform distribution in +-c has variance c^2 / 3.
    """
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3 / _fan(tensor, mode))
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Normal with std gain / sqrt(fan), where gain = calculate_gain(nonlinearity, a).

    mode: "fan_in" keeps the variance of activations from layer to layer, "fan_out" that of gradients.

    Source: He et al. 2015, equation 10 (fan_in) and 14 (fan_out).
    """
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode)))
