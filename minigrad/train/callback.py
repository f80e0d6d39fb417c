"""Callbacks: what happens around training without the training loop knowing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from minigrad.train.trainer import Trainer


class Callback:
    """Base of the callbacks: each method is called at its point, with the trainer, whose attributes tell the rest.

    What a callback gathers over a run, and a resumed run must know, it returns from `state_dict`.
    """

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Before the first epoch. If `trainer.resumed`, all states have been loaded by then."""

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Before an epoch's first batch, or the first that is left where a run is resumed within an epoch
        (`trainer.next_batch` tells); the model is in training mode."""

    def on_batch_begin(self, trainer: Trainer) -> None:
        """Before a batch is computed; `trainer.batch` holds it."""

    def on_forward_end(self, trainer: Trainer) -> None:
        """When `trainer.output` and `trainer.loss` are there, and no gradient yet."""

    def on_backward_end(self, trainer: Trainer) -> None:
        """When the batch's gradients are there, or added to those before, and the optimiser has not yet stepped."""

    def on_step_end(self, trainer: Trainer) -> None:
        """After the optimiser's step; the gradients it saw, clipped, are still there."""

    def on_batch_end(self, trainer: Trainer) -> None:
        """After a batch; `trainer.loss` is its loss, `trainer.output` still its output."""

    def on_validation_begin(self, trainer: Trainer) -> None:
        """Before the epoch's validation."""

    def on_validation_end(self, trainer: Trainer) -> None:
        """After the epoch's validation, also one that failed."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """After validation, or without one after an epoch cut short by `stop`; `trainer.logs` holds the numbers. An
        epoch that the user interrupts has no end."""

    def on_save_point(self, trainer: Trainer) -> None:
        """Before the first step, after each step and after each epoch, when all callbacks have seen it: what
        `trainer.state_dict()` says now belongs together."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, also when training stopped early, failed or was interrupted."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know: nested dictionaries and lists of arrays, numbers and texts."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned, which was not empty."""


class History(Callback):
    """Keeps the loss and rate of every batch, and the numbers of every epoch.

    steps:  {"loss": [...], "lr": [...]}, one entry per batch (that is, per step, unless gradients are accumulated).
    epochs: one dictionary per epoch, as `trainer.logs`.
    """

    def __init__(self) -> None:
        self.steps: dict[str, list[float]] = {"loss": [], "lr": []}
        self.epochs: list[dict[str, Any]] = []

    def on_batch_end(self, trainer: Trainer) -> None:
        self.steps["loss"].append(trainer.loss)
        self.steps["lr"].append(trainer.step_lr)

    def on_epoch_end(self, trainer: Trainer) -> None:
        self.epochs.append(dict(trainer.logs))

    def state_dict(self) -> dict[str, Any]:
        # As arrays: a long run's losses would take a while as JSON
        return {
            "steps": {name: np.array(values) for name, values in self.steps.items()},
            "epochs": self.epochs,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.steps = {name: array.tolist() for name, array in state_dict["steps"].items()}
        self.epochs = [dict(epoch) for epoch in state_dict["epochs"]]
