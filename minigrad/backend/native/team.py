"""The threads that share the work of one kernel call.

A call is cut into blocks, whose number depends on its shapes only. Each thread takes the next block when it has done
one (an atomic counter, `next_block`), so an unequal pace costs little; and since a block's result depends on nothing
but the block, results are the same bits at any number of threads.

These are plain Python threads: kernels release Python's lock. Numba's own parallel loops would start sooner (2 against
12 microseconds), but take several times longer to compile, need one of three threading libraries, the common one of
which aborts the process when two threads use it at once, and would spin against BLAS's threads in between.

One call has the team at a time. A call from another thread meanwhile (a loader's, say) runs in that thread alone.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.machine import usable_cores

_NAME = "by"  # the one key of dictionaries that say who has something: `setdefault` decides it in one step


def threads_asked_for() -> int:
    """`MINIGRAD_NUM_THREADS`, or else `OMP_NUM_THREADS`, or else one for each core."""
    value = os.environ.get("MINIGRAD_NUM_THREADS")
    if value:
        if not value.isdecimal() or int(value) < 1:
            raise ArgumentError(f"MINIGRAD_NUM_THREADS must be a whole number from 1, not {value!r}")
        return int(value)
    # Not ours to complain about; it may be a list, of which the first number is that of the outermost loops
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else usable_cores()


class _Task:
    """One thread's share of a call. Who first enters their name in `by` has it; whoever asks again is told the same."""

    def __init__(self, function: Any, arguments: tuple) -> None:
        self.function, self.arguments = function, arguments
        self.by: dict[str, object] = {}
        self.done = False
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do it, keep the error, and let the arrays go."""
        try:
            self.function(*self.arguments)
        except BaseException as error:  # handed to the caller
            self.error = error
        self.arguments = ()
        self.done = True


class _Worker(threading.Thread):
    """Waits for a task, does it unless the caller has taken it back, says so."""

    def __init__(self, number: int) -> None:
        super().__init__(name=f"minigrad-{number}", daemon=True)
        self.task: _Task | None = None
        self.more, self.done = threading.Lock(), threading.Lock()  # locked until there is news
        self.more.acquire()
        self.done.acquire()
        self.start()

    def run(self) -> None:
        while True:
            self.more.acquire()
            task = self.task
            if task is None or task.done or task.by.setdefault(_NAME, self) is not self:
                continue
            task.run()
            if self.done.locked():  # no other thread unlocks it
                self.done.release()

    def offer(self, task: _Task) -> None:
        """Wake the thread for a task."""
        self.task = task
        if self.more.locked():  # else it was woken before, and has yet to look
            self.more.release()


def alone(kernel: Any, blocks: int, *arguments: Any) -> None:
    """The same as `team.run`, in this thread: for what is done before another thread has started."""
    kernel(np.zeros(1, np.int64), blocks, *arguments)


class Team:
    """As many threads as are wanted, the caller's one of them; the others are started when first needed."""

    def __init__(self) -> None:
        self._compiled: set[Any] = set()
        self.forget_threads()

    def forget_threads(self) -> None:
        """Begin without any: a child process has inherited none."""
        self._workers: list[_Worker] = []
        self._held: dict[str, object] = {}  # by which call

    @cached_property
    def size(self) -> int:
        """How many threads; may be set."""
        return threads_asked_for()

    def run(self, kernel: Any, blocks: int, *arguments: Any) -> None:
        """`kernel(counter, blocks, *arguments)` in all threads at once; in this one alone if the team is busy.

        A task that no thread has begun when the caller is done is taken back. An error, or a Ctrl-C, is raised when no
        thread works on the call any more. A Ctrl-C may come between any two steps, so what is to be undone is looked up
        where it was done, and looked up again if it comes meanwhile.
        """
        counter = np.zeros(1, np.int64)
        helpers = min(self.size, blocks) - 1
        if kernel not in self._compiled:  # the first call compiles: that is not for all threads at once
            self._compiled.add(kernel)
            helpers = 0
        if helpers < 1:
            kernel(counter, blocks, *arguments)
            return
        tasks: list[_Task] = []
        interrupt: BaseException | None = None
        try:
            if self._held.setdefault(_NAME, tasks) is tasks:
                workers = self._some_workers(helpers)
                tasks += [_Task(kernel, (counter, blocks, *arguments)) for _ in workers]
                for worker, task in zip(workers, tasks):
                    worker.offer(task)
            kernel(counter, blocks, *arguments)
        finally:
            while True:
                try:  # no functions of our own here: at the limit of recursion they could not be called
                    for worker, task in zip(self._workers, tasks):
                        if task.by.setdefault(_NAME, tasks) is tasks:
                            task.arguments = ()
                        while task.by[_NAME] is worker and not task.done:
                            worker.done.acquire()
                    if self._held.get(_NAME) is tasks:
                        del self._held[_NAME]
                    break
                except BaseException as error:
                    interrupt = error
        for found in (interrupt, *(task.error for task in tasks)):
            if found is not None:
                raise found

    def _some_workers(self, wanted: int) -> list[_Worker]:
        """So many, or as many as the system allows."""
        with suppress(RuntimeError):  # "can't start new thread"
            while len(self._workers) < wanted:
                self._workers.append(_Worker(len(self._workers) + 1))
        return self._workers[:wanted]


team = Team()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=team.forget_threads)
