"""Adam with decoupled weight decay."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.optim.optimizer import Optimizer


class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    With gradient g, parameter w and step t:  w *= 1 - lr weight_decay;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
    w -= lr m' / (sqrt(v') + eps), with m' = m / (1 - beta1^t), v' = v / (1 - beta2^t).

    Parameters
        lr: learning rate, >= 0.
        betas: decay of the averages of gradient and squared gradient, each in [0, 1).
        eps: added to the denominator, >= 0.
        weight_decay: share of w taken off per unit of lr, >= 0.
    Source: Loshchilov & Hutter 2019, algorithm 2; Kingma & Ba 2015, algorithm 1.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def _check(self, options: dict[str, Any]) -> None:
        super()._check(options)
        if not all(0 <= beta < 1 for beta in options["betas"]):
            raise ArgumentError(f"betas must lie in [0, 1), not {options['betas']}")

    def _update(self, array: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        if not state:
            state.update(step=0, exp_avg=array * 0, exp_avg_sq=array * 0)
        state["step"] += 1
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean *= beta1
        mean += (1 - beta1) * gradient
        square *= beta2
        square += (1 - beta2) * (gradient * gradient)
        array *= 1 - group["lr"] * group["weight_decay"]
        denominator = square**0.5 / math.sqrt(1 - beta2 ** state["step"]) + group["eps"]
        array -= (group["lr"] / (1 - beta1 ** state["step"])) * mean / denominator
