"""What all schedules share: the count of steps, base rates, state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from minigrad.errors import ArgumentError, StateError
from minigrad.optim.optimizer import Optimizer


class LRScheduler:
    """Base of the schedules. `step()` is called after each optimiser step (or epoch), and sets the rates of the next.

    optimizer:  whose groups' rates are set, at once for the first step. Their rates until then are the base rates;
                they are noted in the groups as `initial_lr`, which a later schedule takes for base rates too.
    last_epoch: -1 begins; k >= 0 goes on behind step k, from the rates of an optimiser whose state has been loaded.
                `load_state_dict` is the exact way to go on.

    A subclass defines `get_lr`, and sets what it needs before it calls `super().__init__(optimizer, last_epoch)`.
    What changes from step to step, other than the rates, it names in `saved`.
    """

    saved: tuple[str, ...] = ("last_epoch", "base_lrs", "_last_lr")
    _starting = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = checked_optimizer(self, optimizer)
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ArgumentError(
                    f"last_epoch={last_epoch} goes on with an earlier schedule, but the optimiser knows no initial_lr: "
                    "load its state first, or leave last_epoch at -1 and load this schedule's state"
                )
        self.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._start()

    def get_lr(self) -> list[float]:
        """The groups' rates after `last_epoch` steps, from what stands in the groups; `_starting` at the first."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr()")

    def step(self) -> None:
        """Count one step and set the rates that follow it."""
        self.last_epoch += 1
        self._apply()

    def get_last_lr(self) -> list[float]:
        """The rate of each group, as this schedule last set it."""
        return list(self._last_lr)

    def current_lrs(self) -> list[float]:
        """The rate of each group, as it stands in the optimiser."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def _start(self) -> None:
        """The step before all others, which sets the rates to begin with."""
        self._starting = True
        try:
            self.step()
        finally:
            self._starting = False

    def _restart(self) -> None:
        """Begin again from the base rates, whatever other schedules have made of them."""
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base
        self.last_epoch = -1
        self._start()

    def _apply(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.base_lrs):
            raise ArgumentError(
                f"the optimiser has {len(groups)} groups, {type(self).__name__} was made for {len(self.base_lrs)}: "
                "add groups first, then make the schedule"
            )
        for group, lr in zip(groups, self.get_lr(), strict=True):
            group["lr"] = float(lr)
        self._last_lr = self.current_lrs()

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands, in numbers and lists of them. The optimiser's state holds the rates."""
        return {name: _copy(getattr(self, name)) for name in self.saved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a saved state of the same schedule, bit for bit once the optimiser's state has been loaded too.

        Arguments are not part of the state: they are those that this schedule was made with. A StateError has changed
        nothing.
        """
        self._load(self._checked(state_dict))

    def _checked(self, state_dict: Any) -> dict[str, Any]:
        """The values of the state, if it is one of this kind of schedule."""
        kind = type(self).__name__
        if not isinstance(state_dict, Mapping) or set(state_dict) != set(self.saved):
            given = sorted(state_dict) if isinstance(state_dict, Mapping) else type(state_dict).__name__
            raise StateError(f"the state of {kind} has the keys {sorted(self.saved)}, not {given}")
        for name in self.saved:
            own, value = getattr(self, name), state_dict[name]
            if isinstance(own, list) and (not isinstance(value, (list, tuple)) or len(value) != len(own)):
                raise StateError(
                    f"{name} in the state of {kind} must be {len(own)} numbers, not {value!r:.80}"
                )
        return {name: _copy(state_dict[name]) for name in self.saved}

    def _load(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


def checked_optimizer(schedule: Any, optimizer: Any) -> Optimizer:
    """The optimiser, if it is one."""
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError(f"{type(schedule).__name__} takes an optimiser, not {type(optimizer).__name__}")
    return optimizer


def per_group(optimizer: Optimizer, name: str, value: Any) -> list[Any]:
    """One value for each group: those of a list or tuple, or the same for all."""
    groups = len(optimizer.param_groups)
    values = list(value) if isinstance(value, (list, tuple)) else [value] * groups
    if len(values) != groups:
        raise ArgumentError(f"{name} holds {len(values)} values for {groups} groups")
    return values


def whole(name: str, value: Any, at_least: int = 1) -> int:
    """The value, if it is a whole number from `at_least`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < at_least:
        raise ArgumentError(f"{name} must be a whole number from {at_least}, not {value!r}")
    return int(value)


def _copy(value: Any) -> Any:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
