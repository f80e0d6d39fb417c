"""A thread that works off what others put into its queue: in order, in batches, a few times a second."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

INTERVAL = 0.25  # seconds between batches: what a kill may take, twice over


class Job(Protocol):
    """What the thread does with the items; only the thread calls it, so it may own what threads cannot share."""

    def handle(self, item: Any) -> None:
        """Do one item."""

    def commit(self) -> None:
        """Make everything handled so far lasting."""

    def close(self, failed: bool) -> None:
        """Release what is held; `failed` after an error, which may come from any of the three."""


class Worker:
    """A queue and its thread.

    name:     of the thread.
    begin:    makes the job, in the thread. Its error is raised here, by the constructor.
    capacity: bytes that may wait. Whoever puts more waits until there is room: nothing is dropped.

    The thread sleeps for `INTERVAL` between batches, not until an item comes: to wake it for each would cost the caller
    several microseconds. `error` is what ended it early; items put later are dropped. In a process made by fork, which
    has no such thread, the queue drops everything.
    """

    def __init__(self, name: str, begin: Callable[[], Job], capacity: int) -> None:
        self.error: BaseException | None = None
        self.waited = 0.0  # seconds that callers waited for room
        self._capacity, self._bytes, self._items = capacity, 0, deque[tuple[Any, int]]()
        self._condition = threading.Condition()
        self._closing = self._hurry = self._dropping = False
        self._thread: threading.Thread | None = threading.Thread(
            target=self._run, args=(begin,), name=name, daemon=True
        )
        _workers.add(self)
        self._begun = False
        with self._condition:
            self._thread.start()
            self._condition.wait_for(lambda: self._begun)
        if self.error is not None:
            raise self.error

    @property
    def pending(self) -> int:
        """Items that wait."""
        return len(self._items)

    def put(self, item: Any, size: int) -> None:
        """Queue an item of about `size` bytes; wait, if those before it fill the queue."""
        with self._condition:
            if self._bytes > self._capacity and not self._dropping:
                self._wait_for_room()
            if not self._dropping:
                self._items.append((item, size))
                self._bytes += size

    def _wait_for_room(self) -> None:
        since = time.perf_counter()
        self._hurry = True
        self._condition.notify_all()
        self._condition.wait_for(lambda: self._bytes <= self._capacity // 2 or self._dropping)
        self.waited += time.perf_counter() - since

    def flush(self) -> None:
        """Wait until everything put so far is lasting, or the thread has failed."""
        with self._condition:
            if not self._dropping:
                done = threading.Event()
                self._items.append((done, 0))
                self._hurry = True
                self._condition.notify_all()
                self._condition.wait_for(lambda: done.is_set() or self._dropping)

    def close(self) -> None:
        """Work off the queue and end the thread; a second call does nothing."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        if self._thread not in (None, threading.current_thread()):
            self._thread.join()

    def abandon(self) -> None:
        """In a child made by fork: forget the thread, which is not here, and its lock, which it may have held."""
        self._condition, self._dropping = threading.Condition(), True
        self._items.clear()
        self._thread = None  # nobody to wait for

    # ------------------------------------------------ in the thread

    def _run(self, begin: Callable[[], Job]) -> None:
        # The job lives in this frame only. A child made by fork has no such frame, so a database connection in it is
        # never closed there, which would be the parent's ruin.
        job: Job | None = None
        try:
            job = begin()
            self._report(begun=True)
            self._work(job)
        except BaseException as error:
            self.error = error
        if job is not None:
            try:
                job.close(self.error is not None)
            except BaseException as error:
                self.error = self.error or error
        with self._condition:
            self._dropping, self._begun = True, True
            self._items.clear()
            self._condition.notify_all()

    def _work(self, job: Job) -> None:
        while True:
            with self._condition:
                if not self._items:
                    if self._closing:
                        return
                    self._hurry = False
                if not (self._hurry or self._closing):
                    self._condition.wait(INTERVAL)
            since, done = time.monotonic(), list[threading.Event]()
            while self._items:  # only this thread takes some away
                item, size = self._items[0]
                if isinstance(item, threading.Event):
                    done.append(item)
                else:
                    job.handle(item)
                with self._condition:
                    self._items.popleft()
                    self._bytes -= size
                    if self._hurry and self._bytes <= self._capacity // 2:
                        self._condition.notify_all()
                if done or time.monotonic() - since > INTERVAL:
                    break
            job.commit()
            for event in done:
                event.set()
            if done:
                self._report()

    def _report(self, begun: bool = False) -> None:
        with self._condition:
            self._begun = self._begun or begun
            self._condition.notify_all()


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


def _after_fork() -> None:
    for worker in list(_workers):
        worker.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
