"""Callbacks that keep weights: in a file, as an average, or as they were at their best."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.optim import ExponentialMovingAverage
from minigrad.serialization import save
from minigrad.train.callback import Callback

if TYPE_CHECKING:
    from minigrad.train.trainer import Trainer


class Checkpoint(Callback):
    """Keeps the model's state in a file: as it was before training, then as it is after each epoch.

    path: of a safetensors file, which is replaced as a whole each time.

    An epoch with a loss that is not finite is left out, so that the file always holds a state worth going back to:
    `model.load_state_dict(mg.load(path))`. To go on with the training itself, use `RunCheckpoint`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def on_fit_begin(self, trainer: Trainer) -> None:
        save(trainer.model.state_dict(), self.path)

    def on_epoch_end(self, trainer: Trainer) -> None:
        if has_finite_losses(trainer.logs):
            save(trainer.model.state_dict(), self.path)


def has_finite_losses(logs: Mapping[str, Any]) -> bool:
    """Whether no loss among an epoch's numbers is NaN or infinite."""
    return all(math.isfinite(logs[name]) for name in ("train_loss", "val_loss") if name in logs)


class Monitor:
    """Tells when one of an epoch's numbers is better than ever.

    name:      of the number, as "val_loss".
    mode:      "min" or "max", which is better; "auto": "min" for losses and perplexities, else "max".
    min_delta: by how much it must be better, >= 0.

    >>> monitor = Monitor("val_loss", min_delta=0.1)
    >>> [monitor.is_better({"val_loss": loss}) for loss in (1.0, 0.95, 0.8)]
    [True, False, True]
    """

    def __init__(self, name: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            raise ArgumentError(f'mode must be "auto", "min" or "max", not {mode!r}')
        if not min_delta >= 0:
            raise ArgumentError(f"min_delta must be >= 0, not {min_delta!r}")
        falls = name.endswith(("loss", "perplexity")) if mode == "auto" else mode == "min"
        self.name, self.sign, self.min_delta = name, -1 if falls else 1, min_delta
        self.best: float | None = None

    def is_better(self, logs: Mapping[str, Any]) -> bool:
        """Take note of an epoch's numbers; NaN is never better. Raises ArgumentError if the name is not among them."""
        value = logs.get(self.name)
        if not isinstance(value, (int, float)):
            numbers = ", ".join(name for name, value in logs.items() if isinstance(value, (int, float)))
            raise ArgumentError(f"an epoch has no number {self.name!r} to monitor; it has {numbers}")
        better = not math.isnan(value) and (
            self.best is None or self.sign * (value - self.best) > self.min_delta
        )
        if better:
            self.best = float(value)
        return better


class EarlyStopping(Callback):
    """Ends training when an epoch's number has not got better for a while, and goes back to the best weights.

    monitor:      the number's name in `trainer.logs`.
    patience:     training ends after this many epochs without improvement, from 1; None never ends it.
    min_delta:    what counts as better, and which way; see `Monitor`.
    mode:         likewise.
    restore_best: put the weights (and buffers) of the best epoch into the model when training ends, for whatever
                  reason.

    best, best_epoch: the best number, and the epoch, from 1, it was reached in; None before the first epoch's end.

    Epochs cut short, which have not been validated, do not count.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int | None = 5,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        if patience is not None and (not isinstance(patience, int) or patience < 1):
            raise ArgumentError(f"patience must be a whole number from 1, or None, not {patience!r}")
        self.monitor = Monitor(monitor, mode, min_delta)
        self.patience, self.restore_best = patience, restore_best
        self._forget()

    @property
    def best(self) -> float | None:
        """The best number so far."""
        return self.monitor.best

    def _forget(self) -> None:
        self.monitor.best, self.waited = None, 0
        self.best_epoch: int | None = None
        self.best_weights: dict[str, np.ndarray] = {}

    def on_fit_begin(self, trainer: Trainer) -> None:
        if not trainer.resumed:
            self._forget()
        trainer.stop = trainer.stop or self._is_over()  # that of a run that had ended, and is resumed

    def on_epoch_end(self, trainer: Trainer) -> None:
        if trainer.next_batch:  # cut short
            return
        if has_finite_losses(trainer.logs) and self.monitor.is_better(trainer.logs):
            self.best_epoch, self.waited = trainer.epoch + 1, 0
            if self.restore_best:
                state = trainer.model.state_dict()
                self.best_weights = {name: t.numpy().copy() for name, t in state.items()}
        else:
            self.waited += 1
        trainer.stop = trainer.stop or self._is_over()

    def _is_over(self) -> bool:
        return self.patience is not None and self.waited >= self.patience

    def on_fit_end(self, trainer: Trainer) -> None:
        if self.best_weights:
            trainer.model.load_state_dict(self.best_weights)

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self.monitor.best,
            "best_epoch": self.best_epoch,
            "waited": self.waited,
            "best_weights": self.best_weights,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.monitor.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]
        self.waited, self.best_weights = state_dict["waited"], dict(state_dict["best_weights"])


class WeightAverage(Callback):
    """Updates a moving average of the weights after each step, and lends it to the model for each epoch's validation.

    average: an `ExponentialMovingAverage` of the trainer's model.

    After training the model has its own weights, and `with average.average_parameters(): ...` lends it the average.
    What other callbacks keep of the model (`EarlyStopping`, `Checkpoint`) are its own weights, too.
    """

    def __init__(self, average: ExponentialMovingAverage) -> None:
        self.average, self._lent = average, ExitStack()

    def on_step_end(self, trainer: Trainer) -> None:
        self.average.update()

    def on_validation_begin(self, trainer: Trainer) -> None:
        self._lent.enter_context(self.average.average_parameters())

    def on_validation_end(self, trainer: Trainer) -> None:
        self._lent.close()

    def state_dict(self) -> dict[str, Any]:
        return self.average.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.average.load_state_dict(state_dict)
