"""The training loop: forward, loss, backward, step, and the points at which callbacks are called."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from minigrad import ops
from minigrad.engine import no_grad
from minigrad.errors import ArgumentError, NonFiniteError
from minigrad.nn import Module
from minigrad.optim import Optimizer
from minigrad.optim.lr_scheduler import LRScheduler
from minigrad.tensor import Tensor
from minigrad.train.callback import Callback
from minigrad.train.metrics import accuracy


class Trainer:
    """Fits a model to batches (inputs, targets).

    Parameters
        model: maps inputs to outputs.
        optimizer: holds the model's parameters.
        loss: (outputs, targets) -> tensor of one element; default cross entropy over logits.
        scheduler: stepped after every batch.
        metrics: {name: (outputs, targets) -> number}, averaged over examples; default accuracy.
        callbacks: called in order at each point.

    While it runs: `epoch` and `epochs`, `batch_index` and `batches_per_epoch`, `global_step`, `batch`, `output`, `loss` (a number), `step_lr`
    (the rate of the latest step), `logs` (the epoch's numbers); a callback may set `stop` to end training after the batch.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss: Callable[[Tensor, Tensor], Tensor] = ops.cross_entropy,
        *,
        scheduler: LRScheduler | None = None,
        metrics: Mapping[str, Callable[[Tensor, Tensor], float]] | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.model, self.optimizer, self.loss_fn, self.scheduler = model, optimizer, loss, scheduler
        self.metrics = dict(metrics) if metrics is not None else {"accuracy": accuracy}
        self.callbacks = list(callbacks)
        self.epoch = self.epochs = self.batch_index = self.batches_per_epoch = self.global_step = 0
        self.batch: tuple[Tensor, Tensor] | None = None
        self.output: Tensor | None = None
        self.loss, self.step_lr = math.nan, math.nan
        self.logs: dict[str, float] = {}
        self.stop = False

    def fit(self, loader: Any, epochs: int, validation: Any = None) -> dict[str, float]:
        """Train for `epochs` passes over `loader`, measuring on `validation` after each; returns the last epoch's numbers.

        A loader has a length and yields (inputs, targets); its `set_epoch(epoch)`, if it has one, is called before each pass.
        Raises NonFiniteError as soon as a loss is NaN or infinite, before the weights are touched.
        """
        if epochs < 1 or len(loader) < 1:
            raise ArgumentError(f"training needs at least one epoch and one batch, not {epochs} and {len(loader)}")
        self.epochs, self.batches_per_epoch, self.stop = epochs, len(loader), False
        self._call("on_fit_begin")
        try:
            for self.epoch in range(epochs):
                began = time.perf_counter()
                train = self._train_epoch(loader)
                held_out = self.evaluate(validation) if validation is not None and not self.stop else {}
                self.logs = {
                    "epoch": self.epoch + 1,
                    **{f"train_{name}": value for name, value in train.items()},
                    **{f"val_{name}": value for name, value in held_out.items()},
                    "seconds": time.perf_counter() - began,
                }
                self._call("on_epoch_end")
                if self.stop:
                    break
        finally:
            self._call("on_fit_end")
        return self.logs

    def _train_epoch(self, loader: Any) -> dict[str, float]:
        self.model.train()
        if hasattr(loader, "set_epoch"):
            loader.set_epoch(self.epoch)
        self._call("on_epoch_begin")
        totals, count = dict.fromkeys(("loss", *self.metrics), 0.0), 0
        for self.batch_index, self.batch in enumerate(loader):
            self._call("on_batch_begin")
            self._train_batch(*self.batch)
            n = len(self.batch[1])
            count += n
            totals["loss"] += n * self.loss
            for name, metric in self.metrics.items():
                totals[name] += n * metric(self.output, self.batch[1])
            self._call("on_batch_end")
            self.output = None  # let the graph and its memory go before the next batch is computed
            if self.stop:
                break
        return {name: total / count for name, total in totals.items()}

    def _train_batch(self, inputs: Tensor, targets: Tensor) -> None:
        self.optimizer.zero_grad()
        self.output = self.model(inputs)
        loss = self.loss_fn(self.output, targets)
        self.loss = loss.item()
        if not math.isfinite(self.loss):
            raise NonFiniteError(
                f"the loss is {self.loss} at epoch {self.epoch + 1}, batch {self.batch_index + 1}: training diverged "
                "(try a lower learning rate), or the inputs hold NaN or infinity"
            )
        loss.backward()
        self._call("on_backward_end")
        self.step_lr = self.optimizer.param_groups[0]["lr"]
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()
        self.global_step += 1

    def evaluate(self, loader: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
        """Loss and metrics over all examples of a loader, in evaluation mode, without a graph."""
        was_training = self.model.training
        self.model.eval()
        totals, count = dict.fromkeys(("loss", *self.metrics), 0.0), 0
        with no_grad():
            for inputs, targets in loader:
                output, n = self.model(inputs), len(targets)
                count += n
                totals["loss"] += n * self.loss_fn(output, targets).item()
                for name, metric in self.metrics.items():
                    totals[name] += n * metric(output, targets)
        self.model.train(was_training)
        if count == 0:
            raise ArgumentError("there is nothing to evaluate: the loader yields no examples")
        return {name: total / count for name, total in totals.items()}

    def _call(self, point: str) -> None:
        for callback in self.callbacks:
            getattr(callback, point)(self)
