"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.optim.blocks import average, average_square, descent, in_blocks
from minigrad.optim.optimizer import Optimizer


class RMSprop(Optimizer):
    """RMSprop: the gradient divided by the root of a running mean of its square.

        g = gradient + weight_decay w          (-gradient under maximize)
        v = alpha v + (1 - alpha) g^2,   0 at first
        w = w - lr g / (sqrt(v) + eps),   with momentum b = momentum b + g / (sqrt(v) + eps), w = w - lr b
    centered divides by the deviation rather than the size: sqrt(v - a^2), a = alpha a + (1 - alpha) g.

    params:       leaf tensors, or groups of them; see `Optimizer`.
    lr:           learning rate, >= 0.
    alpha:        how much of the averages stays from step to step, in [0, 1].
    eps:          added to the denominator, >= 0.
    weight_decay: strength of the L2 penalty, >= 0.
    momentum:     how much of the velocity stays from step to step, in [0, 1].
    centered:     subtract the squared mean gradient.
    maximize:     climb instead of descending.

    Raises ArgumentError for options out of range. Remembers one array per parameter, `square_avg`, with centered also
    `grad_avg`, with momentum `momentum_buffer`.
    Source: Tieleman & Hinton 2012, lecture 6.5; centered: Graves 2013, equations 38 to 41. Eps outside the root, as
    in PyTorch.

    >>> import minigrad as mg
    >>> w = mg.nn.Parameter(mg.tensor([1.0, 100.0]))
    >>> optimizer = mg.optim.RMSprop([w], lr=0.1, alpha=0.75)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.8, 99.8]
    """

    state_arrays, state_optional = ("square_avg",), ("grad_avg", "momentum_buffer")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _update(
        self, xp: Any, array: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        lr, alpha, momentum, centered = group["lr"], group["alpha"], group["momentum"], group["centered"]
        names = ["square_avg", *["grad_avg"] * centered, *["momentum_buffer"] * bool(momentum)]
        for name in names:
            if name not in state:
                state[name] = xp.zeros_like(array)
        for g, w, v, *more, t, s in in_blocks(xp, 2, gradient, array, *(state[name] for name in names)):
            g = descent(xp, w, g, group["weight_decay"], group["maximize"], s)
            average_square(xp, v, g, alpha, t)
            if centered:
                mean = more[0]
                average(xp, mean, g, alpha, t)
                xp.multiply(mean, mean, out=t)
                xp.subtract(v, t, out=t)
                xp.sqrt(t, out=t)
            else:
                xp.sqrt(v, out=t)
            t += group["eps"]
            xp.divide(g, t, out=t)
            if momentum:
                velocity = more[-1]
                velocity *= momentum
                velocity += t
                xp.multiply(velocity, lr, out=t)
            else:
                t *= lr
            w -= t
