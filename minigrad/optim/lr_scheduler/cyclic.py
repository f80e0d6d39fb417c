"""Schedules that move momentum against the rate: cycles of it, and one cycle."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

from minigrad.errors import ArgumentError
from minigrad.optim.lr_scheduler.base import LRScheduler, checked_optimizer, per_group, whole
from minigrad.optim.optimizer import Optimizer


class MomentumCycle(LRScheduler):
    """Base of the schedules that set momentum too (Adam's beta1): a subclass defines `get_momentum`."""

    cycle_momentum: bool

    def _set_up_momentum(self, optimizer: Optimizer, lowest: Any, highest: Any, set_now: bool) -> None:
        """Note the range in each group; at the start of a schedule momentum is highest."""
        if not any(name in optimizer.defaults for name in ("momentum", "betas")):
            raise ArgumentError(
                f"{type(optimizer).__name__} has no momentum to move: pass cycle_momentum=False"
            )
        self.base_momentums = per_group(optimizer, "base_momentum", lowest)
        self.max_momentums = per_group(optimizer, "max_momentum", highest)
        if set_now:
            _set_momentum(optimizer, self.max_momentums)

    def get_momentum(self) -> list[float]:
        """The momentum of the groups after `last_epoch` steps."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_momentum()")

    def _apply(self) -> None:
        super()._apply()
        if self.cycle_momentum:
            _set_momentum(self.optimizer, self.get_momentum())


def _set_momentum(optimizer: Optimizer, momenta: list[float]) -> None:
    for group, momentum in zip(optimizer.param_groups, momenta, strict=True):
        if "betas" in group:
            group["betas"] = (float(momentum), *group["betas"][1:])
        else:
            group["momentum"] = float(momentum)


class CyclicLR(MomentumCycle):
    """The rate goes up and down along straight lines between base_lr and max_lr, again and again.

    With x falling from 1 at the ends of a cycle to 0 at its top, after t steps in cycle c = 1, 2, ...:
        lr = base_lr + (max_lr - base_lr) (1 - x) s,
    s = 1 (triangular), 1 / 2^(c - 1) (triangular2), or gamma^t (exp_range).

    optimizer:       whose rates are set.
    base_lr, max_lr: lowest and highest rate, one for all groups or a list of one for each.
    step_size_up, step_size_down: steps up and steps down, each > 0; down as many as up, unless given.
    mode:            "triangular", "triangular2" or "exp_range".
    gamma:           for exp_range.
    scale_fn, scale_mode: a function for s instead of mode, of the cycle c ("cycle") or the step t ("iterations").
    cycle_momentum:  move momentum (Adam's beta1) from max_momentum to base_momentum and back, against the rate.
    base_momentum, max_momentum: lowest and highest momentum, one for all groups or a list of one for each.
    last_epoch:      see `LRScheduler`.

    Raises ArgumentError for arguments out of range, and for an optimiser without momentum if it is to be cycled.
    Source: Smith 2017, section 3.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.CyclicLR(optimizer, base_lr=0.0, max_lr=1.0, step_size_up=2)
    >>> rates = []
    >>> for _ in range(5):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        checked_optimizer(self, optimizer)
        step_size_down = step_size_up if step_size_down is None else step_size_down
        if not (step_size_up > 0 and step_size_down > 0):
            raise ArgumentError(
                f"step_size_up and step_size_down must be > 0, not {step_size_up} and {step_size_down}"
            )
        if scale_fn is None and mode not in _SCALES:
            raise ArgumentError(
                f"mode must be one of {', '.join(_SCALES)}, or scale_fn be given; not {mode!r}"
            )
        if scale_mode not in ("cycle", "iterations"):
            raise ArgumentError(f"scale_mode must be cycle or iterations, not {scale_mode!r}")
        self.total_size = float(step_size_up + step_size_down)
        self.step_ratio = step_size_up / self.total_size
        self.gamma, self.cycle_momentum = gamma, cycle_momentum
        if scale_fn is None:
            self.scale = _SCALES[mode]
        elif scale_mode == "cycle":
            self.scale = lambda cycle, step, gamma: scale_fn(cycle)
        else:
            self.scale = lambda cycle, step, gamma: scale_fn(step)
        lowest = per_group(optimizer, "base_lr", base_lr)
        self.max_lrs = per_group(optimizer, "max_lr", max_lr)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, lowest, strict=True):
                group["lr"] = float(lr)
        if cycle_momentum:
            self._set_up_momentum(optimizer, base_momentum, max_momentum, last_epoch == -1)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lowest

    def height(self) -> float:
        """How far from the lowest rate (0) to the highest (1), after `last_epoch` steps."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        position = 1 + self.last_epoch / self.total_size - cycle
        up = position <= self.step_ratio
        share = position / self.step_ratio if up else (1 - position) / (1 - self.step_ratio)
        return share * self.scale(cycle, self.last_epoch, self.gamma)

    def get_lr(self) -> list[float]:
        """The rates at this height."""
        height = self.height()
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def get_momentum(self) -> list[float]:
        """Momentum, as far below the highest as the rate is above the lowest."""
        height = self.height()
        ranges = zip(self.base_momentums, self.max_momentums, strict=True)
        return [high - (high - low) * height for low, high in ranges]


_SCALES: dict[str, Callable[[int, int, float], float]] = {
    "triangular": lambda cycle, step, gamma: 1.0,
    "triangular2": lambda cycle, step, gamma: 0.5 ** (cycle - 1),
    "exp_range": lambda cycle, step, gamma: gamma**step,
}


class _Corner(NamedTuple):
    """Where two phases of a cycle meet: rate as a multiple of the highest, momentum from 0, lowest, to 1."""

    step: float
    rate: float
    momentum: float


class OneCycleLR(MomentumCycle):
    """One cycle: the rate rises from max_lr / div_factor to max_lr, then falls to max_lr / div_factor /
    final_div_factor.

    optimizer:                    whose rates are set.
    max_lr:                       highest rate, one for all groups or a list of one for each.
    total_steps:                  length of the cycle in steps; or `epochs` and `steps_per_epoch`, whose product it is.
    pct_start:                    share of the cycle spent rising, in [0, 1].
    anneal_strategy:              the form of each phase: "cos", half a cosine, or "linear".
    cycle_momentum:               move momentum (Adam's beta1) from max_momentum to base_momentum and back, against
                                  the rate.
    base_momentum, max_momentum:  lowest and highest momentum, one for all groups or a list of one for each.
    div_factor, final_div_factor: how much lower the rate begins and ends, both > 0.
    three_phase:                  fall as long as it rose, to where it began, and only then to the end.
    last_epoch:                   see `LRScheduler`.

    Raises ArgumentError for options out of range, for an optimiser without momentum if it is to be cycled, and on a
    step past the end of the cycle. Source: Smith & Topin 2018.

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
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        checked_optimizer(self, optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ArgumentError("OneCycleLR needs total_steps, or both epochs and steps_per_epoch")
            total_steps = whole("epochs", epochs) * whole("steps_per_epoch", steps_per_epoch)
        self.total_steps = whole("total_steps", total_steps)
        if not 0 <= pct_start <= 1:
            raise ArgumentError(f"pct_start must lie in [0, 1], not {pct_start!r}")
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"anneal_strategy must be cos or linear, not {anneal_strategy!r}")
        if not (div_factor > 0 and final_div_factor > 0):
            raise ArgumentError(
                f"div_factor and final_div_factor must be > 0, not {div_factor} and {final_div_factor}"
            )
        self.max_lrs = per_group(optimizer, "max_lr", max_lr)
        self.linear, self.cycle_momentum = anneal_strategy == "linear", cycle_momentum
        peak = pct_start * total_steps - 1
        self.corners = [_Corner(0.0, 1 / div_factor, 1), _Corner(peak, 1.0, 0)]
        self.corners += [_Corner(2 * peak, 1 / div_factor, 1)] if three_phase else []
        self.corners += [_Corner(total_steps - 1, 1 / div_factor / final_div_factor, 1)]
        if last_epoch == -1:
            for group, highest in zip(optimizer.param_groups, self.max_lrs, strict=True):
                group["initial_lr"] = highest / div_factor
        if cycle_momentum:
            self._set_up_momentum(optimizer, base_momentum, max_momentum, last_epoch == -1)
        super().__init__(optimizer, last_epoch)

    def _phase(self) -> tuple[_Corner, _Corner, float]:
        """The corners before and after `last_epoch`, and how far from one to the other it is."""
        if self.last_epoch > self.total_steps:
            raise ArgumentError(
                f"OneCycleLR was made for {self.total_steps} steps and asked for step {self.last_epoch}"
            )
        phases = list(pairwise(self.corners))
        begin, end = next((phase for phase in phases if self.last_epoch <= phase[1].step), phases[-1])
        share = (self.last_epoch - begin.step) / (end.step - begin.step) if end.step > begin.step else 1.0
        return begin, end, share if self.linear else (1 - math.cos(math.pi * share)) / 2

    def get_lr(self) -> list[float]:
        """The highest rates times the height of the cycle."""
        begin, end, share = self._phase()
        return [highest * (begin.rate + (end.rate - begin.rate) * share) for highest in self.max_lrs]

    def get_momentum(self) -> list[float]:
        """Momentum, low where the rate is high."""
        begin, end, share = self._phase()
        height = begin.momentum + (end.momentum - begin.momentum) * share
        ranges = zip(self.base_momentums, self.max_momentums, strict=True)
        return [low + (high - low) * height for low, high in ranges]
