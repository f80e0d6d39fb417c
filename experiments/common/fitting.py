"""Training in a run folder, which can be stopped, killed and resumed, and which keeps what was learnt in any case."""

from __future__ import annotations

import math
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import minigrad as mg
from common.distributing import OverRanks, open_on_ranks
from common.options import settings_of
from common.schedules import SCHEDULES
from minigrad import distributed, nn
from minigrad.data import DataLoader
from minigrad.errors import NonFiniteError
from minigrad.nn import functional as F
from minigrad.optim import Optimizer
from minigrad.record import Recorder
from minigrad.train import (
    Callback,
    Checkpoint,
    EarlyStopping,
    History,
    ProgressBar,
    RunCheckpoint,
    RunFolder,
    RunLog,
    Trainer,
)

_PROBE = 256  # examples, on which a recorder looks at the outputs


class Fitted(NamedTuple):
    """What came of training.

    history:    its numbers.
    seconds:    how long it took, with what was before a resume.
    stopped:    why it ended before its time, or "".
    best_epoch: the one whose weights were kept, from 1; None for the last ones.
    """

    history: History
    seconds: float
    stopped: str
    best_epoch: int | None


def fit(
    options: Namespace,
    model: nn.Module,
    optimizer: Optimizer,
    train: DataLoader,
    watched: DataLoader,
    out: Path,
    *,
    loss: Callable = F.cross_entropy,
    metrics: Any = ("accuracy",),
    keep_best: str | None = None,
    callbacks: Sequence[Callback] = (),
) -> Fitted:
    """Train `model` as the options say; it then has the weights to be judged, which lie in `out`/model.safetensors.

    watched:   measured after each epoch.
    keep_best: the name of a number of an epoch, as "val_accuracy": take the weights of the epoch that is best by it,
               and heed --patience. None: take the last ones.
    callbacks: further ones, such as a Recorder.

    The run is kept in `out`/run, from which --resume goes on. Where several processes learn together, all of them call
    this, and rank 0 writes.
    """
    weights, main = out / "model.safetensors", distributed.is_main()
    run, state = open_on_ranks(open_run, out / "run", settings_of(options), options.resume)
    history, best = History(), EarlyStopping(keep_best, options.patience) if keep_best else None
    all_callbacks: list[Callback] = [
        history,
        *([ProgressBar(), Checkpoint(weights)] if main else []),
        *callbacks,
    ]
    # Every so many steps: what a kill can cost at most
    all_callbacks += [RunLog(run, every=20), RunCheckpoint(run, every=200), *([best] if best else [])]
    if getattr(options, "record", None) and main:
        all_callbacks.append(_recorder(run, watched))
    schedule = SCHEDULES[options.schedule](optimizer, options.epochs * len(train))
    learning = model
    if distributed.get_world_size() > 1:
        learning = distributed.DistributedDataParallel(model)
        all_callbacks.insert(0, OverRanks(learning))
    trainer = Trainer(learning, optimizer, loss, scheduler=schedule, metrics=metrics, callbacks=all_callbacks)
    began = time.perf_counter() - _seconds_before(state)
    with mg.profile() if options.profile else nullcontext() as profile:
        interrupted, problem = _fit(trainer, train, options.epochs, watched, state)
    seconds = time.perf_counter() - began
    best_epoch = best.best_epoch if best else None
    stopped = interrupted
    if problem:
        if best_epoch is None and main:
            model.load_state_dict(mg.load(weights))
        which = f"epoch {best_epoch}" if best_epoch else "the last whole epoch (or the start)"
        stopped = f"{problem}. What follows is of the network before that, as {which} left it"
    if main:
        mg.save(model.state_dict(), weights)
    if profile is not None and main:
        print(profile.table())
    if stopped and main:
        print(f"stopped early: {stopped}", file=sys.stderr)
    if getattr(options, "record", None) and main:
        print(f"recorded: python -m minigrad view {out / 'run'}")
    if interrupted and main:
        print("to go on, give the same command with --resume", file=sys.stderr)
    return Fitted(history, seconds, stopped, best_epoch)


def _recorder(run: RunFolder, watched: DataLoader) -> Recorder:
    """Records the run in its folder; some of the watched examples are its probe set."""
    inputs, targets = next(iter(watched))
    return Recorder(run, probe=(inputs[:_PROBE], targets[:_PROBE]))


def open_run(
    folder: Path, settings: Mapping[str, Any], resume: bool
) -> tuple[RunFolder, dict[str, Any] | None]:
    """The run in a folder, begun or taken up again, and the state to go on from, or None at its beginning."""
    if not resume:
        return RunFolder.create(folder, settings), None
    RunFolder.open(folder).require_config(settings)
    run = RunFolder.resume(folder)
    return run, run.load()


def _seconds_before(state: Mapping[str, Any] | None) -> float:
    """How long a run had trained when its state was saved."""
    if state is None:
        return 0.0
    epochs = state["callbacks"]["History"]["epochs"]
    return state["trainer"]["seconds"] + sum(epoch["seconds"] for epoch in epochs)


def _fit(
    trainer: Trainer, train: DataLoader, epochs: int, watched: DataLoader, state: Mapping[str, Any] | None
) -> tuple[str, str]:
    """Train; returns how it was interrupted, and what went wrong: both "" if it came to its end."""
    try:
        logs = trainer.fit(train, epochs, validation=watched, resume=state)
        if trainer.interrupted:  # by way of another rank
            return f"interrupted after {trainer.global_step} steps", ""
        if all(math.isfinite(logs[name]) for name in ("train_loss", "val_loss") if name in logs):
            return "", ""
        held_out = any(isinstance(callback, EarlyStopping) for callback in trainer.callbacks)
        return "", f"the loss on the {'held-out examples' if held_out else 'test images'} is not finite"
    except KeyboardInterrupt:
        return f"interrupted after {trainer.global_step} steps", ""
    except NonFiniteError as error:
        return "", str(error)
