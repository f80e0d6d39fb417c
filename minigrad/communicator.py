"""What processes that compute together say to each other: the interface, and the communicator that is in use.

It stands low, for operations and layers to reach it; what implements it (`minigrad.distributed`) stands above them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import ArgumentError

REDUCTIONS = ("sum", "mean", "max")


class Work:
    """Something begun that will be done."""

    def test(self) -> bool:
        """Go on with it as far as that is possible without waiting; whether it is done."""
        return True

    def wait(self) -> None:
        """Return when it is done."""


class Communicator:
    """Processes numbered 0 to size - 1, of which this is number `rank`; raw arrays go to and fro.

    rank:       the number of this process.
    size:       how many there are.
    local_rank: its number among those on this machine.

    Every method is called by all of them, in the same order, with arrays of the same shape and dtype. A sum is taken
    in the order of the ranks, so that all of them get the same bits, in each run.
    """

    rank = 0
    size = 1
    local_rank = 0

    def start_all_reduce(self, array: Any, op: str = "sum", traffic: Any = None) -> Work:
        """Begin to put in place of each element its sum, mean or maximum over all ranks.

        array:   contiguous; to be left alone until the work is done.
        op:      "sum", "mean" or "max".
        traffic: a dtype to send in, such as float16, in place of the array's own; sums are taken in float32 then.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define start_all_reduce()")

    def all_reduce(self, array: Any, op: str = "sum") -> None:
        """The same, done when it returns."""
        self.start_all_reduce(array, op).wait()

    def all_gather(self, array: Any) -> Any:
        """The arrays of all ranks, stacked in their order: (size, *shape)."""
        raise NotImplementedError(f"{type(self).__name__} does not define all_gather()")

    def broadcast(self, array: Any, root: int = 0) -> None:
        """Overwrite the array with that of rank `root`. It is contiguous."""
        raise NotImplementedError(f"{type(self).__name__} does not define broadcast()")

    def barrier(self) -> None:
        """Return when all ranks have called it."""
        raise NotImplementedError(f"{type(self).__name__} does not define barrier()")

    def abort(self, code: int = 1) -> None:
        """End all ranks at once."""
        raise NotImplementedError(f"{type(self).__name__} does not define abort()")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, rank {self.rank} of {self.size}>"


class SingleProcess(Communicator):
    """One process alone: every sum is the number itself.

    >>> group = SingleProcess()
    >>> group.all_gather(np.array([1.0, 2.0]))
    array([[1., 2.]])
    """

    def start_all_reduce(self, array: Any, op: str = "sum", traffic: Any = None) -> Work:
        checked_reduction(op)
        return Work()

    def all_gather(self, array: Any) -> Any:
        return np.array(array)[None]

    def broadcast(self, array: Any, root: int = 0) -> None:
        checked_root(root, 1)

    def barrier(self) -> None:
        pass

    def abort(self, code: int = 1) -> None:
        raise SystemExit(code)


def checked_reduction(op: str) -> str:
    """`op`, if there is such a reduction."""
    if op not in REDUCTIONS:
        raise ArgumentError(f"a reduction is one of {', '.join(REDUCTIONS)}, not {op!r}")
    return op


def checked_root(root: int, size: int) -> int:
    """`root`, if there is such a rank."""
    if not isinstance(root, int) or not 0 <= root < size:
        raise ArgumentError(f"there is no rank {root!r}: ranks go from 0 to {size - 1}")
    return root


_in_use: Communicator = SingleProcess()


def current() -> Communicator:
    """The communicator in use; that of a single process until `minigrad.distributed.init` has found another."""
    return _in_use


def use(communicator: Communicator) -> Communicator:
    """Use another from now on; returns the one before."""
    global _in_use
    before, _in_use = _in_use, communicator
    return before
