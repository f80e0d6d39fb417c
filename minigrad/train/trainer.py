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

    model:     maps inputs to outputs.
    optimizer: holds the model's parameters.
    loss:      (outputs, targets) -> tensor of one element; default cross entropy over logits.
    scheduler: stepped after every batch.
    metrics:   {name: (outputs, targets) -> number}, averaged over examples; default {"accuracy": accuracy}.
    callbacks: called in order at each point, see `Callback`.

    While it runs: `epoch` (from 0) and `epochs`, `batch_index` and `batches_per_epoch`, `global_step`, `batch`,
                   `output`,
    `loss` (a number), `step_lr` (the rate of the latest step), `logs` (the epoch's numbers). A callback may set `stop`
    to end training after the batch.

    >>> import minigrad as mg
    >>> batches = [(mg.tensor([[1.0, 0.0], [0.0, 1.0]]), mg.tensor([1, 0]))]
    >>> model = mg.nn.Linear(2, 2)
    >>> logs = Trainer(model, mg.optim.SGD(model.parameters(), lr=1.0)).fit(batches, epochs=20, validation=batches)
    >>> logs["val_accuracy"]
    1.0
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
        self.output: Any = None
        self.loss, self.step_lr = math.nan, math.nan
        self.logs: dict[str, float] = {}
        self.stop = False

    def fit(self, loader: Any, epochs: int, validation: Any = None) -> dict[str, float]:
        """Train for `epochs` passes over `loader`, measuring on `validation` after each.

        loader:     has a length and yields (inputs, targets), as `minigrad.data.DataLoader` or a list; its
                    `set_epoch(epoch)`, if it has one, is called before each pass.
        epochs:     1 or more.
        validation: yields (inputs, targets); None measures nothing.

        Returns the last epoch's numbers: epoch (from 1), step, train_loss, train_accuracy (measured while the weights
        changed), val_loss, val_accuracy (and other metrics likewise), seconds.
        Raises NonFiniteError as soon as a batch's loss is NaN or infinite, before the weights are touched by it (the
        running averages of batch norm have seen the batch); ArgumentError for a loader without batches.
        """
        if not hasattr(loader, "__len__"):
            raise ArgumentError(
                f"fit takes a loader with a length, or a list of batches, not {type(loader).__name__}"
            )
        if epochs < 1 or len(loader) < 1:
            raise ArgumentError(
                f"training needs at least one epoch and one batch, not {epochs} and {len(loader)}"
            )
        self.epochs, self.batches_per_epoch, self.stop = epochs, len(loader), False
        self._call("on_fit_begin")
        try:
            for self.epoch in range(epochs):
                began = time.perf_counter()
                train = self._train_epoch(loader)
                held_out = self.evaluate(validation) if validation is not None and not self.stop else {}
                self.logs = {
                    "epoch": self.epoch + 1,
                    "step": self.global_step,
                    **{f"train_{name}": value for name, value in train.items()},
                    **{f"val_{name}": value for name, value in held_out.items()},
                    "seconds": time.perf_counter() - began,
                }
                self._call("on_epoch_end")
                if self.stop:
                    break
        finally:
            self.output = None
            self._call("on_fit_end")
        return self.logs

    def _train_epoch(self, loader: Any) -> dict[str, float]:
        self.model.train()
        if hasattr(loader, "set_epoch"):
            loader.set_epoch(self.epoch)
        self._call("on_epoch_begin")
        total = _Total(self.metrics)
        for self.batch_index, self.batch in enumerate(loader):
            self._call("on_batch_begin")
            inputs, targets = self.batch
            self._train_batch(inputs, targets)
            total.add(self.loss, self.output, targets)
            self._call("on_batch_end")
            self.output = None  # let the graph and its memory go before the next batch is computed
            if self.stop:
                break
        return total.means("train on")

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
        """Loss and metrics over all examples of a loader, in evaluation mode, without a graph.

        Returns {"loss": ..., "accuracy": ...}; every module is then in the mode it was in. Raises ArgumentError for a
        loader without batches.
        """
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        total = _Total(self.metrics)
        try:
            with no_grad():
                for inputs, targets in loader:
                    output = self.model(inputs)
                    total.add(self.loss_fn(output, targets).item(), output, targets)
        finally:
            for module, training in modes:
                module.training = training
        return total.means("evaluate")

    def _call(self, point: str) -> None:
        for callback in self.callbacks:
            getattr(callback, point)(self)


class _Total:
    """Loss and metrics summed over batches, each counted as often as it has examples."""

    def __init__(self, metrics: Mapping[str, Callable[[Tensor, Tensor], float]]) -> None:
        self.metrics, self.count = metrics, 0
        self.sums = dict.fromkeys(("loss", *metrics), 0.0)

    def add(self, loss: float, output: Tensor, targets: Tensor) -> None:
        n = len(targets)
        self.count += n
        self.sums["loss"] += n * loss
        for name, metric in self.metrics.items():
            self.sums[name] += n * float(metric(output, targets))

    def means(self, purpose: str) -> dict[str, float]:
        if self.count == 0:
            raise ArgumentError(f"there is nothing to {purpose}: the loader yields no examples")
        return {name: total / self.count for name, total in self.sums.items()}
