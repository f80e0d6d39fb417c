"""Schedules made of schedules: all at once, or one after the other."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from minigrad.errors import ArgumentError, StateError
from minigrad.optim.lr_scheduler.base import LRScheduler, checked_optimizer, whole
from minigrad.optim.lr_scheduler.plateau import ReduceLROnPlateau
from minigrad.optim.optimizer import Optimizer


class _Compound(LRScheduler):
    """What the two share: several schedules of one optimiser, and a state made of theirs."""

    _schedulers: list[LRScheduler]

    def _take(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
        kind = type(self).__name__
        self._schedulers = list(schedulers)
        if not self._schedulers:
            raise ArgumentError(f"{kind} needs at least one schedule")
        for schedule in self._schedulers:
            if not isinstance(schedule, LRScheduler) or isinstance(schedule, ReduceLROnPlateau):
                raise ArgumentError(
                    f"{kind} takes schedules whose step() needs no metric, not {type(schedule).__name__}"
                )
        self.optimizer = checked_optimizer(
            self, self._schedulers[0].optimizer if optimizer is None else optimizer
        )
        if any(schedule.optimizer is not self.optimizer for schedule in self._schedulers):
            raise ArgumentError(f"the schedules of {kind} must all be made for the same optimiser")

    def state_dict(self) -> dict[str, Any]:
        """Where it and each of its schedules stand."""
        return {**super().state_dict(), "_schedulers": [s.state_dict() for s in self._schedulers]}

    def _checked(self, state_dict: Any) -> dict[str, Any]:
        given = state_dict.get("_schedulers") if isinstance(state_dict, Mapping) else None
        if not isinstance(given, Sequence) or len(given) != len(self._schedulers):
            raise StateError(
                f"the state of {type(self).__name__} holds {len(self._schedulers)} states under the key '_schedulers', "
                f"not {given!r:.80}"
            )
        own = super()._checked({name: value for name, value in state_dict.items() if name != "_schedulers"})
        parts = [s._checked(state) for s, state in zip(self._schedulers, given, strict=True)]
        return {**own, "_schedulers": parts}

    def _load(self, state: dict[str, Any]) -> None:
        super()._load({name: value for name, value in state.items() if name != "_schedulers"})
        for schedule, part in zip(self._schedulers, state["_schedulers"], strict=True):
            schedule._load(part)


class ChainedScheduler(_Compound):
    """Several schedules at once: each step is a step of each, in order, on the rates that the one before has left.

    schedulers: of one optimiser, made one after the other; factors multiply (`LinearLR` and `ExponentialLR`, say).
    optimizer:  that optimiser; may be left out.

    Raises ArgumentError for schedules of several optimisers, and for one whose step needs a metric.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> warm_up = mg.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> decay = mg.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule = mg.optim.lr_scheduler.ChainedScheduler([warm_up, decay])
    >>> rates = []
    >>> for _ in range(3):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [0.5, 0.25, 0.25]
    """

    saved = ("_last_lr",)

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self._take(schedulers, optimizer)
        self._last_lr = self.current_lrs()

    def step(self) -> None:
        """One step of each schedule."""
        for schedule in self._schedulers:
            schedule.step()
        self._last_lr = self.current_lrs()


class SequentialLR(_Compound):
    """One schedule after the other: at each milestone the next begins from its base rates.

    optimizer:  of all the schedules.
    schedulers: of that optimiser, made in the order in which they are to run.
    milestones: the steps at which the second, third, ... begins, ascending; one fewer than schedules.
    last_epoch: -1 begins.

    Raises ArgumentError for milestones that do not fit, schedules of several optimisers, one whose step needs a
    metric, and one that is itself made of schedules: write them all in one sequence.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> warm_up = mg.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> decay = mg.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule = mg.optim.lr_scheduler.SequentialLR(optimizer, [warm_up, decay], milestones=[2])
    >>> rates = []
    >>> for _ in range(5):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    saved = ("last_epoch", "_last_lr")

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        self._take(schedulers, optimizer)
        for schedule in self._schedulers:
            if isinstance(schedule, _Compound):
                raise ArgumentError(
                    f"SequentialLR cannot begin a {type(schedule).__name__} anew at a milestone: "
                    "write all schedules in one sequence, or chain the sequence instead"
                )
        self._milestones = [whole("a milestone", m, at_least=0) for m in milestones]
        if len(self._milestones) != len(self._schedulers) - 1:
            raise ArgumentError(
                f"{len(self._schedulers)} schedules need {len(self._schedulers) - 1} milestones, "
                f"not {len(self._milestones)}"
            )
        if self._milestones != sorted(self._milestones):
            raise ArgumentError(f"milestones must ascend, not {self._milestones}")
        self.last_epoch = last_epoch + 1
        # Each schedule has made its first step when it was made. Undo that, and let only the one that begins make it.
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        for schedule in self._schedulers:
            schedule.last_epoch -= 1
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._start()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:
        """One step of the schedule whose turn it is."""
        self.last_epoch += 1
        number = bisect_right(self._milestones, self.last_epoch)
        schedule = self._schedulers[number]
        if number > 0 and self._milestones[number - 1] == self.last_epoch:
            schedule._restart()
        else:
            schedule.step()
        self._last_lr = schedule.get_last_lr()
