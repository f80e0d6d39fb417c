"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.optim.blocks import descent, in_blocks
from minigrad.optim.optimizer import Optimizer


class Adagrad(Optimizer):
    """Adagrad: each direction's rate falls with the gradients that it has seen.

    In step t = 1, 2, ..., with gradient g of parameter w:
        g = gradient + weight_decay w          (-gradient under maximize)
        s = s + g^2,   initial_accumulator_value at first
        w = w - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)

    params:                    leaf tensors, or groups of them; see `Optimizer`.
    lr:                        learning rate, >= 0.
    lr_decay:                  how fast the rate itself falls, >= 0.
    weight_decay:              strength of the L2 penalty, >= 0.
    initial_accumulator_value: squared gradient taken as seen before the first step, >= 0.
    eps:                       added to the denominator, >= 0.
    maximize:                  climb instead of descending.

    Raises ArgumentError for options out of range. Remembers one array per parameter, `sum`.
    Source: Duchi, Hazan & Singer 2011, section 1.1, with a diagonal matrix.

    >>> import minigrad as mg
    >>> w = mg.nn.Parameter(mg.tensor([1.0, 100.0]))
    >>> optimizer = mg.optim.Adagrad([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.9, 99.9]
    """

    state_numbers, state_arrays = ("step",), ("sum",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _update(
        self, xp: Any, array: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        if not state:
            state.update(step=0, sum=xp.full_like(array, group["initial_accumulator_value"]))
        rate = group["lr"] / (1 + state["step"] * group["lr_decay"])
        state["step"] += 1
        for g, w, total, t, s in in_blocks(xp, 2, gradient, array, state["sum"]):
            g = descent(xp, w, g, group["weight_decay"], group["maximize"], s)
            total += xp.multiply(g, g, out=t)
            xp.sqrt(total, out=t)
            t += group["eps"]
            xp.divide(g, t, out=t)
            t *= rate
            w -= t
