"""Gradients in flat buckets, reduced over all ranks while backward still computes those of earlier layers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from minigrad.communicator import Communicator, Work
from minigrad.errors import GraphError
from minigrad.storage import storage_of
from minigrad.tensor import Tensor

FIRST_CAP = 1 << 20  # bytes of the bucket that is full first: small, so that sending begins early


class Bucket:
    """Some parameters whose gradients are reduced as one array.

    Where the gradients lie side by side in the optimiser's buffer, that is the array, and nothing is copied.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = list(parameters)
        self.bounds = [0, *itertools.accumulate(p.numel() for p in parameters)]
        self.missing = len(parameters)
        self._own: Any = None
        self._flat: Any = None
        self._work: Work | None = None

    def start(self, group: Communicator, traffic: Any) -> None:
        """Begin to replace the gradients by their mean over all ranks."""
        for p in self.parameters:
            assert p.grad is not None
            if p.grad._storage is not None:
                p.grad._storage.about_to_change()
        home = self.parameters[0]._home
        buffer = home.buffer() if home is not None else None
        self._flat = buffer.run_of(self.parameters) if buffer is not None else None
        if self._flat is None:
            self._flat = self._gathered()
        self._work = group.start_all_reduce(self._flat, "mean", traffic)

    def poll(self) -> None:
        """Help what is under way along: MPI does little while nobody calls it."""
        assert self._work is not None
        self._work.test()

    def finish(self) -> None:
        """Wait until that is done; then the bucket can be filled again."""
        assert self._work is not None
        self._work.wait()
        for p, a, b in zip(self.parameters, self.bounds, self.bounds[1:]):
            assert p.grad is not None
            if self._flat is self._own:
                p.grad.array[...] = self._flat[a:b].reshape(p.shape)
            storage_of(p.grad).version += 1
        self.missing, self._work, self._flat = len(self.parameters), None, None

    def _gathered(self) -> Any:
        """Copies of the gradients, side by side in an array of our own."""
        first = self.parameters[0]
        if self._own is None:
            self._own = first.backend.xp.empty(self.bounds[-1], first.dtype)
        for p, a, b in zip(self.parameters, self.bounds, self.bounds[1:]):
            assert p.grad is not None
            self._own[a:b] = p.grad.array.reshape(-1)
        return self._own


def in_buckets(parameters: Sequence[Tensor], cap: int) -> list[Bucket]:
    """Buckets of at most `cap` bytes (or one parameter) of one device and dtype; the first of several is smaller.

    parameters: in the order in which their gradients are expected.
    """
    groups: dict[Any, list[Tensor]] = {}
    for p in parameters:
        groups.setdefault((p.backend, p.dtype), []).append(p)
    return [Bucket(run) for group in groups.values() for run in _cut(group, cap)]


def _cut(parameters: list[Tensor], cap: int) -> list[list[Tensor]]:
    sizes = [p.numel() * p.dtype.itemsize for p in parameters]
    # Where one is enough it is the only one: a message more costs more than what it hides
    limit = cap if sum(sizes) <= cap else min(cap, FIRST_CAP)
    runs: list[list[Tensor]] = [[]]
    filled = 0
    for p, size in zip(parameters, sizes):
        if runs[-1] and filled + size > limit:
            runs.append([])
            filled, limit = 0, cap
        runs[-1].append(p)
        filled += size
    return runs


class Reducer:
    """Reduces gradients, bucket by bucket, as they become complete in a backward pass.

    group:      the communicator.
    parameters: those that learn, in the order of their use.
    cap:        bytes of a bucket at most.
    traffic:    a dtype to send in, or None.
    enabled:    whether a backward pass reduces; if not, gradients add up on each rank by themselves.
    """

    def __init__(
        self,
        group: Communicator,
        parameters: Sequence[Tensor],
        cap: int,
        traffic: Any,
        enabled: Callable[[], bool],
    ) -> None:
        self.group, self.parameters, self.traffic = group, tuple(parameters), traffic
        self.buckets = in_buckets(self.parameters[::-1], cap)
        self.enabled = enabled
        self._place = {id(p): bucket for bucket in self.buckets for p in bucket.parameters}
        self._arrived: set[int] = set()
        self._started = 0
        self._handles = [p.register_post_accumulate_grad_hook(self._complete) for p in self.parameters]

    def detach(self) -> None:
        """Take no notice of the parameters any more."""
        for handle in self._handles:
            handle.remove()

    def outstanding(self) -> list[Tensor]:
        """The parameters for whose gradients a reduction still waits; none between backward passes."""
        return [p for p in self.parameters if id(p) not in self._arrived] if self._arrived else []

    def _complete(self, leaf: Any) -> None:
        """A leaf's gradient has been added to, and will not be again in this pass."""
        if not self.enabled():
            return
        if leaf.grad.requires_grad:
            raise GraphError("data parallelism reduces first derivatives only: not with create_graph=True")
        if id(leaf) in self._arrived:
            raise GraphError(
                f"a parameter of shape {list(leaf.shape)} got a second gradient before the others got their first: "
                "call backward once for each forward, or go through the same parameters each time"
            )
        self._arrived.add(id(leaf))
        self._place[id(leaf)].missing -= 1
        while self._started < len(self.buckets) and not self.buckets[self._started].missing:
            self.buckets[self._started].start(self.group, self.traffic)
            self._started += 1
        if self._started == len(self.buckets):
            for bucket in self.buckets:
                bucket.finish()
            self._started = 0
            self._arrived.clear()
        elif self._started:
            self.buckets[self._started - 1].poll()
