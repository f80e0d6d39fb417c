"""Schedules that count epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minigrad.errors import ArgumentError
from minigrad.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from minigrad.train.callback import Callback

if TYPE_CHECKING:
    from minigrad.train.trainer import Trainer


class ScheduleEpochs(Callback):
    """Steps a schedule after each epoch, where the trainer's own `scheduler` is stepped after each step.

    scheduler: any schedule, its numbers counted in epochs; `ReduceLROnPlateau` is told `monitor`.
    monitor:   the name of a number in `trainer.logs`.

    Epochs cut short do not count. Raises ArgumentError for a monitor that is missing, or that nobody asks for.
    """

    def __init__(self, scheduler: LRScheduler, monitor: str | None = None) -> None:
        if isinstance(scheduler, ReduceLROnPlateau) != (monitor is not None):
            raise ArgumentError(
                "a monitor goes with ReduceLROnPlateau, which needs one, and with no other schedule"
            )
        self.scheduler, self.monitor = scheduler, monitor

    def on_epoch_end(self, trainer: Trainer) -> None:
        if trainer.next_batch:  # cut short
            return
        if isinstance(self.scheduler, ReduceLROnPlateau):
            if self.monitor not in trainer.logs:
                raise ArgumentError(
                    f"an epoch has no number {self.monitor!r} to monitor; it has {', '.join(trainer.logs)}"
                )
            self.scheduler.step(trainer.logs[self.monitor])
        else:
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        return self.scheduler.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.scheduler.load_state_dict(state_dict)
