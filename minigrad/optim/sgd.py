"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.optim.blocks import descent, in_blocks
from minigrad.optim.optimizer import Optimizer, fused


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted.

        g = gradient + weight_decay w          (-gradient under maximize)
        v = momentum v + (1 - dampening) g,   v = g in the first step
        w = w - lr v,   with nesterov w = w - lr (g + momentum v)

    params:              leaf tensors, or groups of them; see `Optimizer`.
    lr:                  learning rate, >= 0.
    momentum, dampening: momentum in [0, 1]; dampening is how much less the newest gradient counts.
    weight_decay:        strength of the L2 penalty, >= 0.
    nesterov:            look ahead along the velocity; needs momentum > 0 and dampening 0.
    maximize:            climb instead of descending.

    Raises ArgumentError for options out of range. Remembers one array per parameter, `momentum_buffer`, if momentum
    > 0.
    Source: Sutskever et al. 2013, section 2, in PyTorch's form, where the rate multiplies the velocity.

    >>> import minigrad as mg
    >>> w = mg.nn.Parameter(mg.tensor([1.0]))
    >>> optimizer = mg.optim.SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.8]
    """

    state_optional = ("momentum_buffer",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, options: dict[str, Any]) -> None:
        super()._check(options)
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            raise ArgumentError(
                "nesterov needs momentum > 0 and dampening 0, not "
                f"momentum={options['momentum']} and dampening={options['dampening']}"
            )

    @fused("sgd")
    def _update(
        self, xp: Any, array: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        lr, momentum, kept = group["lr"], group["momentum"], 1 - group["dampening"]
        penalty, maximize = group["weight_decay"], group["maximize"]
        if not momentum:
            for g, w, t in in_blocks(xp, 1, gradient, array):
                w -= xp.multiply(descent(xp, w, g, penalty, maximize, t), lr, out=t)
            return
        first = "momentum_buffer" not in state
        velocity = state.setdefault("momentum_buffer", xp.empty_like(array) if first else None)
        for g, w, v, t, s in in_blocks(xp, 2, gradient, array, velocity):
            g = descent(xp, w, g, penalty, maximize, t)
            if first:
                v[...] = g
            else:
                v *= momentum
                v += g if kept == 1 else xp.multiply(g, kept, out=s)
            if group["nesterov"]:
                xp.multiply(v, momentum, out=s)
                s += g
                s *= lr
            else:
                xp.multiply(v, lr, out=s)
            w -= s
