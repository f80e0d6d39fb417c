"""Initialisers: fill a tensor in place with numbers of the right size, and return it.

Random numbers come from the stream of the tensor's device (`mg.manual_seed`).

fan_in is the number of inputs that one output sums over, fan_out the number of outputs that one input reaches. For a
weight of shape (O, I, Kh, Kw), fan_in = I Kh Kw and fan_out = O Kh Kw.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

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


def lecun_uniform_(tensor: Tensor) -> Tensor:
    """Uniform in +-sqrt(3 / fan_in): the sum over fan_in inputs of variance 1 has variance 1.

    Source: LeCun et al. 1998, "Efficient BackProp", equation 16.
    """
    bound = math.sqrt(3 / _fan(tensor, "fan_in"))
    return uniform_(tensor, -bound, bound)


def lecun_normal_(tensor: Tensor) -> Tensor:
    """Normal with std sqrt(1 / fan_in); the weights to go with SELU. Source: LeCun et al. 1998, equation 16."""
    return normal_(tensor, 0.0, 1 / math.sqrt(_fan(tensor, "fan_in")))


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> Tensor:
    """Normal with this mean and standard deviation, without what lies outside [a, b].

    std:  > 0, that of the distribution before it is cut.
    a, b: the bounds themselves, not multiples of std; infinite ones cut nothing.

    Numbers are uniform ones sent through the inverse of the distribution function, which is interpolated in a table of
    4,096 steps. Raises ArgumentError for numbers out of range.
    """
    if not std > 0 or not a < b:
        raise ArgumentError(f"trunc_normal_ needs std > 0 and a < b, not {std}, {a} and {b}")
    low, high = (a - mean) / std, (b - mean) / std
    # The lower tail of the distribution function has all its digits, the upper one only those beside 1
    sign = -1.0 if low + high > 0 else 1.0
    low, high = (low, high) if sign > 0 else (-high, -low)
    bulk = min(high, 0.0)
    z = np.linspace(max(low, bulk - 10), min(high, bulk + 10), 4097)
    distribution = np.array([math.erfc(-x / math.sqrt(2)) / 2 for x in z])
    xp, rng = tensor.backend.xp, tensor.backend.rng
    u = rng.uniform(distribution[0], distribution[-1], tensor.shape)
    numbers = mean + sign * std * xp.interp(u, xp.asarray(distribution), xp.asarray(z))
    return _fill(tensor, xp.clip(numbers, a, b))


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """A random matrix with orthonormal rows (or columns, if it has more rows than columns), times gain.

    Dimensions after the first count as columns. Uniform among all such matrices.
    Raises ShapeError for fewer than two dimensions.
    Source: Saxe et al. 2014, section 3; the signs as in Mezzadri 2007, section 5.
    """
    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_ needs at least 2 dimensions, not shape {list(tensor.shape)}")
    xp, rows, columns = tensor.backend.xp, tensor.shape[0], math.prod(tensor.shape[1:])
    normal = tensor.backend.rng.normal(size=(max(rows, columns), min(rows, columns)))
    q, r = xp.linalg.qr(normal)
    q = q * xp.sign(xp.diagonal(r))
    return _fill(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix: ones on the diagonal of a tensor of two dimensions, zeros elsewhere."""
    if tensor.ndim != 2:
        raise ShapeError(f"eye_ fills tensors of 2 dimensions, not shape {list(tensor.shape)}")
    return _fill(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution's weight (O, C / groups, K, ...) that hands its input channels on, as many as there are outputs.

    Ones in the middle of the kernels that lead from a channel to itself, zeros elsewhere.
    Raises ShapeError for another number of dimensions than 3 to 5, ArgumentError where O is no multiple of groups.
    """
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError(
            f"dirac_ fills a convolution's weight, (O, C, K, ...), not shape {list(tensor.shape)}"
        )
    if groups < 1 or tensor.shape[0] % groups:
        raise ArgumentError(f"dirac_: {tensor.shape[0]} channels cannot be divided into {groups} groups")
    weight = np.zeros(tensor.shape)
    outputs = tensor.shape[0] // groups
    middle = tuple(n // 2 for n in tensor.shape[2:])
    for output in range(tensor.shape[0]):
        channel = output % outputs
        if channel < tensor.shape[1]:
            weight[(output, channel, *middle)] = 1.0
    return _fill(tensor, weight)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01) -> Tensor:
    """Normal with this standard deviation, and a share `sparsity` of each column, rounded up, set to 0.

    tensor: of two dimensions. Raises ShapeError for another, ArgumentError for a share outside [0, 1].
    Source: Martens 2010, section 5.
    """
    if tensor.ndim != 2:
        raise ShapeError(f"sparse_ fills tensors of 2 dimensions, not shape {list(tensor.shape)}")
    if not 0 <= sparsity <= 1 or not std >= 0:
        raise ArgumentError(f"sparse_ needs a sparsity from 0 to 1 and std >= 0, not {sparsity} and {std}")
    xp, rng = tensor.backend.xp, tensor.backend.rng
    order = xp.argsort(rng.random(tensor.shape), axis=0)  # in each column the rows, shuffled
    dropped = order < math.ceil(sparsity * tensor.shape[0])
    return _fill(tensor, xp.where(dropped, 0.0, rng.normal(0.0, std, tensor.shape)))
