"""Training scripts on several processes: what --distributed adds.

    mpiexec -n 2 python experiments/train_mnist.py --distributed

Every process runs the whole script. All learn; rank 0 alone writes files, draws and speaks.
"""

from __future__ import annotations

import argparse
import tempfile
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common.image_sets import Loaders
from minigrad import distributed, nn
from minigrad.distributed import DistributedDataParallel, ReducedTotals
from minigrad.train import Callback, RunFolder, Trainer, load_state, save_state


def add_distributed_option(parser: argparse.ArgumentParser) -> None:
    """Add --distributed."""
    parser.add_argument(
        "--distributed",
        action="store_true",
        help="share each batch among the processes that mpiexec started (or srun), with synchronised batch norm",
    )


def begin(options: Namespace) -> None:
    """Find the other processes, where --distributed asks for them."""
    if options.distributed:
        distributed.init()


def synchronised(model: nn.Module) -> nn.Module:
    """The model with batch norms that see the whole batch, where there are several processes."""
    return nn.SyncBatchNorm.convert_sync_batchnorm(model) if distributed.get_world_size() > 1 else model


def sharded(loaders: Loaders) -> Loaders:
    """Loaders that give each process its share of what is learnt from and watched; rank 0 judges the result alone."""
    if distributed.get_world_size() == 1:
        return loaders
    return Loaders(distributed.shard(loaders.train), distributed.shard(loaders.watched), loaders.test)


class OverRanks(Callback):
    """Makes the trainer one of several: the first of its callbacks.

    Losses and metrics are those over all examples; random numbers differ between the ranks; gradients are sent with the
    last batch of a step only; and all ranks stop at the same step where one is told to.
    """

    def __init__(self, model: DistributedDataParallel) -> None:
        self.model, self._told = model, False

    def on_fit_begin(self, trainer: Trainer) -> None:
        totals: Any = trainer.totals
        if not isinstance(totals, ReducedTotals):
            totals = ReducedTotals(totals, lambda: self._told or trainer.interrupted)
        trainer.totals = totals
        distributed.separate_random_streams()

    def on_batch_begin(self, trainer: Trainer) -> None:
        self.model.require_backward_grad_sync = trainer.batch_index + 1 == trainer._group()[1]

    def on_batch_end(self, trainer: Trainer) -> None:
        totals: Any = trainer.totals
        trainer.loss = totals.loss
        self._told = (
            self._told or trainer.interrupted
        )  # of this rank alone, perhaps: all hear of it with the next batch
        trainer.interrupted = totals.stop


class SilentRun(RunFolder):
    """A run's folder as the other ranks have it: nothing is written."""

    def log(self, numbers: Mapping[str, Any]) -> None:
        pass

    def metrics_size(self) -> int:
        return 0

    def truncate_metrics(self, size: int) -> None:
        pass

    def save(self, state: Mapping[str, Any], epoch: int, batch: int, keep: int) -> Path:
        return self.checkpoint_path(epoch, batch)


def open_on_ranks(
    open_run: Callable[..., tuple[RunFolder, dict[str, Any] | None]],
    folder: Path,
    settings: Mapping[str, Any],
    resume: bool,
) -> tuple[RunFolder, dict[str, Any] | None]:
    """What `open_run` gives on rank 0; the others get the same state, by way of the network, and write nothing."""
    if distributed.get_world_size() == 1:
        return open_run(folder, settings, resume)
    if not distributed.is_main():
        state = _unpacked(distributed.broadcast_bytes(b""))
        return SilentRun(folder, settings), state
    run, state = open_run(folder, settings, resume)
    distributed.broadcast_bytes(_packed(state))
    return run, state


def _packed(state: Mapping[str, Any] | None) -> bytes:
    """A state as the bytes of its file."""
    if state is None:
        return b""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.safetensors"
        save_state(state, path)
        return path.read_bytes()


def _unpacked(content: bytes) -> dict[str, Any] | None:
    if not content:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.safetensors"
        path.write_bytes(content)
        return load_state(path)
