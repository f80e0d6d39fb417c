"""Learning-rate schedules: set each group's rate as a function of the number of steps taken."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

from minigrad.errors import ArgumentError, StateError
from minigrad.optim.optimizer import Optimizer


class LRScheduler:
    """Base of the schedules. `step()` is called after each optimiser step (or epoch), and sets the rate of the next.

    optimizer: whose groups' rates are set, at once for the first step; their rates until then are the base rates.

    A subclass defines `settings`, and sets what it needs before it calls `super().__init__(optimizer)`.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(f"{type(self).__name__} takes an optimiser, not {type(optimizer).__name__}")
        self.optimizer = optimizer
        self.base_lrs = [group["lr"] for group in optimizer.param_groups]
        self.last_epoch = 0
        self._apply()

    def settings(self, step: int, group_number: int) -> dict[str, Any]:
        """The options of a group, usually {"lr": ...}, that hold after `step` steps."""
        raise NotImplementedError(f"{type(self).__name__} does not define settings()")

    def step(self) -> None:
        """Count one step and set the rates that follow it."""
        self.last_epoch += 1
        self._apply()

    def get_last_lr(self) -> list[float]:
        """The current rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def _apply(self) -> None:
        for number, group in enumerate(self.optimizer.param_groups):
            group.update(self.settings(self.last_epoch, number))

    def state_dict(self) -> dict[str, Any]:
        """What is needed to go on: steps taken and base rates."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state of the same schedule."""
        if len(state_dict["base_lrs"]) != len(self.base_lrs):
            raise StateError(
                f"the state has rates for {len(state_dict['base_lrs'])} groups, the optimiser has {len(self.base_lrs)}"
            )
        self.last_epoch, self.base_lrs = int(state_dict["last_epoch"]), list(state_dict["base_lrs"])
        self._apply()


class CosineAnnealingLR(LRScheduler):
    """From the base rate down to eta_min along half a cosine, in T_max steps (and up again after that).

    After t steps lr = eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2.

    optimizer: whose rates are set.
    T_max:     length of the way down in steps, 1 or more.
    eta_min:   lowest rate.

    Raises ArgumentError for T_max below 1. Source: Loshchilov & Hutter 2017, equation 5, without restarts.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        if T_max < 1:
            raise ArgumentError(f"T_max must be at least 1, not {T_max}")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def settings(self, step: int, group_number: int) -> dict[str, Any]:
        """The rate after `step` steps."""
        share = (1 + math.cos(math.pi * step / self.T_max)) / 2
        return {"lr": self.eta_min + (self.base_lrs[group_number] - self.eta_min) * share}


class _Corner(NamedTuple):
    """Where two phases of a cycle meet: rate as a multiple of the highest, momentum from 0, lowest, to 1."""

    step: float
    rate: float
    momentum: float


class OneCycleLR(LRScheduler):
    """One cycle: the rate rises from max_lr / div_factor to max_lr, then falls to max_lr / div_factor /
    final_div_factor.

    optimizer:                    whose rates are set.
    max_lr:                       highest rate, one for all groups or a list of one for each.
    total_steps:                  length of the cycle in steps; or `epochs` and `steps_per_epoch`, whose product it is.
    pct_start:                    share of the cycle spent rising, in [0, 1].
    anneal_strategy:              the form of each phase: "cos", half a cosine, or "linear".
    cycle_momentum:               move momentum (Adam's beta1) from max_momentum to base_momentum and back, against
                                  the rate.
    base_momentum, max_momentum:  lowest and highest momentum.
    div_factor, final_div_factor: how much lower the rate begins and ends, both > 0.
    three_phase:                  fall as long as it rose, to where it began, and only then to the end.

    Raises ArgumentError for options out of range, and on a step past the end of the cycle. Source: Smith & Topin 2018.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    >>> schedule.get_last_lr()
    [0.04]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ArgumentError("OneCycleLR needs total_steps, or both epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if total_steps < 1 or not 0 <= pct_start <= 1:
            raise ArgumentError(
                f"OneCycleLR needs total_steps >= 1 and pct_start in [0, 1], not {total_steps} and {pct_start}"
            )
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"anneal_strategy must be cos or linear, not {anneal_strategy!r}")
        if not (div_factor > 0 and final_div_factor > 0):
            raise ArgumentError(
                f"div_factor and final_div_factor must be > 0, not {div_factor} and {final_div_factor}"
            )
        groups = len(optimizer.param_groups)
        self.total_steps = total_steps
        self.max_lrs = list(max_lr) if isinstance(max_lr, (list, tuple)) else [max_lr] * groups
        if len(self.max_lrs) != groups:
            raise ArgumentError(f"max_lr holds {len(self.max_lrs)} rates for {groups} groups")
        self.linear = anneal_strategy == "linear"
        self.momenta = (base_momentum, max_momentum) if cycle_momentum else None
        peak = pct_start * total_steps - 1
        self.corners = [_Corner(0.0, 1 / div_factor, 1), _Corner(peak, 1.0, 0)]
        self.corners += [_Corner(2 * peak, 1 / div_factor, 1)] if three_phase else []
        self.corners += [_Corner(total_steps - 1, 1 / div_factor / final_div_factor, 1)]
        super().__init__(optimizer)

    def settings(self, step: int, group_number: int) -> dict[str, Any]:
        """The rate, and momentum if it is cycled, after `step` steps."""
        if step > self.total_steps:
            raise ArgumentError(f"OneCycleLR was made for {self.total_steps} steps and asked for step {step}")
        phases = list(pairwise(self.corners))
        begin, end = next((phase for phase in phases if step <= phase[1].step), phases[-1])
        share = (step - begin.step) / (end.step - begin.step) if end.step > begin.step else 1.0
        share = share if self.linear else (1 - math.cos(math.pi * share)) / 2
        rate = begin.rate + (end.rate - begin.rate) * share
        options: dict[str, Any] = {"lr": self.max_lrs[group_number] * rate}
        if self.momenta is not None:
            low, high = self.momenta
            momentum = low + (high - low) * (begin.momentum + (end.momentum - begin.momentum) * share)
            group = self.optimizer.param_groups[group_number]
            options |= (
                {"betas": (momentum, group["betas"][1])} if "betas" in group else {"momentum": momentum}
            )
        return options
