"""Callbacks: what happens around training without the training loop knowing."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minigrad.train.trainer import Trainer


class Callback:
    """Base of the callbacks; each method is called at its point, with the trainer, whose attributes say where training stands."""

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Before the first batch of an epoch."""

    def on_batch_begin(self, trainer: Trainer) -> None:
        """Before a batch is computed; `trainer.batch` holds it."""

    def on_backward_end(self, trainer: Trainer) -> None:
        """When the gradients are there and the optimiser has not yet stepped; `trainer.output` holds the model's output."""

    def on_batch_end(self, trainer: Trainer) -> None:
        """After the optimiser's step; `trainer.loss` is the batch's loss."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """After validation; `trainer.logs` holds the epoch's numbers."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, also when training stopped early or was interrupted."""


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


class ProgressBar(Callback):
    """A bar over the batches of each epoch on a terminal; in a log file one line per epoch and a few in between."""

    def __init__(self, file: Any = None, lines_per_epoch: int = 4) -> None:
        self.file, self.lines_per_epoch = sys.stderr if file is None else file, lines_per_epoch
        self.bar: Any = None

    def on_epoch_begin(self, trainer: Trainer) -> None:
        self.terminal = hasattr(self.file, "isatty") and self.file.isatty()
        self.batches, self.mean_loss, self.began = 0, 0.0, time.perf_counter()
        if self.terminal:
            from tqdm import tqdm

            self.bar = tqdm(total=trainer.batches_per_epoch, desc=f"epoch {trainer.epoch + 1}/{trainer.epochs}", file=self.file, leave=False)

    def on_batch_end(self, trainer: Trainer) -> None:
        self.batches += 1
        self.mean_loss += (trainer.loss - self.mean_loss) / min(self.batches, 50)
        if self.terminal:
            self.bar.set_postfix(loss=f"{self.mean_loss:.4f}", lr=f"{trainer.step_lr:.2g}", refresh=False)
            self.bar.update()
        elif self.batches % max(1, -(-trainer.batches_per_epoch // self.lines_per_epoch)) == 0 and self.batches < trainer.batches_per_epoch:
            rate = (time.perf_counter() - self.began) / self.batches
            print(
                f"epoch {trainer.epoch + 1}/{trainer.epochs}  batch {self.batches}/{trainer.batches_per_epoch}  "
                f"loss {self.mean_loss:.4f}  {rate * 1000:.0f} ms a batch",
                file=self.file,
                flush=True,
            )

    def on_epoch_end(self, trainer: Trainer) -> None:
        self._close()
        numbers = "  ".join(f"{name} {value:.4f}" for name, value in trainer.logs.items() if name not in ("epoch", "seconds"))
        print(f"epoch {trainer.epoch + 1}/{trainer.epochs}  {numbers}  {trainer.logs['seconds']:.1f} s", file=self.file, flush=True)

    def on_fit_end(self, trainer: Trainer) -> None:
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
