"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.optim.optimizer import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted.

        g = gradient + weight_decay w
        v = momentum v + (1 - dampening) g,   v = g in the first step
        w = w - lr v,   with nesterov w = w - lr (g + momentum v)

    params:              leaf tensors, or groups of them; see `Optimizer`.
    lr:                  learning rate, >= 0.
    momentum, dampening: momentum in [0, 1); dampening is how much less the newest gradient counts.
    weight_decay:        strength of the L2 penalty, >= 0.
    nesterov:            look ahead along the velocity; needs momentum > 0 and dampening 0.

    Raises ArgumentError for options out of range. Remembers one array per parameter, `momentum_buffer`, if momentum
    > 0.
    Source: Sutskever et al. 2013, section 2, in PyTorch's form, where the rate multiplies the velocity.

    >>> import minigrad as mg
    >>> w = mg.nn.Parameter(mg.tensor([1.0]))
    >>> optimizer = mg.optim.SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
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
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        }
        super().__init__(params, defaults)

    def _check(self, options: dict[str, Any]) -> None:
        super()._check(options)
        if not 0 <= options["momentum"] < 1:
            raise ArgumentError(f"momentum must lie in [0, 1), not {options['momentum']}")
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            raise ArgumentError("nesterov needs momentum > 0 and dampening 0")

    def _update(
        self, xp: Any, array: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        if group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * array
        if group["momentum"]:
            velocity = state.get("momentum_buffer")
            if velocity is None:
                velocity = state["momentum_buffer"] = xp.array(gradient)
            else:
                velocity *= group["momentum"]
                velocity += (1 - group["dampening"]) * gradient
            gradient = gradient + group["momentum"] * velocity if group["nesterov"] else velocity
        array -= group["lr"] * gradient
