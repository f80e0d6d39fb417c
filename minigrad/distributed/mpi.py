"""Processes that speak MPI, by mpi4py: arrays on the CPU, one machine or many.

Nothing here blocks inside MPI: every wait asks again and again whether the thing is done. So Ctrl-C gets through, and a
wait that cannot end does: a rank that leaves says so, and one that waits for it then ends the job.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np

from minigrad import dtypes
from minigrad.communicator import Communicator, Work, checked_reduction, checked_root
from minigrad.distributed.place import Place
from minigrad.errors import ArgumentError, CommunicationError, DeviceError, ShapeError

SMALL = 1 << 14  # bytes, up to which every rank is sent everything: one round of messages in place of two
GRACE = 2.0  # seconds in which a message of a rank that has left may still arrive
_HOLD = 1e-4  # seconds of asking in which the core is not offered to others: small messages take less
_SPIN = 0.2  # seconds of asking without a pause: large messages move while one asks, a part at a time
_PAUSE, _BURST = 1e-3, 2e-4  # where waiting is longer: seconds of sleep, and of asking
_LEAVING = 1  # the tag of a rank's last message


class MpiCommunicator(Communicator):
    """The processes that mpiexec (or srun) started.

    place:   what the environment says, to compare.
    timeout: seconds after which a wait is an error.

    Raises ArgumentError where mpi4py is missing, and where MPI knows of another number of processes than the launcher.
    """

    def __init__(self, place: Place, timeout: float) -> None:
        self._mpi = _load_mpi()
        world = self._mpi.COMM_WORLD
        if (world.rank, world.size) != (place.rank, place.size):
            raise ArgumentError(
                f"{place.launcher or 'the environment'} says that this is rank {place.rank} of {place.size}, MPI says "
                f"rank {world.rank} of {world.size}: start the processes with the mpiexec that belongs to mpi4py's MPI "
                f"({self._mpi.Get_library_version().splitlines()[0].strip()})"
            )
        self.rank, self.size, self.local_rank = world.rank, world.size, place.local_rank
        self.timeout = timeout
        # Messages of one kind are begun in the same order by all ranks; when the second part of a reduction begins
        # depends on who is quick, so these go by themselves.
        self._first, self._second, self._control = world.Dup(), world.Dup(), world.Dup()
        self._open: deque[_Reduction] = deque()
        self._leavers: set[int] = set()
        self._broken = False

    # ------------------------------------------------ collectives

    def start_all_reduce(self, array: Any, op: str = "sum", traffic: Any = None) -> Work:
        work = _Reduction(self, _flat(array), checked_reduction(op), traffic)
        self._open.append(work)
        return work

    def all_gather(self, array: Any) -> np.ndarray:
        array = np.ascontiguousarray(array)
        gathered = np.empty((self.size, *array.shape), array.dtype)
        self._wait(self._first.Iallgather(self._bytes(array), self._bytes(gathered)), "all_gather")
        return gathered

    def broadcast(self, array: Any, root: int = 0) -> None:
        self._wait(self._first.Ibcast(self._bytes(_flat(array)), checked_root(root, self.size)), "broadcast")

    def barrier(self) -> None:
        self._wait(self._first.Ibarrier(), "barrier")

    def abort(self, code: int = 1) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(0.2)  # the launcher has to pass on what was written before it hears of the end
        self._mpi.COMM_WORLD.Abort(code)

    def leave(self) -> None:
        """Tell the others that no more will come from this rank: who waits for it need not wait on.

        With something still under way this is no end that MPI could go along with: then the job ends.
        """
        if self._broken or self._open:
            self.abort()
        # Within MPI the end of a rank is a wait that keeps a core busy until the last one ends: wait here
        requests = [
            self._control.Isend(b"", other, _LEAVING) for other in range(self.size) if other != self.rank
        ]
        self._mpi.Request.Waitall(requests)
        while len(self._leavers) < self.size - 1:
            self._hear_leavers()
            time.sleep(5e-3)

    # ------------------------------------------------ progress and waiting

    def progress(self) -> None:
        """Take reductions as far as they get, in the order in which they were begun."""
        for work in self._open:
            work.advance()
            if not (work.done or work.second):
                break
        while self._open and self._open[0].done:
            self._open.popleft()

    def wait_until(self, done: Any, what: str) -> None:
        """Return when `done()`; raises CommunicationError where that will not be."""
        self._broken = True  # until it has come to a good end
        self._watch(done, what)
        self._broken = False

    def _watch(self, done: Any, what: str) -> None:
        began = time.monotonic()
        left_at = look_again = None
        pause = 0.0
        while not done():
            waited = (now := time.monotonic()) - began
            if waited < _SPIN or now < pause:
                if waited > _HOLD:
                    os.sched_yield()  # to another rank, where there are more of them than cores
                continue
            time.sleep(_PAUSE)
            pause = time.monotonic() + _BURST
            if look_again is None or now >= look_again:
                look_again = now + 0.1
                self._hear_leavers()
                if self._leavers:
                    left_at = left_at or now
                    if now - left_at > GRACE:
                        who = ", ".join(map(str, sorted(self._leavers)))
                        raise CommunicationError(
                            f"rank {self.rank} waits in {what} for rank {who}, which has ended"
                        )
                if waited > self.timeout:
                    raise CommunicationError(
                        f"rank {self.rank} has waited in {what} for {waited:.0f} s: another rank is stuck, or does not "
                        "make the same calls"
                    )

    def _wait(self, request: Any, what: str) -> None:
        self.wait_until(request.Test, what)

    def _hear_leavers(self) -> None:
        status = self._mpi.Status()
        while self._control.Iprobe(self._mpi.ANY_SOURCE, _LEAVING, status):
            self._control.Recv(bytearray(0), status.Get_source(), _LEAVING)
            self._leavers.add(status.Get_source())

    def _bytes(self, array: np.ndarray, counts: Any = None, starts: Any = None) -> list[Any]:
        """A buffer as MPI takes it: MPI knows no half precision, and need not know what the bytes mean."""
        raw = array.reshape(-1).view(np.uint8)
        return [raw, self._mpi.BYTE] if counts is None else [raw, counts, starts, self._mpi.BYTE]


class _Reduction(Work):
    """An all-reduce under way.

    Each rank is given its piece by all others, adds up in the order of the ranks, and gives the result to all: no
    element travels farther than it has to, and all get the bits that one has computed. Few elements go to everybody
    at once, and each adds up for itself, in the same order.
    """

    def __init__(self, group: MpiCommunicator, array: np.ndarray, op: str, traffic: Any) -> None:
        self.group, self.array, self.op = group, array, op
        self.sent = array if traffic is None or traffic == array.dtype else array.astype(traffic)
        size, width = group.size, self.sent.dtype.itemsize
        self.small = self.sent.nbytes <= SMALL
        self.done = False
        if self.small:
            self.received = np.empty((size, array.size), self.sent.dtype)
            begin = group._first.Iallgather
            self.request = begin(group._bytes(self.sent), group._bytes(self.received))
        else:
            bounds = [array.size * i // size for i in range(size + 1)]
            self.lengths = [width * (b - a) for a, b in pairwise(bounds)]
            self.starts = [width * a for a in bounds[:-1]]
            own = self.lengths[group.rank]
            self.received = np.empty((size, own // width), self.sent.dtype)
            self.request = group._first.Ialltoallv(
                group._bytes(self.sent, self.lengths, self.starts),
                group._bytes(self.received, [own] * size, [own * i for i in range(size)]),
            )
        self.second = False

    def advance(self) -> None:
        """Go on with it. Called in the order in which reductions were begun."""
        if not self.done and self.request.Test():
            if self.second:
                self._finish(self.result)
            else:
                self._add_up()

    def _add_up(self) -> None:
        group = self.group
        total = self._total()
        if self.small:
            self._finish(total)
            return
        total = total.astype(self.sent.dtype, copy=False)
        self.result = self.array if self.sent is self.array else self.sent
        self.request = group._second.Iallgatherv(
            group._bytes(total), group._bytes(self.result, self.lengths, self.starts)
        )
        self.total, self.second = total, True  # kept until it has been sent

    def _total(self) -> np.ndarray:
        rows = self.received
        wide = dtypes.float32 if rows.dtype in dtypes.HALF else rows.dtype
        add = np.maximum if self.op == "max" else np.add
        total = rows[0].astype(wide)
        for row in rows[1:]:
            add(total, row, out=total)
        if self.op == "mean":
            total /= self.group.size
        if self.small and self.sent is not self.array:  # rounded once more, as what goes by two rounds
            total = total.astype(self.sent.dtype)
        return total

    def _finish(self, result: np.ndarray) -> None:
        if result is not self.array:
            self.array[...] = result
        self.done = True
        del self.received, self.request, self.sent

    def test(self) -> bool:
        self.group.progress()
        return self.done

    def wait(self) -> None:
        if not self.test():
            self.group.wait_until(self.test, "all_reduce")


def _flat(array: Any) -> np.ndarray:
    """A contiguous array, as one dimension."""
    if not isinstance(array, np.ndarray):
        raise DeviceError(f"MPI takes NumPy arrays, not {type(array).__name__}")
    if not array.flags.c_contiguous or not array.flags.writeable:
        raise ShapeError("what is communicated in place is a contiguous array that can be written to")
    return array.reshape(-1)


def _load_mpi() -> Any:
    try:
        return import_module("mpi4py.MPI")
    except (ImportError, RuntimeError) as error:  # RuntimeError: the library behind it was not found
        raise ArgumentError(
            f"several processes speak to each other by mpi4py, which cannot be used here ({error}); "
            "add it, and an MPI, with: pip install mpi4py mpich"
        ) from error
