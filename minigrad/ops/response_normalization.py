"""Local response normalisation: channels compete with their neighbours."""

from __future__ import annotations

from typing import Any

from minigrad.errors import ArgumentError
from minigrad.op import operation
from minigrad.ops.arguments import count
from minigrad.ops.moments import check_data

__all__ = ["local_response_norm"]
METHODS: list[str] = []


def _over_neighbours(xp: Any, a: Any, before: int, after: int) -> Any:
    """The sum of each channel with those `before` and `after` it, as far as there are any."""
    channels = a.shape[1]
    padded = xp.pad(a, [(0, 0), (before, after)] + [(0, 0)] * (a.ndim - 2))
    total = padded[:, :channels]
    for i in range(1, before + after + 1):
        total = total + padded[:, i : i + channels]
    return total


@operation(
    name="local_response_norm",
    formula="y_c = x_c s_c^-beta, s_c = k + alpha / size (sum of x^2 over the size channels around c)",
    gradient_formula="gx_c = gy_c s_c^-beta - 2 alpha beta / size x_c (sum of gy x s^(-beta-1) over those that see c)",
    source="Krizhevsky, Sutskever & Hinton 2012, section 3.3, with alpha divided by size",
    samples=lambda draw: [
        draw.call(draw.normal(2, 5, 3), size=3, alpha=0.5, beta=0.75, k=1.0),
        draw.call(draw.normal(1, 3, 2, 2), size=4, alpha=0.3, beta=0.5, k=2.0),
    ],
    flops=lambda inputs, outputs, params: (params["size"] + 5) * count(inputs[0]),
)
def _local_response_norm(xp, x, *, size, alpha, beta, k):
    s = k + alpha / size * _over_neighbours(xp, x * x, size // 2, (size - 1) // 2)
    return x * s**-beta


@_local_response_norm.gradient
def local_response_norm_gradient(xp, gy, x, *, size, alpha, beta, k):
    s = k + alpha / size * _over_neighbours(xp, x * x, size // 2, (size - 1) // 2)
    seen_by = _over_neighbours(xp, gy * x * s ** (-beta - 1), (size - 1) // 2, size // 2)
    return gy * s**-beta - 2 * alpha * beta / size * x * seen_by


def local_response_norm(x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """Divide each value by a power of the mean square over neighbouring channels at its place.

        y_c = x_c / (k + alpha / size * sum of x_j^2 over j = c - size // 2 ... c + (size - 1) // 2)^beta

    Parameters
        x: floating-point, (N, C, ...) with at least one more dimension; channels outside it count as 0.
        size: how many channels are summed, at least 1.
        alpha, beta, k: numbers.

    Returns y, of the shape and dtype of x.

    Gradient, with s the sum in parentheses: gx_c = gy_c s_c^-beta - 2 alpha beta / size x_c (sum of gy x s^(-beta - 1)
    over the channels whose sum takes in c).

    Source: Krizhevsky, Sutskever & Hinton 2012, "ImageNet Classification with Deep Convolutional Neural Networks",
    section 3.3, whose alpha is alpha / size here.

    >>> import minigrad as mg
    >>> mg.nn.functional.local_response_norm(mg.tensor([[[3.0], [4.0]]]), size=2, alpha=2.0, beta=0.5, k=0.0)
    tensor([[[1. ],
             [0.8]]])
    """
    check_data("local_response_norm", x, 3)
    if size < 1:
        raise ArgumentError(f"local_response_norm: size must be at least 1, not {size!r}")
    return _local_response_norm(x, size=size, alpha=alpha, beta=beta, k=k)
