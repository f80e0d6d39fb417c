"""Adam with decoupled weight decay."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.optim.optimizer import Optimizer


class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    In step t = 1, 2, ..., with gradient g of parameter w:
        w = w - lr weight_decay w
        m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2,   both 0 at first
        w = w - lr m' / (sqrt(v') + eps),   m' = m / (1 - beta1^t), v' = v / (1 - beta2^t)

    params:       leaf tensors, or groups of them; see `Optimizer`.
    lr:           learning rate, >= 0.
    betas:        how much of the averages of gradient and squared gradient stays from step to step, each in [0, 1).
    eps:          added to the denominator, >= 0.
    weight_decay: share of w taken off per unit of lr, >= 0.

    Raises ArgumentError for options out of range. Remembers two arrays per parameter, `exp_avg` and `exp_avg_sq`.
    Source: Loshchilov & Hutter 2019, algorithm 2; Kingma & Ba 2015, algorithm 1.

    >>> import minigrad as mg
    >>> w = mg.nn.Parameter(mg.tensor([1.0]))
    >>> optimizer = mg.optim.AdamW([w], lr=0.1, weight_decay=0)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.9])
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
        if len(options["betas"]) != 2 or not all(0 <= beta < 1 for beta in options["betas"]):
            raise ArgumentError(f"betas must lie in [0, 1), and be two, not {options['betas']}")

    def _update(
        self, xp: Any, array: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        beta1, beta2 = group["betas"]
        if not state:
            state.update(step=0, exp_avg=xp.zeros_like(array), exp_avg_sq=xp.zeros_like(array))
        state["step"] += 1
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean *= beta1
        mean += (1 - beta1) * gradient
        square *= beta2
        square += (1 - beta2) * (gradient * gradient)
        array *= 1 - group["lr"] * group["weight_decay"]
        denominator = square**0.5 / math.sqrt(1 - beta2 ** state["step"]) + group["eps"]
        array -= (group["lr"] / (1 - beta1 ** state["step"])) * mean / denominator
