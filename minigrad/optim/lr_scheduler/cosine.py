"""Schedules along half a cosine."""

from __future__ import annotations

import math

from minigrad.errors import ArgumentError
from minigrad.optim.lr_scheduler.base import LRScheduler, whole
from minigrad.optim.optimizer import Optimizer


class CosineAnnealingLR(LRScheduler):
    """From the base rate down to eta_min along half a cosine, in T_max steps (and up again after that).

    After t steps lr = eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2. Computed from the rate before, so that a
    change made by another schedule, or by hand, stays.

    optimizer:  whose rates are set.
    T_max:      length of the way down in steps, 1 or more.
    eta_min:    lowest rate.
    last_epoch: see `LRScheduler`.

    Raises ArgumentError for T_max below 1. Source: Loshchilov & Hutter 2017, equation 5, without restarts.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max, self.eta_min = whole("T_max", T_max), eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates before, moved by one step."""
        if self._starting:
            return self.current_lrs()
        t, T = self.last_epoch, self.T_max
        height, before = 1 + math.cos(math.pi * t / T), 1 + math.cos(math.pi * (t - 1) / T)
        if (t - 1) % (2 * T) == T:  # up from the lowest point, where a ratio of heights says nothing
            first = (1 - math.cos(math.pi / T)) / 2
            return [
                lr + (base - self.eta_min) * first
                for lr, base in zip(self.current_lrs(), self.base_lrs, strict=True)
            ]
        return [self.eta_min + (lr - self.eta_min) * height / before for lr in self.current_lrs()]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Down along half a cosine, then back to the base rate at once, in cycles that may grow longer.

    lr = eta_min + (base - eta_min) (1 + cos(pi T_cur / T_i)) / 2, T_cur steps into a cycle of T_i.

    optimizer:  whose rates are set.
    T_0:        length of the first cycle in steps (or epochs), 1 or more.
    T_mult:     how many times longer each cycle is than the one before, a whole number, 1 or more.
    eta_min:    lowest rate.
    last_epoch: see `LRScheduler`.

    Raises ArgumentError for arguments out of range. Source: Loshchilov & Hutter 2017, equation 5.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
    >>> rates = []
    >>> for _ in range(4):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [1.0, 0.5, 1.0, 0.5]
    """

    saved = (*LRScheduler.saved, "T_cur", "T_i")

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_0, self.T_mult, self.eta_min = whole("T_0", T_0), whole("T_mult", T_mult), eta_min
        self.T_cur, self.T_i = self._position(max(last_epoch, 0))
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The base rates, lowered by the position in the cycle."""
        share = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Count one step; or go to `epoch`, which may be a fraction: epoch + batch / batches, after every batch."""
        if epoch is not None:
            if not 0 <= epoch < math.inf:
                raise ArgumentError(f"epoch must be a number >= 0, not {epoch!r}")
            self.last_epoch = math.floor(epoch)
            self.T_cur, self.T_i = self._position(epoch)
        elif self.last_epoch < 0:
            self.last_epoch = 0
            self.T_cur, self.T_i = self._position(0)
        else:
            self.last_epoch += 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur, self.T_i = self.T_cur % self.T_i, self.T_i * self.T_mult
        self._apply()

    def _position(self, epoch: float) -> tuple[float, int]:
        """How far into its cycle an epoch is, and how long that cycle is."""
        if self.T_mult == 1:
            return epoch % self.T_0, self.T_0
        length = self.T_0
        while epoch >= length:
            epoch, length = epoch - length, length * self.T_mult
        return epoch, length
