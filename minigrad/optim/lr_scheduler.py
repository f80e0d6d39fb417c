"""Learning-rate schedules: set each group's rate as a function of the number of steps taken."""

from __future__ import annotations

import math
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.optim.optimizer import Optimizer


class LRScheduler:
    """Base of the schedules. `step()` is called after each optimiser step (or epoch), and sets the rate of the next.

    A subclass defines `settings(step, group_number)`: the options, usually {"lr": ...}, that hold after `step` steps.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.base_lrs = [group["lr"] for group in optimizer.param_groups]
        self.last_epoch = 0
        self._apply()

    def settings(self, step: int, group_number: int) -> dict[str, Any]:
        """Options of a group after `step` steps."""
        raise TypeError(f"{type(self).__name__} does not define settings()")

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
        """Go on from a saved state."""
        self.last_epoch, self.base_lrs = int(state_dict["last_epoch"]), list(state_dict["base_lrs"])
        self._apply()


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2: from the base rate down to eta_min after T_max steps (and up again after).

    Source: Loshchilov & Hutter 2017, equation 5, without restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        if T_max < 1:
            raise ArgumentError(f"T_max must be at least 1, not {T_max}")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def settings(self, step: int, group_number: int) -> dict[str, Any]:
        share = (1 + math.cos(math.pi * step / self.T_max)) / 2
        return {"lr": self.eta_min + (self.base_lrs[group_number] - self.eta_min) * share}


class OneCycleLR(LRScheduler):
    """One cycle: the rate rises from max_lr / div_factor to max_lr, then falls to max_lr / div_factor / final_div_factor; momentum mirrors it.

    Parameters
        max_lr: highest rate, one for all groups or a list.
        total_steps: length of the cycle in steps; or `epochs` and `steps_per_epoch`.
        pct_start: share of the cycle spent rising, in [0, 1].
        anneal_strategy: "cos" or "linear".
        cycle_momentum: move momentum (or Adam's beta1) between max_momentum and base_momentum, against the rate.
        three_phase: fall back symmetrically first, then annihilate the rate in a third phase.
    Raises ArgumentError on a step past the end of the cycle. Source: Smith & Topin 2018.
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
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise ArgumentError("OneCycleLR needs total_steps, or both epochs and steps_per_epoch")
        self.total_steps = total_steps if total_steps is not None else epochs * steps_per_epoch  # type: ignore[operator]
        if self.total_steps < 1 or not 0 <= pct_start <= 1:
            raise ArgumentError(f"OneCycleLR needs total_steps >= 1 and pct_start in [0, 1], not {self.total_steps} and {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"anneal_strategy must be cos or linear, not {anneal_strategy!r}")
        groups = len(optimizer.param_groups)
        self.max_lrs = list(max_lr) if isinstance(max_lr, (list, tuple)) else [max_lr] * groups
        if len(self.max_lrs) != groups:
            raise ArgumentError(f"max_lr holds {len(self.max_lrs)} rates for {groups} groups")
        self.linear, self.momenta = anneal_strategy == "linear", (base_momentum, max_momentum) if cycle_momentum else None
        peak = pct_start * self.total_steps - 1
        # (last step, rate, momentum) at the end of each phase; rates as multiples of max_lr, momentum as 0 (base) or 1 (max)
        low, final, end = 1 / div_factor, 1 / div_factor / final_div_factor, float(self.total_steps - 1)
        self.corners = [(0.0, low, 1), (peak, 1.0, 0), *([(2 * peak, low, 1)] if three_phase else []), (end, final, 1)]
        super().__init__(optimizer)

    def settings(self, step: int, group_number: int) -> dict[str, Any]:
        if step > self.total_steps:
            raise ArgumentError(f"OneCycleLR was made for {self.total_steps} steps and asked for step {step}")
        for (start, *before), (end, *after) in zip(self.corners, self.corners[1:], strict=False):
            if step <= end or end == self.corners[-1][0]:
                break
        share = (step - start) / (end - start) if end > start else 1.0
        share = share if self.linear else (1 - math.cos(math.pi * share)) / 2
        rate, momentum = (b + (a - b) * share for b, a in zip(before, after, strict=True))
        options = {"lr": self.max_lrs[group_number] * rate}
        if self.momenta is not None:
            value = self.momenta[0] + (self.momenta[1] - self.momenta[0]) * momentum
            group = self.optimizer.param_groups[group_number]
            options.update({"betas": (value, group["betas"][1])} if "betas" in group else {"momentum": value})
        return options
