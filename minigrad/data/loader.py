"""Batches of a dataset as tensors, in an order that can be repeated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from minigrad.backend import get_backend
from minigrad.creation import tensor
from minigrad.data.transforms import ToFloat, Transform
from minigrad.errors import ArgumentError, DataError, DtypeError, ShapeError
from minigrad.tensor import Tensor

_ORDER, _TRANSFORM = 0, 1  # which of an epoch's independent random streams


class IndexableDataset(Protocol):
    """What a loader needs: a length, and whole batches by an array of indices."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Any, /) -> tuple[npt.NDArray, npt.NDArray]: ...


class DataLoader:
    """Iterates over a dataset in batches, one epoch per `for` loop.

    The order of epoch e is a function of (seed, e) and the dataset's length, and what the transform does to
    batch b one of (seed, e, b): neither depends on what was iterated before. So a run that is taken up again
    with `set_epoch(e)` sees exactly the batches it would have seen.

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

    Yields
    ------
    (inputs, targets): tensors on `device` with min(batch_size, what is left) samples. Inputs are float32;
    uint8 images that no transform has scaled are divided by 255; other integers (the words of a text, say)
    stay integers, int64. Integer targets are int64, others float32.

    Raises
    ------
    ArgumentError for a batch size or seed out of range; DataError for a dataset that is empty or gives no
    full batch to `drop_last`; ShapeError when a transform changes the number of samples.

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
    ) -> None:
        if not _is_whole(batch_size) or batch_size < 1:
            raise ArgumentError(f"batch_size must be a whole number from 1, got {batch_size!r}")
        if seed is not None and (not _is_whole(seed) or seed < 0):
            raise ArgumentError(f"seed must be a whole number from 0 or None, got {seed!r}")
        if transform is not None and not callable(transform):
            raise ArgumentError(f"transform must be callable as transform(batch, rng), got {transform!r}")
        if len(dataset) == 0:
            raise DataError(f"the dataset is empty: {dataset!r}")
        if drop_last and len(dataset) < batch_size:
            raise DataError(
                f"drop_last=True leaves nothing of a dataset with {len(dataset)} samples at batch_size {batch_size}; "
                "use smaller batches or drop_last=False"
            )
        backend = get_backend(device)  # an unknown or missing device fails here, not at the first batch
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.seed = int(get_backend("cpu").rng.integers(2**63)) if seed is None else int(seed)
        self.transform = transform
        self.device = backend.name
        self.epoch = 0  # of the next iteration

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full if self.drop_last or not rest else full + 1

    def __repr__(self) -> str:
        return (
            f"DataLoader({self.dataset!r}, batch_size={self.batch_size}, shuffle={self.shuffle}, "
            f"drop_last={self.drop_last}, seed={self.seed}, transform={self.transform!r}, device={self.device!r})"
        )

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be that of `epoch`, counted from 0; those after it go on from there."""
        if not _is_whole(epoch) or epoch < 0:
            raise ArgumentError(f"epoch must be a whole number from 0, got {epoch!r}")
        self.epoch = int(epoch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        # Counted here, not at the end: leaving a loop early must not repeat its epoch's order.
        epoch = self.epoch
        self.epoch += 1
        return self._batches(epoch)

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        order = np.arange(len(self.dataset))
        if self.shuffle:
            self._rng(epoch, _ORDER).shuffle(order)
        for batch in range(len(self)):
            indices = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            inputs, targets = self.dataset[indices]
            if self.transform is not None:
                inputs = self._transformed(inputs, self._rng(epoch, _TRANSFORM, batch))
            yield (
                tensor(_as_inputs(inputs), device=self.device),
                tensor(_as_targets(targets), device=self.device),
            )

    def _transformed(self, inputs: npt.NDArray, rng: np.random.Generator) -> npt.NDArray:
        assert self.transform is not None
        outputs = self.transform(inputs, rng)
        if len(outputs) != len(inputs):
            raise ShapeError(
                f"the transform {self.transform!r} turned {len(inputs)} samples into {len(outputs)}; "
                "it must keep their number"
            )
        return outputs

    def _rng(self, *key: int) -> np.random.Generator:
        """An independent generator for each key, however the keys are reached."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


def _is_whole(number: Any) -> bool:
    return isinstance(number, (int, np.integer)) and not isinstance(number, bool)


def _as_inputs(inputs: npt.NDArray) -> npt.NDArray:
    if inputs.dtype == np.uint8:
        return ToFloat()(inputs, np.random.default_rng(0))  # it draws nothing
    return _as_targets(inputs)


def _as_targets(values: npt.NDArray) -> npt.NDArray:
    if values.dtype.kind in "iu":
        return values.astype(np.int64, copy=False)
    if values.dtype.kind in "fb":
        return values.astype(np.float32, copy=False)
    raise DtypeError(f"a dataset's arrays must hold numbers, got {values.dtype}")
