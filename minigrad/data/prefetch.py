"""Work done ahead in threads, handed out in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

Number = TypeVar("Number")
Result = TypeVar("Result")

AHEAD = 2  # results kept ready for each thread


def prefetched(
    make: Callable[[Number], Result], numbers: Iterable[Number], num_workers: int
) -> Generator[Result, None, None]:
    """make(number) for each number, in order, computed by `num_workers` threads at most 2 num_workers results ahead.

    With num_workers 0 each result is computed when it is asked for. An error in `make` is raised here in its turn, with
    the thread's own traceback. When the iteration ends or is left, however it is left, nothing more is begun, and a
    thread ends as soon as it has finished the result it is at; nobody waits for it.
    """
    if num_workers == 0:
        yield from map(make, numbers)
        return
    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="minigrad-loader")
    begun: deque[Future[Result]] = deque()
    try:
        for number in numbers:
            begun.append(pool.submit(make, number))
            if len(begun) > AHEAD * num_workers:
                yield _finished(begun.popleft())
        while begun:
            yield _finished(begun.popleft())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _finished(future: Future[Result]) -> Result:
    while not wait([future], timeout=1.0).done:
        pass  # only a wait with an end lets an interrupt from the keyboard through on every system
    return future.result()
