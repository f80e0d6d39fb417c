"""The training loop: forward, loss, backward, step, and the points at which callbacks are called."""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from minigrad import ops
from minigrad.engine import no_grad
from minigrad.errors import ArgumentError, NonFiniteError
from minigrad.nn import Module
from minigrad.nn.utils import clip_grad_norm_
from minigrad.optim import Optimizer
from minigrad.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from minigrad.tensor import Tensor
from minigrad.train.callback import Callback
from minigrad.train.interrupt import deferred_interrupt
from minigrad.train.metrics import Metrics, Totals
from minigrad.train.state import restore, restore_loader, training_state

Kind = TypeVar("Kind", bound=Callback)


class Trainer:
    """Fits a model to batches (inputs, targets).

    model:      maps inputs to outputs.
    optimizer:  holds the model's parameters.
    loss:       (outputs, targets) -> tensor of one element; default cross entropy over logits.
    scheduler:  stepped after every step of the optimiser; `ScheduleEpochs` is for those stepped once an epoch.
    metrics:    names, as ["accuracy", "f1"], or {name: a Metric, or a function (outputs, targets) -> number averaged
                over examples}; see `minigrad.train.metrics`.
    callbacks:  called in order at each point, see `Callback`.
    accumulate: batches to a step: their losses are averaged, as if they were one batch. The last step of an epoch takes
                what is left.
    clip_norm:  scale the gradients of each step down to this norm, taken over all parameters; None leaves them.

    While it runs: `epoch` (from 0) and `epochs`, `batch_index` and `batches_per_epoch`, `global_step`, `batch`,
    `output`, `loss` (a number), `step_lr` (the rate of the latest step), `logs` (the epoch's numbers), `next_epoch` and
    `next_batch` (where training goes on), `resumed`. A callback may set `stop` to end training after the step.

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
        metrics: Metrics = ("accuracy",),
        callbacks: Sequence[Callback] = (),
        accumulate: int = 1,
        clip_norm: float | None = None,
    ) -> None:
        if not isinstance(accumulate, int) or accumulate < 1:
            raise ArgumentError(f"accumulate must be a whole number from 1, not {accumulate!r}")
        if clip_norm is not None and not clip_norm > 0:
            raise ArgumentError(f"clip_norm must be above 0, or None, not {clip_norm!r}")
        if isinstance(scheduler, ReduceLROnPlateau):
            raise ArgumentError(
                "ReduceLROnPlateau needs a number after each epoch: hand it to ScheduleEpochs"
            )
        self.model, self.optimizer, self.loss_fn, self.scheduler = model, optimizer, loss, scheduler
        self.callbacks, self.accumulate, self.clip_norm = list(callbacks), accumulate, clip_norm
        self.totals = Totals(metrics)
        self.epoch = self.epochs = self.batch_index = self.batches_per_epoch = self.global_step = 0
        self.next_epoch = self.next_batch = 0
        self.loader: Any = None
        self.loader_state: Any = None
        self.batch: tuple[Tensor, Tensor] | None = None
        self.output: Any = None
        self.loss, self.step_lr, self.seconds = math.nan, math.nan, 0.0
        self.logs: dict[str, Any] = {}
        self.stop = self.resumed = self.interrupted = False

    def callback(self, kind: type[Kind]) -> Kind:
        """The first callback of a kind, with what it has gathered: `trainer.callback(History).epochs`."""
        for callback in self.callbacks:
            if isinstance(callback, kind):
                return callback
        own = ", ".join(type(callback).__name__ for callback in self.callbacks) or "none"
        raise ArgumentError(f"the trainer has no callback of the kind {kind.__name__}; it has {own}")

    def fit(
        self, loader: Any, epochs: int, validation: Any = None, *, resume: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Train for `epochs` passes over `loader`, measuring on `validation` after each.

        loader:     has a length and yields (inputs, targets), as `minigrad.data.DataLoader` or a list; its
                    `set_epoch(epoch)`, if it has one, is called before each pass.
        epochs:     1 or more, those of the resumed run included.
        validation: yields (inputs, targets); None measures nothing.
        resume:     a state of such a trainer, as `RunFolder.load` gives it: training goes on from there, bit for bit,
                    given the same loaders, and the same number of threads on the same kind of machine.

        Returns the last epoch's numbers: epoch (from 1), step, train_loss, train_accuracy (measured while the weights
        changed), val_loss, val_accuracy (and other metrics likewise; matrices as lists), seconds.
        Raises NonFiniteError as soon as a batch's loss is NaN or infinite, before the weights are touched by it (the
        running averages of batch norm have seen the batch); ArgumentError for a loader without batches; StateError for
        a state that does not fit. Ctrl-C lets the step end and callbacks save, then raises KeyboardInterrupt.
        """
        if not hasattr(loader, "__len__"):
            raise ArgumentError(
                f"fit takes a loader with a length, or a list of batches, not {type(loader).__name__}"
            )
        if epochs < 1 or len(loader) < 1:
            raise ArgumentError(
                f"training needs at least one epoch and one batch, not {epochs} and {len(loader)}"
            )
        self.loader, self.epochs, self.stop, self.interrupted = loader, epochs, False, False
        if resume is not None:
            self.load_state_dict(resume)
        if self.resumed:
            restore_loader(self)
        else:
            self._start_epoch(0)
        self.batches_per_epoch = len(loader)
        with deferred_interrupt(self._interrupt):
            self._call("on_fit_begin")
            try:
                self._save_point()
                while self.next_epoch < epochs and not self.stop:
                    self.epoch = self.next_epoch
                    self._run_epoch(validation)
            finally:
                self.output, self.resumed = None, False
                self._call("on_fit_end")
        return self.logs

    def _start_epoch(self, epoch: int) -> None:
        self.next_epoch, self.next_batch, self.seconds = epoch, 0, 0.0
        self.totals.reset()

    def _run_epoch(self, validation: Any) -> None:
        began = time.perf_counter() - self.seconds
        self._train_epoch(began)
        if self.interrupted and self.stop:
            return  # the epoch has no end yet
        self.logs = {"epoch": self.epoch + 1, "step": self.global_step}
        self.logs |= {f"train_{name}": value for name, value in self.totals.results("train on").items()}
        cut_short = self.stop
        if validation is not None and not cut_short:
            self._call("on_validation_begin")
            try:
                measured = self.evaluate(validation)
            finally:
                self._call("on_validation_end")
            self.logs |= {f"val_{name}": value for name, value in measured.items()}
        self.logs["seconds"] = time.perf_counter() - began
        if not cut_short:
            self._start_epoch(self.epoch + 1)
        self._call("on_epoch_end")
        if not cut_short:
            self._save_point()

    def _train_epoch(self, began: float) -> None:
        self.model.train()
        if hasattr(self.loader, "set_epoch"):
            self.loader.set_epoch(self.epoch)
        self._call("on_epoch_begin")
        for self.batch_index, self.batch in self._batches():  # noqa: B020 (the attributes are the loop's variables)
            self._call("on_batch_begin")
            self._train_batch(*self.batch)
            self.totals.add(self.loss, self.output, self.batch[1])
            self.next_batch, self.seconds = self.batch_index + 1, time.perf_counter() - began
            self._call("on_batch_end")
            self.output = None  # let the graph and its memory go before the next batch is computed
            if self._group()[1] == self.next_batch:
                self._save_point()
                if self.stop:
                    break

    def _batches(self) -> Iterator[tuple[int, Any]]:
        """What is left of the epoch, numbered."""
        placed = hasattr(self.loader, "load_state_dict")  # then it begins in the right place by itself
        left = itertools.islice(self.loader, 0 if placed else self.next_batch, None)
        return enumerate(left, self.next_batch)

    def _group(self) -> tuple[int, int]:
        """The first batch of the current step, and the one behind its last."""
        first = self.batch_index - self.batch_index % self.accumulate
        return first, min(first + self.accumulate, self.batches_per_epoch)

    def _train_batch(self, inputs: Tensor, targets: Tensor) -> None:
        first, end = self._group()
        if self.batch_index == first:
            self.optimizer.zero_grad()
        self.output = self.model(inputs)
        loss = self.loss_fn(self.output, targets)
        self.loss = loss.item()
        if not math.isfinite(self.loss):
            raise NonFiniteError(
                f"the loss is {self.loss} at epoch {self.epoch + 1}, batch {self.batch_index + 1}: training diverged "
                "(try a lower learning rate), or the inputs hold NaN or infinity"
            )
        self._call("on_forward_end")
        (loss if end - first == 1 else loss / (end - first)).backward()
        self._call("on_backward_end")
        self.step_lr = self.optimizer.param_groups[0]["lr"]
        if self.batch_index + 1 < end:
            return
        if self.clip_norm is not None:
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            clip_grad_norm_(parameters, self.clip_norm, error_if_nonfinite=True)
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()
        self.global_step += 1
        self._call("on_step_end")

    def evaluate(self, loader: Iterable[tuple[Tensor, Tensor]]) -> dict[str, Any]:
        """Loss and metrics over all examples of a loader, in evaluation mode, without a graph.

        Returns {"loss": ..., "accuracy": ...}; every module is then in the mode it was in. Raises ArgumentError for a
        loader without batches.
        """
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        totals = copy.deepcopy(self.totals).reset()  # the training epoch's own may be in use
        try:
            with no_grad():
                for inputs, targets in loader:
                    output = self.model(inputs)
                    totals.add(self.loss_fn(output, targets).item(), output, targets)
        finally:
            for module, training in modes:
                module.training = training
        return totals.results("evaluate")

    def state_dict(self) -> dict[str, Any]:
        """All that decides how training goes on: weights, optimiser, schedule, random streams, position, callbacks.

        To be taken in `Callback.on_save_point`, when all parts belong together. Arrays share memory with what they
        describe: save or copy them before the next step.
        """
        return training_state(self)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over such a state; the next `fit` goes on from there. Raises StateError if it does not fit."""
        restore(self, state_dict)
        self.resumed = True

    def _call(self, point: str) -> None:
        for callback in self.callbacks:
            getattr(callback, point)(self)

    def _save_point(self) -> None:
        self.stop = self.stop or self.interrupted
        self._call("on_save_point")

    def _interrupt(self) -> None:
        self.interrupted = True
