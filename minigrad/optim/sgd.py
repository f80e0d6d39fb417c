"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.optim.optimizer import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent with momentum.

    With gradient g and parameter w:  g += weight_decay w;  v = momentum v + (1 - dampening) g (v = g at first);
    w -= lr v, or w -= lr (g + momentum v) with `nesterov`.

    Parameters
        lr: learning rate, >= 0.
        momentum, dampening: in [0, 1).
        weight_decay: L2 penalty, >= 0.
        nesterov: needs momentum > 0 and dampening 0.
    Source: Sutskever et al. 2013, section 2, in the form that PyTorch uses (the rate multiplies the velocity).

    >>> import minigrad as mg
    >>> w = mg.nn.Parameter(mg.tensor([1.0]))
    >>> optimizer = mg.optim.SGD([w], lr=0.1)
    >>> (w * w).sum().backward(); optimizer.step(); w.detach()
    tensor([0.8])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov})

    def _check(self, options: dict[str, Any]) -> None:
        super()._check(options)
        if not 0 <= options["momentum"] < 1:
            raise ArgumentError(f"momentum must lie in [0, 1), not {options['momentum']}")
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            raise ArgumentError("nesterov needs momentum > 0 and dampening 0")

    def _update(self, array: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        if group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * array
        if group["momentum"]:
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = gradient.copy()
            else:
                state["momentum_buffer"] *= group["momentum"]
                state["momentum_buffer"] += (1 - group["dampening"]) * gradient
            velocity = state["momentum_buffer"]
            gradient = gradient + group["momentum"] * velocity if group["nesterov"] else velocity
        array -= group["lr"] * gradient
