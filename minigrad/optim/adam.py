"""Adam, AMSGrad and AdamW."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from minigrad.optim.blocks import average, average_square, descent, in_blocks
from minigrad.optim.optimizer import Optimizer, fused


class Adam(Optimizer):
    """Adam: steps of about the rate's size in each direction, whatever the gradient's scale.

    In step t = 1, 2, ..., with gradient g of parameter w:
        g = gradient + weight_decay w          (-gradient under maximize)
        m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2,   both 0 at first
        w = w - lr m' / (sqrt(v') + eps),   m' = m / (1 - beta1^t), v' = v / (1 - beta2^t)
    With amsgrad, v' is made of the largest v so far. With decoupled_weight_decay the penalty stays out of g, and
    w = w - lr weight_decay w comes first, as in `AdamW`.

    params:       leaf tensors, or groups of them; see `Optimizer`.
    lr:           learning rate, >= 0.
    betas:        how much of the averages of gradient and squared gradient stays from step to step, each in [0, 1).
    eps:          added to the denominator, >= 0.
    weight_decay: strength of the L2 penalty, >= 0.
    amsgrad:      never let a direction's steps grow again because its gradients have become small.
    maximize:     climb instead of descending.
    decoupled_weight_decay: shrink w itself rather than adding the penalty to the gradient.

    Raises ArgumentError for options out of range. Remembers two arrays per parameter, `exp_avg` and `exp_avg_sq`, with
    amsgrad also `max_exp_avg_sq`.
    Source: Kingma & Ba 2015, algorithm 1, in the order of operations of the end of section 2; Reddi et al. 2018,
    algorithm 2 (AMSGrad).

    >>> import minigrad as mg
    >>> w = mg.nn.Parameter(mg.tensor([1.0, 100.0]))
    >>> optimizer = mg.optim.Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.9, 99.9]
    """

    state_numbers, state_arrays = ("step",), ("exp_avg", "exp_avg_sq")
    state_optional = ("max_exp_avg_sq",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    @fused("adam")
    def _update(
        self, xp: Any, array: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        beta1, beta2 = group["betas"]
        if not state:
            state.update(step=0, exp_avg=xp.zeros_like(array), exp_avg_sq=xp.zeros_like(array))
        state["step"] += 1
        written = [array, state["exp_avg"], state["exp_avg_sq"]]
        if group["amsgrad"]:
            if "max_exp_avg_sq" not in state:
                state["max_exp_avg_sq"] = xp.zeros_like(array)
            written.append(state["max_exp_avg_sq"])
        # lr m' / (sqrt(v') + eps) = rate m / (sqrt(v) + small): both corrections leave the arrays for these two numbers
        correction = math.sqrt(1 - beta2 ** state["step"])
        rate = group["lr"] * correction / (1 - beta1 ** state["step"])
        small = group["eps"] * correction
        shrink = 1 - group["lr"] * group["weight_decay"] if group["decoupled_weight_decay"] else 1
        penalty = 0 if group["decoupled_weight_decay"] else group["weight_decay"]
        for g, w, m, v, *largest, t, s in in_blocks(xp, 2, gradient, *written):
            if shrink != 1:
                w *= shrink
            g = descent(xp, w, g, penalty, group["maximize"], s)
            average(xp, m, g, beta1, t)
            average_square(xp, v, g, beta2, t)
            for most in largest:
                v = xp.maximum(most, v, out=most)
            xp.sqrt(v, out=t)
            t += small
            xp.divide(m, t, out=t)
            t *= rate
            w -= t


class AdamW(Adam):
    """Adam with decoupled weight decay: w = w - lr weight_decay w, then Adam's step without a penalty.

    The arguments are those of `Adam`, with another default for weight_decay; it is the share of w taken off per unit
    of lr, >= 0.

    Source: Loshchilov & Hutter 2019, algorithm 2.

    >>> import minigrad as mg
    >>> w = mg.nn.Parameter(mg.tensor([1.0]))
    >>> optimizer = mg.optim.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.85]
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True
        )
