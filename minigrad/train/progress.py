"""How far training is: a bar on a terminal, lines in a log file."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from minigrad.train.callback import Callback

if TYPE_CHECKING:
    from minigrad.train.trainer import Trainer


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

            self.bar = tqdm(
                total=trainer.batches_per_epoch,
                initial=trainer.next_batch,
                desc=self._title(trainer),
                file=self.file,
                leave=False,
            )

    def on_batch_end(self, trainer: Trainer) -> None:
        self.batches += 1
        self.mean_loss += (trainer.loss - self.mean_loss) / min(self.batches, 50)
        done, total = trainer.next_batch, trainer.batches_per_epoch
        if self.bar is not None:
            self.bar.set_postfix(loss=f"{self.mean_loss:.4f}", lr=f"{trainer.step_lr:.2g}", refresh=False)
            self.bar.update()
        elif done % -(-total // self.lines_per_epoch) == 0 and done < total:
            milliseconds = 1000 * (time.perf_counter() - self.began) / self.batches
            self._print(
                f"{self._title(trainer)}  batch {done}/{total}  loss {self.mean_loss:.4f}  "
                f"{milliseconds:.0f} ms a batch"
            )

    def on_epoch_end(self, trainer: Trainer) -> None:
        self._close()
        numbers = [
            f"{name} {value:.4f}"
            for name, value in trainer.logs.items()
            if name not in ("epoch", "step", "seconds") and isinstance(value, (int, float))
        ]
        self._print("  ".join([self._title(trainer), *numbers, f"{trainer.logs['seconds']:.1f} s"]))

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
