"""Beginning, and what all ranks do together, on tensors and NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad import communicator
from minigrad.backend import get_backend
from minigrad.communicator import Communicator, SingleProcess
from minigrad.distributed.failure import end_together
from minigrad.distributed.place import find_place
from minigrad.errors import ArgumentError, ShapeError
from minigrad.tensor import Tensor

BACKENDS = ("mpi", "single")


def init(backend: str | None = None, timeout: float = 1800.0) -> Communicator:
    """Find the other processes of this job, if there are any; returns the communicator, which is then in use.

    backend: "mpi"; "single" for one process alone; None for what the environment asks for: mpiexec, srun and torchrun
             number the processes that they start.
    timeout: seconds after which waiting for another rank is an error.

    From then on the ranks end together: an exception that nobody catches is shown and ends all of them. A second call
    changes nothing. Raises ArgumentError where several processes were started and cannot speak to each other.

    >>> init()
    <SingleProcess, rank 0 of 1>
    """
    if not isinstance(communicator.current(), SingleProcess):
        return communicator.current()
    if backend not in (None, *BACKENDS):
        raise ArgumentError(f"backend must be one of {', '.join(BACKENDS)}, or None, not {backend!r}")
    place = find_place()
    if backend == "single" or (backend is None and place.size == 1):
        return communicator.current()
    from minigrad.distributed.mpi import MpiCommunicator

    group = MpiCommunicator(place, timeout)
    end_together(group)
    communicator.use(group)
    return group


def get_rank() -> int:
    """The number of this process, from 0."""
    return communicator.current().rank


def get_world_size() -> int:
    """How many processes compute together."""
    return communicator.current().size


def get_local_rank() -> int:
    """The number of this process among those on this machine, from 0."""
    return communicator.current().local_rank


def is_main() -> bool:
    """Whether this is rank 0, which writes the files and speaks to the user."""
    return get_rank() == 0


def all_reduce(values: Any, op: str = "sum") -> Any:
    """The sum ("sum"), mean or maximum over all ranks of each element: in place of a tensor's or an array's own.

    values: a tensor that does not require grad, or a contiguous array; a number is returned.

    >>> all_reduce(2.5, "mean")
    2.5
    """
    if isinstance(values, (int, float)):
        array = np.array(values, np.float64)
        communicator.current().all_reduce(array.reshape(1), op)
        return type(values)(array)
    return _in_place(values, lambda array: communicator.current().all_reduce(array, op))


def broadcast(values: Any, src: int = 0) -> Any:
    """Overwrite a tensor or a contiguous array with that of rank `src`; returns it."""
    return _in_place(values, lambda array: communicator.current().broadcast(array, src))


def all_gather(values: Any) -> np.ndarray:
    """The arrays of all ranks, which have one shape and dtype, stacked in their order."""
    return communicator.current().all_gather(values.numpy() if isinstance(values, Tensor) else values)


def broadcast_bytes(content: bytes, src: int = 0) -> bytes:
    """The bytes that rank `src` gives, on all ranks; those of the others do not count."""
    group = communicator.current()
    size = np.array([len(content)], np.int64)
    group.broadcast(size, src)
    buffer = np.zeros(int(size[0]), np.uint8)
    if group.rank == src:
        buffer[:] = np.frombuffer(content, np.uint8)
    group.broadcast(buffer, src)
    return buffer.tobytes()


@contextmanager
def main_first() -> Iterator[None]:
    """Let rank 0 go through the block before the others begin it: what it downloads, they find there."""
    if not is_main():
        barrier()
    yield
    if is_main():
        barrier()


def barrier() -> None:
    """Return when all ranks have come here."""
    communicator.current().barrier()


def separate_random_streams() -> None:
    """Let the random numbers of each rank go on from another place of the stream, so that dropout, say, differs.

    The stream of rank r is that of rank 0 jumped ahead r times. So all of them follow from rank 0's, which is what a
    checkpoint holds, on any number of ranks. Called when weights have been drawn, or a state has been loaded.
    """
    group = communicator.current()
    if group.rank:
        rng = get_backend("cpu").rng
        rng.bit_generator.state = rng.bit_generator.jumped(group.rank).state


def _in_place(values: Any, act: Any) -> Any:
    if not isinstance(values, Tensor):
        act(values)
        return values
    if not values.array.flags.c_contiguous:
        raise ShapeError("what is communicated in place is contiguous: use x.contiguous()")
    values._write(act)
    return values
