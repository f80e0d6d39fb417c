"""NAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.optim.blocks import average, average_square, descent, in_blocks
from minigrad.optim.optimizer import Optimizer


class NAdam(Optimizer):
    """NAdam: Adam with Nesterov's look ahead, and a momentum that grows to beta1.

    In step t = 1, 2, ..., with gradient g of parameter w:
        g = gradient + weight_decay w          (-gradient under maximize)
        mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)
        m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2,   both 0 at first
        m' = mu_{t+1} m / (1 - mu_1 ... mu_{t+1}) + (1 - mu_t) g / (1 - mu_1 ... mu_t)
        w = w - lr m' / (sqrt(v') + eps),   v' = v / (1 - beta2^t)
    With decoupled_weight_decay the penalty stays out of g, and w = w - lr weight_decay w comes first.

    params:         leaf tensors, or groups of them; see `Optimizer`.
    lr:             learning rate, >= 0.
    betas:          how much of the averages of gradient and squared gradient stays from step to step, each in [0, 1).
    eps:            added to the denominator, >= 0.
    weight_decay:   strength of the L2 penalty, >= 0.
    momentum_decay: how fast mu_t approaches beta1, >= 0.
    decoupled_weight_decay: shrink w itself rather than adding the penalty to the gradient, as in `AdamW`.
    maximize:       climb instead of descending.

    Raises ArgumentError for options out of range. Remembers two arrays per parameter, `exp_avg` and `exp_avg_sq`.
    Source: Dozat 2016, algorithm 2.

    >>> import minigrad as mg
    >>> w = mg.nn.Parameter(mg.tensor([1.0]))
    >>> optimizer = mg.optim.NAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.894]
    """

    state_numbers, state_arrays = ("step", "mu_product"), ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _update(
        self, xp: Any, array: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        (beta1, beta2), lr = group["betas"], group["lr"]
        if not state:
            state.update(
                step=0, mu_product=1.0, exp_avg=xp.zeros_like(array), exp_avg_sq=xp.zeros_like(array)
            )
        state["step"] += 1
        step = state["step"]
        mu, next_mu = (beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1))
        state["mu_product"] *= mu
        share_of_gradient = lr * (1 - mu) / (1 - state["mu_product"])
        share_of_mean = lr * next_mu / (1 - state["mu_product"] * next_mu)
        correction = 1 - beta2**step
        shrink = 1 - lr * group["weight_decay"] if group["decoupled_weight_decay"] else 1
        penalty = 0 if group["decoupled_weight_decay"] else group["weight_decay"]
        arrays = (array, state["exp_avg"], state["exp_avg_sq"])
        for g, w, m, v, t, s in in_blocks(xp, 2, gradient, *arrays):
            if shrink != 1:
                w *= shrink
            g = descent(xp, w, g, penalty, group["maximize"], s)
            average(xp, m, g, beta1, t)
            average_square(xp, v, g, beta2, t)
            xp.multiply(g, share_of_gradient, out=s)  # g may be s itself, and is not needed afterwards
            s += xp.multiply(m, share_of_mean, out=t)
            xp.divide(v, correction, out=t)
            xp.sqrt(t, out=t)
            t += group["eps"]
            s /= t
            w -= s
