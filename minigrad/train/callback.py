"""Callbacks: what happens around training without the training loop knowing."""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minigrad.serialization import save

if TYPE_CHECKING:
    from minigrad.train.trainer import Trainer


class Callback:
    """Base of the callbacks: each method is called at its point, with the trainer, whose attributes tell the rest."""

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Before the first batch of an epoch; the model is in training mode."""

    def on_batch_begin(self, trainer: Trainer) -> None:
        """Before a batch is computed; `trainer.batch` holds it."""

    def on_backward_end(self, trainer: Trainer) -> None:
        """When gradients are there and the optimiser has not yet stepped; `trainer.output` holds the outputs."""

    def on_batch_end(self, trainer: Trainer) -> None:
        """After the optimiser's step; `trainer.loss` is the batch's loss."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """After validation; `trainer.logs` holds the epoch's numbers."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, also when training stopped early, failed or was interrupted."""


class History(Callback):
    """Keeps the loss and rate of every step, and the numbers of every epoch.

    steps:  {"loss": [...], "lr": [...]}, one entry per step.
    epochs: one dictionary per epoch, as `trainer.logs`.
    """

    def __init__(self) -> None:
        self.steps: dict[str, list[float]] = {"loss": [], "lr": []}
        self.epochs: list[dict[str, float]] = []

    def on_batch_end(self, trainer: Trainer) -> None:
        self.steps["loss"].append(trainer.loss)
        self.steps["lr"].append(trainer.step_lr)

    def on_epoch_end(self, trainer: Trainer) -> None:
        self.epochs.append(dict(trainer.logs))


class Checkpoint(Callback):
    """Keeps the model's state in a file: as it was before training, then as it is after each epoch.

    path: of a safetensors file, which is replaced as a whole each time.

    An epoch with a loss that is not finite is left out, so that the file always holds a state worth going back to:
    `model.load_state_dict(mg.load(path))`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def on_fit_begin(self, trainer: Trainer) -> None:
        save(trainer.model.state_dict(), self.path)

    def on_epoch_end(self, trainer: Trainer) -> None:
        if all(math.isfinite(value) for value in trainer.logs.values()):
            save(trainer.model.state_dict(), self.path)


class ProgressBar(Callback):
    """A bar over the batches of each epoch on a terminal; elsewhere (in a log file) a line per epoch and a few in
    between.

    file:            where to; default standard error.
    lines_per_epoch: about how many lines an epoch gets where there is no terminal.
    """

    def __init__(self, file: Any = None, lines_per_epoch: int = 4) -> None:
        self.file, self.lines_per_epoch = sys.stderr if file is None else file, lines_per_epoch
        self.bar: Any = None

    def on_epoch_begin(self, trainer: Trainer) -> None:
        self.batches, self.mean_loss, self.began = 0, 0.0, time.perf_counter()
        if hasattr(self.file, "isatty") and self.file.isatty():
            from tqdm import tqdm

            total, title = trainer.batches_per_epoch, self._title(trainer)
            self.bar = tqdm(total=total, desc=title, file=self.file, leave=False)

    def on_batch_end(self, trainer: Trainer) -> None:
        self.batches += 1
        self.mean_loss += (trainer.loss - self.mean_loss) / min(self.batches, 50)
        total = trainer.batches_per_epoch
        if self.bar is not None:
            self.bar.set_postfix(loss=f"{self.mean_loss:.4f}", lr=f"{trainer.step_lr:.2g}", refresh=False)
            self.bar.update()
        elif self.batches % -(-total // self.lines_per_epoch) == 0 and self.batches < total:
            milliseconds = 1000 * (time.perf_counter() - self.began) / self.batches
            self._print(
                f"{self._title(trainer)}  batch {self.batches}/{total}  loss {self.mean_loss:.4f}  "
                f"{milliseconds:.0f} ms a batch"
            )

    def on_epoch_end(self, trainer: Trainer) -> None:
        self._close()
        shown = {
            name: value for name, value in trainer.logs.items() if name not in ("epoch", "step", "seconds")
        }
        numbers = "  ".join(f"{name} {value:.4f}" for name, value in shown.items())
        self._print(f"{self._title(trainer)}  {numbers}  {trainer.logs['seconds']:.1f} s")

    def on_fit_end(self, trainer: Trainer) -> None:
        self._close()

    def _title(self, trainer: Trainer) -> str:
        return f"epoch {trainer.epoch + 1}/{trainer.epochs}"

    def _print(self, line: str) -> None:
        print(line, file=self.file, flush=True)

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
