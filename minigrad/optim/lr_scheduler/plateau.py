"""A schedule that watches a measurement."""

from __future__ import annotations

import math
from typing import Any, SupportsFloat

from minigrad.errors import ArgumentError
from minigrad.optim.lr_scheduler.base import LRScheduler, checked_optimizer, per_group, whole
from minigrad.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by factor when a measurement has not got better for more than `patience` epochs.

    optimizer: whose rates are set.
    mode:      "min" for a measurement that is to fall, as a loss; "max" for one that is to rise.
    factor:    in [0, 1).
    patience:  epochs without improvement that are let pass.
    threshold, threshold_mode: what counts as improvement: with best the best so far, beyond best (1 -+ threshold)
               for "rel", beyond best -+ threshold for "abs".
    cooldown:  epochs after a change in which none is counted as without improvement.
    min_lr:    lowest rate, one for all groups or a list of one for each.
    eps:       a change smaller than this is not made.

    Call `step(metric)` after each epoch. NaN is never an improvement. Raises ArgumentError for arguments out of range.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> rates = []
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     schedule.step(loss)
    ...     rates += schedule.get_last_lr()
    >>> rates
    [1.0, 1.0, 1.0, 0.5]
    """

    saved = ("last_epoch", "_last_lr", "best", "num_bad_epochs", "cooldown_counter")

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        self.optimizer = checked_optimizer(self, optimizer)
        if not 0 <= factor < 1:
            raise ArgumentError(f"factor must lie in [0, 1), not {factor!r}")
        if mode not in ("min", "max"):
            raise ArgumentError(f"mode must be min or max, not {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ArgumentError(f"threshold_mode must be rel or abs, not {threshold_mode!r}")
        self.mode, self.factor, self.eps = mode, factor, eps
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.patience, self.cooldown = whole("patience", patience, 0), whole("cooldown", cooldown, 0)
        self.min_lr = min_lr
        per_group(optimizer, "min_lr", min_lr)  # a wrong number of them fails here, not after many epochs
        self.best = math.inf if mode == "min" else -math.inf
        self.last_epoch = self.num_bad_epochs = self.cooldown_counter = 0
        self._last_lr = self.current_lrs()

    def step(self, metrics: SupportsFloat) -> None:  # type: ignore[override]
        """Take note of an epoch's measurement, a number or a tensor of one element, and set the rates that follow."""
        current = float(metrics)
        self.last_epoch += 1
        if self._is_better(current):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self.current_lrs()

    def _is_better(self, current: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        relative = self.threshold_mode == "rel"
        bound = self.best * (1 + sign * self.threshold) if relative else self.best + sign * self.threshold
        return sign * current > sign * bound

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        for group, lowest in zip(groups, per_group(self.optimizer, "min_lr", self.min_lr), strict=True):
            lr = max(group["lr"] * self.factor, lowest)
            if group["lr"] - lr > self.eps:
                group["lr"] = float(lr)

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands, in numbers; "best" is left out while it is infinite, which JSON cannot say."""
        state = super().state_dict()
        return state if math.isfinite(self.best) else {n: v for n, v in state.items() if n != "best"}

    def _checked(self, state_dict: Any) -> dict[str, Any]:
        if isinstance(state_dict, dict) and "best" not in state_dict:
            state_dict = {**state_dict, "best": math.inf if self.mode == "min" else -math.inf}
        return super()._checked(state_dict)
