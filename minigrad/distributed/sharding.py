"""Loaders of which each rank gets its share of every batch."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from minigrad import communicator
from minigrad.communicator import Communicator
from minigrad.data import DataLoader
from minigrad.errors import DataError


def shard(loader: DataLoader, process_group: Communicator | None = None) -> DataLoader:
    """A loader that goes through the same batches, of each of which every rank gets its share.

    Each batch is divided into one share for each rank, in order, whose sizes differ by at most one: so an epoch covers
    every sample exactly once, all ranks make the same number of steps, and the batches, their number and the loader's
    state are the same on any number of ranks. The seed is rank 0's. Transforms draw other random numbers on each rank.

    Raises DataError where a batch, mostly the last, has fewer samples than there are ranks.

    >>> from minigrad.data import ArrayDataset
    >>> loader = DataLoader(ArrayDataset(np.zeros((5, 1)), np.arange(5)), batch_size=4)
    >>> [len(targets) for _, targets in shard(loader)]      # of one process: all of each batch
    [4, 1]
    """
    group = communicator.current() if process_group is None else process_group
    twin = copy.copy(loader)
    twin.__class__ = ShardedLoader
    samples, size = len(loader.sampler), loader.batch_size
    smallest = size if loader.drop_last else samples % size or size
    if smallest < group.size:
        raise DataError(
            f"{samples} samples in batches of {size} leave a batch of {smallest}, too few for {group.size} ranks: "
            "choose another batch size, or drop_last=True"
        )
    seed = np.array([loader.seed], np.uint64)
    group.broadcast(seed)
    twin.seed = int(seed[0])
    twin.dataset = _Share(loader.dataset, group)
    if group.size > 1:
        for name in ("transform", "batch_transform"):
            if getattr(loader, name) is not None:
                setattr(twin, name, _OwnStream(getattr(loader, name), group))
    return twin


class ShardedLoader(DataLoader):
    """What `shard` returns."""

    dataset: _Share

    def sample_ids(self, epoch: int, batch: int) -> npt.NDArray[np.integer]:
        """Which samples of the data set this rank's share of a batch holds."""
        return self.dataset.share(super().sample_ids(epoch, batch))


class _Share:
    """A data set of which each rank sees its share of whatever is asked for."""

    def __init__(self, dataset: Any, group: Communicator) -> None:
        self.whole, self.rank, self.size = dataset, group.rank, group.size

    def __len__(self) -> int:
        return len(self.whole)

    def __repr__(self) -> str:
        return f"share {self.rank} of {self.size} of {self.whole!r}"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "whole":
            raise AttributeError(name)
        return getattr(self.whole, name)

    def share(self, indices: npt.NDArray) -> npt.NDArray:
        """This rank's part of them."""
        n = len(indices)
        return indices[n * self.rank // self.size : n * (self.rank + 1) // self.size]

    def __getitem__(self, indices: Any) -> Any:
        return self.whole[self.share(indices)]


class _OwnStream:
    """A transform with random numbers of this rank's own."""

    def __init__(self, transform: Any, group: Communicator) -> None:
        self.transform, self.rank, self.size = transform, group.rank, group.size

    def __repr__(self) -> str:
        return repr(self.transform)

    def __call__(self, *arguments: Any) -> Any:
        *arrays, rng = arguments
        return self.transform(*arrays, rng.spawn(self.size)[self.rank])
