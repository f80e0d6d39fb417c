"""The recorder: a whole run, step by step, in its folder."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.errors import ArgumentError, DataError, RuleBroken, RuleWarning
from minigrad.nn.module import Module
from minigrad.optim.optimizer import Optimizer
from minigrad.record.configuration import RecorderConfiguration
from minigrad.record.database import FolderLock
from minigrad.record.facts import Facts
from minigrad.record.recording import Recording
from minigrad.record.rules import Rule, RuleBook
from minigrad.record.schema import DATABASE
from minigrad.record.writer import RunWriter
from minigrad.train.callback import Callback
from minigrad.train.run_callbacks import RunCheckpoint
from minigrad.train.run_folder import RunFolder, set_record_aside

if TYPE_CHECKING:
    from minigrad.train.trainer import Trainer


class Recorder(Callback):
    """Records a training run, to be opened then or meanwhile: `mg.record.open(run)`, `python -m minigrad view run`.

    As a callback of a Trainer:

        Trainer(model, optimizer, callbacks=[Recorder("runs/one", probe=(images, labels))]).fit(loader, 5)

    In a loop of one's own:

        with Recorder("runs/one", model=model, optimizer=optimizer) as recorder:
            for epoch in range(5):
                for inputs, targets in loader:
                    with recorder.step() as step:
                        optimizer.zero_grad()
                        loss = F.cross_entropy(model(inputs), targets)
                        loss.backward()
                        optimizer.step()
                        step.loss = loss.item()
                recorder.end_epoch({"val_accuracy": ...})

    run:           the run's folder: a path, or a RunFolder.
    configuration: what is written, and how often: see RecorderConfiguration.
    probe:         (inputs, targets), a fixed set of examples: outputs on it are kept, and influence is held against the
                   truth on it.
    loss:          of the probe, a function (outputs, targets); by default the trainer's, or cross entropy.
    rules:         assertions over time, see `minigrad.record.always`.
    model, optimizer: for a loop of one's own.
    settings:      what the run was asked for, in JSON's types, to stand in the record.

    Recording changes no bits of what is computed. A trainer that resumes goes on with the record where its checkpoint
    was taken; else a record that is in the folder is moved to `before/`. When the disk is full, recording stops with a
    warning, and training goes on. With gradient accumulation a step's loss is the mean over its batches and its samples
    are those of all; the last batch is where layers and units are looked at. What is recorded is safe before a
    RunCheckpoint writes a checkpoint, so that a killed run goes on without a hole.
    Raises ArgumentError for settings that do not fit, DataError if the folder cannot be written; RuleBroken, in a loop
    of one's own, where a rule says "stop" (a Trainer ends its training after the step instead).
    """

    def __init__(
        self,
        run: str | os.PathLike[str] | RunFolder,
        configuration: RecorderConfiguration | None = None,
        *,
        probe: tuple[Any, Any] | None = None,
        loss: Callable[..., Any] | None = None,
        rules: Iterable[Rule] = (),
        model: Module | None = None,
        optimizer: Optimizer | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = run.path if isinstance(run, RunFolder) else Path(run)
        self.settings = dict(
            settings if settings is not None else run.config if isinstance(run, RunFolder) else {}
        )
        self.configuration = RecorderConfiguration() if configuration is None else configuration
        if not isinstance(self.configuration, RecorderConfiguration):
            raise ArgumentError(f"configuration is a RecorderConfiguration, not {self.configuration!r:.80}")
        if probe is not None and (not isinstance(probe, (tuple, list)) or len(probe) != 2):
            raise ArgumentError("probe is a pair (inputs, targets)")
        self.probe, self.loss, self.rules = probe, loss, list(rules)
        self.model, self.optimizer = model, optimizer
        self.steps = 0
        self._recording: Recording | None = None
        self._book = RuleBook(self.rules)
        self._losses: list[float] = []  # of the batches of a step, and their samples
        self._ids: list[Any] = []
        self._epochs = 0

    # ------------------------------------------------ from beginning to end

    @property
    def writer(self) -> RunWriter:
        """What the numbers are written with; for numbers of one's own."""
        return self._open().writer

    @property
    def failed(self) -> str | None:
        """Why the recording stopped, or None."""
        return None if self._recording is None else self._recording.writer.failed

    def _open(self) -> Recording:
        if self._recording is None:
            raise ArgumentError("the recorder has not begun: use it as a callback, or in a `with` block")
        return self._recording

    def _begin(self, model: Module, optimizer: Optimizer | None, loss: Any, step: int, resumed: bool) -> None:
        self._book.begin()
        self._epochs = 0
        if resumed and (self.folder / DATABASE).is_file():
            writer = RunWriter.resume(self.folder, step)
        else:
            try:
                if self.folder.is_dir():
                    FolderLock(self.folder).release()  # nobody records into it now
                    set_record_aside(self.folder)
            except OSError as error:
                raise DataError(f"cannot record into {self.folder}: {error.strerror or error}") from error
            settings = {"recorder": self.configuration.as_dict(), "settings": self.settings}
            writer = RunWriter(self.folder, settings, str(model))
        try:
            recording = Recording(writer, self.configuration, model, optimizer, self.probe, loss, step)
            self._require_signals(recording)
            self._recording, self.steps = recording, step
            if step == 0:
                recording.start()
        except BaseException:
            writer.close()
            raise

    def _require_signals(self, recording: Recording) -> None:
        c, layers = self.configuration, sorted(recording.layers.paths)
        full = c.full_every is not None
        self._book.require_signals(
            {
                "parameters": recording.parameters.names if full or c.statistics_every else [],
                "layers": layers if full or c.layers_every else [],
                "units": layers if full else [],
            }
        )

    def close(self) -> None:
        """Write what is waiting; the record is then complete."""
        if self._recording is not None:
            self._recording.abandon()
            self._recording.writer.close()
            self._recording = None

    def _check_rules(self, facts: Facts) -> str | None:
        """Write what the rules say of a step; returns the text of the first that stops."""
        stop, findings = None, self._book.check(facts)
        for finding in findings:
            self.writer.note(
                facts.step,
                finding.severity,
                finding.rule,
                finding.text,
                signal=finding.signal,
                unit=finding.unit,
            )
            if finding.severity == "stop":
                stop = stop or finding.text
        for finding in findings:  # a warning may be an error
            if finding.severity == "warning":
                finding.tell()
        return stop

    # ------------------------------------------------ a loop of one's own

    def __enter__(self) -> Recorder:
        if self.model is None:
            raise ArgumentError(
                "in a loop of your own, give the recorder its model: Recorder(run, model=model)"
            )
        self._begin(self.model, self.optimizer, self.loss, 0, resumed=False)
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextmanager
    def step(
        self, *, epoch: int | None = None, batch: int | None = None, samples: Any = None
    ) -> Iterator[Step]:
        """Record the step that runs within the block: forward, backward and the optimiser's step.

        epoch, batch: where it stands. samples: which samples of the data set its batch holds, whole numbers.
        Yields a Step, whose `loss` is to be set.
        """
        recording, told = self._open(), Step()
        recording.begin(self.steps + 1)
        try:
            yield told
        except BaseException:
            recording.abandon()
            raise
        self.steps += 1
        facts = recording.end(self.steps, told.loss, epoch=epoch, batch=batch, samples=samples)
        if (stop := self._check_rules(facts)) is not None:
            raise RuleBroken(stop)

    def end_epoch(self, numbers: Mapping[str, Any] | None = None, epoch: int | None = None) -> None:
        """An epoch has ended; `numbers` are its metrics, `epoch` its number, from 1 (by default the next)."""
        self._epochs = self._epochs + 1 if epoch is None else epoch
        self._open().end_epoch(self._epochs, self.steps, numbers or {})

    # ------------------------------------------------ as a callback

    def on_fit_begin(self, trainer: Trainer) -> None:
        loss = trainer.loss_fn if self.loss is None else self.loss
        self._begin(trainer.model, trainer.optimizer, loss, trainer.global_step, trainer.resumed)

    def on_batch_begin(self, trainer: Trainer) -> None:
        again = trainer.batch_index % trainer.accumulate != 0
        if not again:
            self._losses, self._ids = [], []
        if hasattr(trainer.loader, "sample_ids"):
            self._ids.append(trainer.loader.sample_ids(trainer.epoch, trainer.batch_index))
        self._open().begin(trainer.global_step + 1, again)

    def on_forward_end(self, trainer: Trainer) -> None:
        self._losses.append(trainer.loss)

    def on_step_end(self, trainer: Trainer) -> None:
        facts = self._open().end(
            trainer.global_step,
            sum(self._losses) / len(self._losses),
            epoch=trainer.epoch + 1,
            batch=trainer.batch_index,
            samples=np.concatenate(self._ids) if self._ids else None,
        )
        self.steps = trainer.global_step
        if (stop := self._check_rules(facts)) is not None:
            trainer.stop = True
            warnings.warn(f"{stop}: training ends", RuleWarning, stacklevel=2)

    def on_batch_end(self, trainer: Trainer) -> None:
        for callback in trainer.callbacks:  # what a checkpoint goes on from must be in the record
            if isinstance(callback, RunCheckpoint):
                due = callback.every is not None and trainer.global_step % callback.every == 0
                if due or trainer.stop:
                    self._open().writer.flush()

    def on_validation_begin(self, trainer: Trainer) -> None:
        self._open().abandon()

    def on_epoch_end(self, trainer: Trainer) -> None:
        self._open().end_epoch(trainer.logs["epoch"], trainer.global_step, trainer.logs)
        self._open().writer.flush()

    def on_fit_end(self, trainer: Trainer) -> None:
        self.close()


class Step:
    """What a loop of one's own tells of a step: its loss, a number."""

    loss: float | None = None
