"""Schedules that multiply every rate by the same factor in each step, so that several can work on one optimiser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from minigrad.errors import ArgumentError
from minigrad.optim.lr_scheduler.base import LRScheduler, whole
from minigrad.optim.optimizer import Optimizer


class FactorLR(LRScheduler):
    """Base of the schedules that multiply: a subclass defines `factor`, which is 1 where nothing changes."""

    def factor(self) -> float:
        """What the rates are multiplied by in step `last_epoch`."""
        raise NotImplementedError(f"{type(self).__name__} does not define factor()")

    def get_lr(self) -> list[float]:
        """The current rates, multiplied."""
        factor = self.factor()
        return [lr * factor for lr in self.current_lrs()]


class StepLR(FactorLR):
    """Multiply the rate by gamma every step_size steps: lr = base gamma^floor(t / step_size) after t steps.

    optimizer:  whose rates are set.
    step_size:  steps between changes, 1 or more.
    gamma:      the factor.
    last_epoch: see `LRScheduler`.

    Raises ArgumentError for a step_size below 1.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for _ in range(4):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size, self.gamma = whole("step_size", step_size), gamma
        super().__init__(optimizer, last_epoch)

    def factor(self) -> float:
        """Gamma in every step_size-th step."""
        return self.gamma if self.last_epoch > 0 and self.last_epoch % self.step_size == 0 else 1


class MultiStepLR(FactorLR):
    """Multiply the rate by gamma at each milestone; one that stands in the list twice counts twice.

    optimizer:  whose rates are set.
    milestones: numbers of steps, in any order.
    gamma:      the factor.
    last_epoch: see `LRScheduler`.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
    >>> for _ in range(3):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = Counter(whole("a milestone", m, at_least=0) for m in milestones), gamma
        super().__init__(optimizer, last_epoch)

    def factor(self) -> float:
        """Gamma at a milestone."""
        return self.gamma ** self.milestones[self.last_epoch]


class ExponentialLR(FactorLR):
    """Multiply the rate by gamma in every step: lr = base gamma^t after t steps.

    optimizer:  whose rates are set.
    gamma:      the factor.
    last_epoch: see `LRScheduler`.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> for _ in range(3):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.125]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor(self) -> float:
        """Gamma in every step but the first."""
        return 1 if self._starting else self.gamma


class PolynomialLR(FactorLR):
    """Down to 0 in total_iters steps along a power: lr = base (1 - t / total_iters)^power after t steps, then 0.

    optimizer:   whose rates are set.
    total_iters: length of the way down in steps, 1 or more.
    power:       the exponent; 1 is a straight line.
    last_epoch:  see `LRScheduler`.

    Raises ArgumentError for total_iters below 1.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=4, power=2)
    >>> for _ in range(2):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters, self.power = whole("total_iters", total_iters), power
        super().__init__(optimizer, last_epoch)

    def factor(self) -> float:
        """The ratio of this step's power to the one before."""
        if self._starting or self.last_epoch > self.total_iters:
            return 1
        before = 1 - (self.last_epoch - 1) / self.total_iters
        return ((1 - self.last_epoch / self.total_iters) / before) ** self.power


class LinearLR(FactorLR):
    """Along a straight line from base start_factor to base end_factor in total_iters steps: a warm-up, by default.

    optimizer:    whose rates are set.
    start_factor: where it begins, in (0, 1].
    end_factor:   where it ends, in [0, 1].
    total_iters:  length in steps, 1 or more.
    last_epoch:   see `LRScheduler`.

    Raises ArgumentError for arguments out of range. Source of the warm-up: Goyal et al. 2017, section 2.2.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=4)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.625]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ArgumentError(f"start_factor must lie in (0, 1], not {start_factor!r}")
        if not 0 <= end_factor <= 1:
            raise ArgumentError(f"end_factor must lie in [0, 1], not {end_factor!r}")
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = whole("total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def factor(self) -> float:
        """The ratio of this step's height on the line to the one before."""
        if self.last_epoch == 0:
            return self.start_factor
        if self._starting or self.last_epoch > self.total_iters:
            return 1
        rise = self.end_factor - self.start_factor
        return 1 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise)


class ConstantLR(FactorLR):
    """A lower rate to begin with: base factor for total_iters steps, then base.

    optimizer:   whose rates are set.
    factor:      in (0, 1].
    total_iters: how many steps it holds, 1 or more.
    last_epoch:  see `LRScheduler`.

    Raises ArgumentError for arguments out of range; a factor of 0 could not be undone by multiplying.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 < factor <= 1:
            raise ArgumentError(f"factor must lie in (0, 1], not {factor!r}")
        self.lowered, self.total_iters = factor, whole("total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def factor(self) -> float:
        """Down in the first step, up again in step total_iters."""
        if self.last_epoch == 0:
            return self.lowered
        return 1 / self.lowered if self.last_epoch == self.total_iters else 1
