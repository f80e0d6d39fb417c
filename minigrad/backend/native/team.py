"""The threads that share the work of one kernel call.

A call is cut into blocks, whose number depends on its shapes only. Each thread takes the next block when it has done
one (an atomic counter, `next_block`), so an unequal pace costs little; and since a block's result depends on nothing
but the block, results are the same bits at any number of threads.

These are plain Python threads: kernels release Python's lock. Numba's own parallel loops would start sooner (2 against
12 microseconds), but take several times longer to compile, need one of three threading libraries, the common one of
which aborts the process when two threads use it at once, and would spin against BLAS's threads in between.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.machine import usable_cores


def _threads_asked_for() -> int:
    """`MINIGRAD_NUM_THREADS`, or else `OMP_NUM_THREADS`, or else one for each core."""
    for name in ("MINIGRAD_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name)
        if value:
            if not value.isdecimal() or int(value) < 1:
                raise ArgumentError(f"{name} must be a whole number from 1, not {value!r}")
            return int(value)
    return usable_cores()


class _Worker(threading.Thread):
    """Waits for a call, runs its share of it, says when it is done."""

    def __init__(self, number: int) -> None:
        super().__init__(name=f"minigrad-{number}", daemon=True)
        self._begin, self._done = threading.Lock(), threading.Lock()
        self._begin.acquire()
        self._done.acquire()
        self._call: Any = None
        self._error: BaseException | None = None
        self._working = False
        self.start()

    def run(self) -> None:
        while True:
            self._begin.acquire()
            function, arguments = self._call
            try:
                function(*arguments)
            except BaseException as error:  # handed to the caller
                self._error = error
            self._call = function = arguments = None
            self._working = False
            self._done.release()

    def start_on(self, function: Any, arguments: tuple) -> None:
        """Begin `function(*arguments)`."""
        self._call, self._working = (function, arguments), True
        self._begin.release()

    def wait(self) -> BaseException | None:
        """Return when it is done, with the error that ended it, or a Ctrl-C that arrived meanwhile."""
        interrupt: BaseException | None = None
        while self._working:  # the lock only wakes us: an interrupt may come between its release and our knowing
            try:
                self._done.acquire(timeout=1)
            except BaseException as error:
                interrupt = error
        self._done.acquire(blocking=False)
        error, self._error = self._error, None
        return interrupt or error


class Team:
    """As many threads as are wanted, the caller's one of them; the others are started when first needed."""

    def __init__(self) -> None:
        self.size = _threads_asked_for()
        self._workers: list[_Worker] = []
        self._busy = threading.Lock()
        self._compiled: set[Any] = set()

    def run(self, kernel: Any, blocks: int, *arguments: Any) -> None:
        """`kernel(counter, blocks, *arguments)` in all threads at once; in this one alone if the team is busy."""
        counter = np.zeros(1, np.int64)
        helpers = min(self.size, blocks) - 1
        if kernel not in self._compiled:  # the first call compiles: that is not for all threads at once
            self._compiled.add(kernel)
            helpers = 0
        if helpers < 1 or not self._busy.acquire(blocking=False):
            kernel(counter, blocks, *arguments)
            return
        try:
            while len(self._workers) < helpers:
                self._workers.append(_Worker(len(self._workers) + 1))
            workers = self._workers[:helpers]
            for worker in workers:
                worker.start_on(kernel, (counter, blocks, *arguments))
            try:
                kernel(counter, blocks, *arguments)
            finally:
                errors = [worker.wait() for worker in workers]
            for error in errors:
                if error is not None:
                    raise error
        finally:
            self._busy.release()


team = Team()


def _after_fork() -> None:
    """A child process has inherited no threads."""
    size = team.size
    team.__init__()  # type: ignore[misc]
    team.size = size


os.register_at_fork(after_in_child=_after_fork)
