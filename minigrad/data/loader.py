"""Batches of a dataset as tensors, in an order that can be repeated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from minigrad.backend import get_backend
from minigrad.creation import tensor
from minigrad.data.prefetch import prefetched
from minigrad.data.sampler import RandomSampler, Sampler, SequentialSampler
from minigrad.data.transforms import BatchTransform, ToFloat, Transform
from minigrad.errors import ArgumentError, DataError, DtypeError, ShapeError, StateError
from minigrad.tensor import Tensor

_ORDER, _TRANSFORM = 0, 1  # which of an epoch's independent random streams


class IndexableDataset(Protocol):
    """What a loader needs: a length, and whole batches by an array of indices."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Any, /) -> tuple[npt.NDArray, npt.NDArray]: ...


@dataclass
class _Position:
    """The next batch that an iteration will hand out; past the last one its loop has only to end."""

    epoch: int
    batch: int


class DataLoader:
    """Iterates over a dataset in batches, one epoch per `for` loop.

    The order of epoch e is a function of (seed, e) and the sampler, and what the transforms do to batch b one of
    (seed, e, b): neither depends on what was iterated before, nor on the number of threads. So a run that is taken up
    again, at an epoch with `set_epoch(e)`, or in the middle of one with `load_state_dict(state)`, sees exactly the
    batches it would have seen.

    Parameters
    ----------
    dataset : an `ArrayDataset`, or anything with a length whose `dataset[indices]` is (inputs, targets) for
        an array of indices. Not empty.
    batch_size : samples in a batch, from 1.
    shuffle : a new random order in each epoch; otherwise the dataset's own order.
    drop_last : leave out the last batch of an epoch when it would be smaller than the others.
    seed : a whole number from 0 for order and transforms; None takes one from the stream that `manual_seed`
        starts. The attribute `seed` tells which.
    transform : called as `transform(inputs, rng)` on each batch's inputs (see `minigrad.data.transforms`).
    device : where the tensors are made; None for the default device.
    batch_transform : called as `batch_transform(inputs, targets, rng)` after `transform`; for `MixUp` and `CutMix`.
    sampler : which samples an epoch has, in which order (see `minigrad.data.sampler`), in place of `shuffle`.
    num_workers : threads that prepare batches ahead, two each, while the last one is used; 0 prepares each batch when
        it is asked for. The dataset and the transforms must then bear being used by several threads at once, as those
        of minigrad do.

    Yields
    ------
    (inputs, targets): tensors on `device` with min(batch_size, what is left) samples. Inputs are float32;
    uint8 images that no transform has scaled are divided by 255; other integers (the words of a text, say)
    stay integers, int64. Integer targets are int64, others float32.

    Raises
    ------
    ArgumentError for a batch size, seed or number of threads out of range, or shuffle beside a sampler; DataError for
    a dataset that is empty or gives no full batch to `drop_last`, and for a sampler's index outside the dataset;
    ShapeError when a transform changes the number of samples. An error in a thread is raised in the loop, in the
    turn of its batch.

    >>> from minigrad.data import ArrayDataset
    >>> loader = DataLoader(ArrayDataset(np.zeros((10, 3)), np.arange(10)), batch_size=4, shuffle=True, seed=0)
    >>> [(inputs.shape, len(targets)) for inputs, targets in loader]
    [((4, 3), 4), ((4, 3), 4), ((2, 3), 2)]
    """

    def __init__(
        self,
        dataset: IndexableDataset,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int | None = None,
        transform: Transform | None = None,
        device: str | None = None,
        *,
        batch_transform: BatchTransform | None = None,
        sampler: Sampler | None = None,
        num_workers: int = 0,
    ) -> None:
        if not _is_whole(batch_size) or batch_size < 1:
            raise ArgumentError(f"batch_size must be a whole number from 1, got {batch_size!r}")
        if seed is not None and (not _is_whole(seed) or seed < 0):
            raise ArgumentError(f"seed must be a whole number from 0 or None, got {seed!r}")
        if not _is_whole(num_workers) or num_workers < 0:
            raise ArgumentError(f"num_workers must be a whole number from 0, got {num_workers!r}")
        if transform is not None and not callable(transform):
            raise ArgumentError(f"transform must be callable as transform(batch, rng), got {transform!r}")
        if batch_transform is not None and not callable(batch_transform):
            raise ArgumentError(
                "batch_transform must be callable as batch_transform(inputs, targets, rng), "
                f"got {batch_transform!r}"
            )
        if len(dataset) == 0:
            raise DataError(f"the dataset is empty: {dataset!r}")
        if sampler is not None and shuffle:
            raise ArgumentError("a sampler decides the order: give either sampler or shuffle=True")
        if sampler is not None and not hasattr(sampler, "indices"):
            raise ArgumentError(f"sampler must have a length and a method indices(rng), got {sampler!r}")
        backend = get_backend(device)  # an unknown or missing device fails here, not at the first batch
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.sampler = sampler or (RandomSampler(dataset) if shuffle else SequentialSampler(dataset))
        self.drop_last = drop_last
        self.seed = int(get_backend("cpu").rng.integers(2**63)) if seed is None else int(seed)
        self.transform = transform
        self.batch_transform = batch_transform
        self.num_workers = int(num_workers)
        self.device = backend.name
        if not len(self):
            raise DataError(
                f"drop_last={drop_last} leaves nothing of an epoch with {len(self.sampler)} samples at batch_size "
                f"{batch_size}; use smaller batches or drop_last=False"
            )
        self.epoch = 0  # of the next iteration
        self._first_batch = 0  # of the next iteration
        self._latest: tuple[int, npt.NDArray[np.integer]] | None = None  # an epoch and its order
        self._position = _Position(0, 0)  # of the latest iteration, or of the next one where that was told

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        full, rest = divmod(len(self.sampler), self.batch_size)
        return full if self.drop_last or not rest else full + 1

    def __repr__(self) -> str:
        return (
            f"DataLoader({self.dataset!r}, batch_size={self.batch_size}, sampler={self.sampler!r}, "
            f"drop_last={self.drop_last}, seed={self.seed}, transform={self.transform!r}, "
            f"batch_transform={self.batch_transform!r}, num_workers={self.num_workers}, device={self.device!r})"
        )

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be that of `epoch`, counted from 0; those after it go on from there.

        It begins with the first batch, unless `load_state_dict` has just put the loader into that very epoch: so a
        training loop may call this before each epoch, also when it was resumed in the middle of one.
        """
        if not _is_whole(epoch) or epoch < 0:
            raise ArgumentError(f"epoch must be a whole number from 0, got {epoch!r}")
        self._start_at(int(epoch), self._first_batch if epoch == self.epoch else 0)

    def state_dict(self) -> dict[str, int]:
        """Where the latest iteration stands, as whole numbers by name: epoch, batch (the next one), seed, and the sizes
        that give the position its meaning.

        Inside the loop the batch in hand counts as done. After a loop that was left early the position is where it was
        left; after one that came to its end, the beginning of the next epoch.
        """
        return {
            "epoch": self._position.epoch,
            "batch": self._position.batch,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "samples": len(self.sampler),
        }

    def load_state_dict(self, state_dict: Mapping[str, int]) -> None:
        """Let the next iteration begin where `state_dict` was taken, and yield, bit for bit, what was to come.

        That first loop has only the epoch's remaining batches, none if the state was taken with the last one in hand.
        Raises StateError for a state of another kind, or of a loader with another batch size or number of samples.
        """
        own = self.state_dict()
        wrong = set(own) ^ set(state_dict) or {
            name for name in own if not _is_whole(state_dict[name]) or state_dict[name] < 0
        }
        if wrong:
            raise StateError(
                f"a loader's state has whole numbers from 0 named {', '.join(own)}; wrong or missing: "
                f"{', '.join(sorted(wrong))}"
            )
        for name in ("batch_size", "samples"):
            if state_dict[name] != own[name]:
                raise StateError(
                    f"the state is that of a loader with {name} {state_dict[name]}, this one has {own[name]}: its "
                    "position means nothing here. Make the loader with the same data and settings"
                )
        if state_dict["batch"] > len(self):
            raise StateError(
                f"the state's next batch is {state_dict['batch']}, but an epoch has {len(self)} batches"
            )
        self.seed = int(state_dict["seed"])
        self._start_at(int(state_dict["epoch"]), int(state_dict["batch"]))

    def _start_at(self, epoch: int, batch: int) -> None:
        self.epoch, self._first_batch = epoch, batch
        self._position = _Position(epoch, batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        # Counted here, not at the end: leaving a loop early must not repeat its epoch's order.
        position = self._position = _Position(self.epoch, self._first_batch)
        self.epoch, self._first_batch = self.epoch + 1, 0
        return self._batches(position)

    def _batches(self, position: _Position) -> Iterator[tuple[Tensor, Tensor]]:
        epoch = position.epoch
        self._latest = epoch, self._order(epoch)
        make = partial(self._make, epoch, self._latest[1])
        with closing(prefetched(make, range(position.batch, len(self)), self.num_workers)) as batches:
            for batch in batches:
                position.batch += 1
                yield batch
        position.epoch, position.batch = epoch + 1, 0

    def sample_ids(self, epoch: int, batch: int) -> npt.NDArray[np.integer]:
        """Which samples of the data set batch number `batch` of an epoch holds, as indices; both count from 0."""
        if self._latest is None or self._latest[0] != epoch:
            self._latest = epoch, self._order(epoch)
        return self._latest[1][batch * self.batch_size : (batch + 1) * self.batch_size]

    def _order(self, epoch: int) -> npt.NDArray[np.integer]:
        order = np.asarray(self.sampler.indices(self._rng(epoch, _ORDER)))
        if order.shape != (len(self.sampler),) or order.dtype.kind not in "iu":
            raise DataError(
                f"{self.sampler!r} announces {len(self.sampler)} indices, but gave {order.dtype} of shape {order.shape}"
            )
        if order.size and not 0 <= order.min() <= order.max() < len(self.dataset):
            raise DataError(
                f"{self.sampler!r} gave indices from {order.min()} to {order.max()}, but the dataset has "
                f"{len(self.dataset)} samples"
            )
        return order

    def _make(self, epoch: int, order: npt.NDArray[np.integer], number: int) -> tuple[Tensor, Tensor]:
        """One batch: a function of its arguments, whichever thread it runs in."""
        inputs, targets = self.dataset[order[number * self.batch_size : (number + 1) * self.batch_size]]
        rng = self._rng(epoch, _TRANSFORM, number)
        samples = len(inputs)
        if self.transform is not None:
            inputs = self.transform(inputs, rng)
            self._check_kept(samples, len(inputs), self.transform)
        if self.batch_transform is not None:
            inputs, targets = self.batch_transform(inputs, targets, rng)
            self._check_kept(samples, len(inputs), self.batch_transform)
            self._check_kept(samples, len(targets), self.batch_transform)
        return (
            tensor(_as_inputs(inputs), device=self.device),
            tensor(_as_targets(targets), device=self.device),
        )

    def _check_kept(self, before: int, after: int, transform: object) -> None:
        if after != before:
            raise ShapeError(
                f"the transform {transform!r} turned {before} samples into {after}; it must keep their number"
            )

    def _rng(self, *key: int) -> np.random.Generator:
        """An independent generator for each key, however the keys are reached."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


def _is_whole(number: Any) -> bool:
    return isinstance(number, (int, np.integer)) and not isinstance(number, bool)


def _as_inputs(inputs: npt.NDArray) -> npt.NDArray:
    if inputs.dtype == np.uint8:
        return ToFloat()(inputs)
    return _as_targets(inputs)


def _as_targets(values: npt.NDArray) -> npt.NDArray:
    if values.dtype.kind in "iu":
        return values.astype(np.int64, copy=False)
    if values.dtype.kind in "fb":
        return values.astype(np.float32, copy=False)
    raise DtypeError(f"a dataset's arrays must hold numbers, got {values.dtype}")
