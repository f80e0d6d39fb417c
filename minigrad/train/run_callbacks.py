"""Callbacks that write a run's folder while it trains."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minigrad import dtypes
from minigrad.errors import ArgumentError, NonFiniteError
from minigrad.train.callback import Callback
from minigrad.train.run_folder import RunFolder
from minigrad.train.state_file import save_state
from minigrad.train.weights import Monitor, has_finite_losses

if TYPE_CHECKING:
    from minigrad.train.trainer import Trainer


class RunLog(Callback):
    """Appends the numbers of each epoch, and of some steps, to the run's metrics.jsonl.

    run:   the folder.
    every: also log loss and rate of every so many-th step; None logs epochs only.

    A line of an epoch is `trainer.logs`; one of a step has "step", "loss" and "lr". When a run is resumed, lines that
    were written after the checkpoint are taken away: they will be written again.
    """

    def __init__(self, run: RunFolder, every: int | None = None) -> None:
        self.run, self.every = run, checked_every(every)

    def on_step_end(self, trainer: Trainer) -> None:
        if self.every is not None and trainer.global_step % self.every == 0:
            self.run.log({"step": trainer.global_step, "loss": trainer.loss, "lr": trainer.step_lr})

    def on_epoch_end(self, trainer: Trainer) -> None:
        self.run.log(trainer.logs)

    def state_dict(self) -> dict[str, Any]:
        return {"size": self.run.metrics_size()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.run.truncate_metrics(int(state_dict["size"]))


class RunCheckpoint(Callback):
    """Keeps whole states of training in the run's folder, from which it goes on bit for bit.

        run = RunFolder.resume("runs/one")
        trainer.fit(loader, epochs, resume=run.load())

    run:     the folder.
    every:   write one after every so many-th step; None writes after epochs only. In any case one is written before
             training, after each epoch, and when training is stopped or interrupted.
    keep:    how many of the latest to keep, from 1; with 2 or more there is one to go back to should a file be damaged.
    monitor: also keep the state after the epoch with the best of this number, in "best"; see `Monitor`.
    mode:    which way is better.

    An epoch with a loss that is not finite is left out; weights that are not finite end training with a
    NonFiniteError. Either way, and when the disk is full (a DataError), the checkpoints before it stay.

    latest:  the position of the latest checkpoint, (epochs done, batches done of the next), or None.
    seconds: how long it took to write.
    """

    def __init__(
        self,
        run: RunFolder,
        every: int | None = None,
        keep: int = 3,
        monitor: str | None = None,
        mode: str = "auto",
    ) -> None:
        if not isinstance(keep, int) or keep < 1:
            raise ArgumentError(f"keep must be a whole number from 1, not {keep!r}")
        self.run, self.every, self.keep = run, checked_every(every), keep
        self.monitor = None if monitor is None else Monitor(monitor, mode)
        self.seconds = 0.0
        self.latest: tuple[int, int] | None = None

    def on_fit_begin(self, trainer: Trainer) -> None:
        position = trainer.next_epoch, trainer.next_batch
        there = trainer.resumed and self.run.checkpoint_path(*position).exists()
        self.latest = position if there else None

    def on_save_point(self, trainer: Trainer) -> None:
        position = trainer.next_epoch, trainer.next_batch
        after_epoch = trainer.next_batch == 0
        due = self.every is not None and trainer.global_step % self.every == 0
        if position == self.latest or not (after_epoch or due or trainer.stop):
            return
        if after_epoch and not has_finite_losses(trainer.logs):
            return
        check_weights(trainer)
        began = time.perf_counter()
        monitor = self.monitor if after_epoch and trainer.next_epoch > 0 else None
        best = monitor is not None and monitor.is_better(trainer.logs)
        state = trainer.state_dict()
        if best:  # first: the checkpoint says that it is there
            save_state(state, self.run.best_path)
        self.run.save(state, *position, self.keep)
        self.latest, self.seconds = position, time.perf_counter() - began

    def state_dict(self) -> dict[str, Any]:
        return {"best": None if self.monitor is None else self.monitor.best}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        if self.monitor is not None:
            self.monitor.best = state_dict["best"]


def check_weights(trainer: Trainer) -> None:
    """Raise NonFiniteError, naming it, if a parameter or buffer of the model holds NaN or infinity."""
    for name, tensor in trainer.model.state_dict().items():
        array = tensor.array
        if tensor.dtype in dtypes.FLOATING and not bool(tensor.backend.xp.isfinite(array).all()):
            raise NonFiniteError(
                f"{name} holds NaN or infinity after step {trainer.global_step}: training diverged (try a lower "
                "learning rate). The checkpoints before it are kept"
            )


def checked_every(every: int | None) -> int | None:
    """`every`, if it is a whole number from 1 or None."""
    if every is not None and (not isinstance(every, int) or every < 1):
        raise ArgumentError(f"every must be a whole number of steps from 1, or None, not {every!r}")
    return every
