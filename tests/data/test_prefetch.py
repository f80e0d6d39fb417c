"""Threads that work ahead: the same batches, errors in their turn, and nobody left behind."""

from __future__ import annotations

import _thread
import subprocess
import sys
import textwrap
import threading
import time
import traceback

import numpy as np
import pytest

from minigrad.data import ArrayDataset, DataLoader, MixUp, RandomAffine, RandomShift, ToFloat
from minigrad.data.prefetch import prefetched
from minigrad.errors import ArgumentError


def loader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("minigrad-loader")]


def wait_for(condition, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


@pytest.fixture(autouse=True)
def _no_thread_stays():
    yield
    assert wait_for(lambda: not loader_threads()), "a loader's thread is still alive"


@pytest.mark.parametrize("num_workers", [1, 2, 5])
def test_threads_change_no_bit(num_workers):
    images = np.random.default_rng(0).integers(0, 256, (50, 1, 9, 9), np.uint8)

    def augment(batch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return RandomAffine(20)(ToFloat()(RandomShift(2)(batch, rng)), rng)

    def epochs(workers: int) -> list[bytes]:
        loader = DataLoader(
            ArrayDataset(images, np.arange(50) % 4),
            *(7, True),
            seed=1,
            transform=augment,
            batch_transform=MixUp(1.0, 4),
            num_workers=workers,
        )
        return [array.numpy().tobytes() for _ in range(3) for batch in loader for array in batch]

    assert epochs(num_workers) == epochs(0)


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_results_come_in_order_however_long_they_take(num_workers):
    delays = np.random.default_rng(0).uniform(0, 0.004, 60)

    def make(number: int) -> int:
        time.sleep(delays[number])
        return number

    assert list(prefetched(make, range(60), num_workers)) == list(range(60))
    assert list(prefetched(make, [], num_workers)) == []


def test_threads_work_at_the_same_time():
    together = threading.Barrier(3)  # passed only by three at once

    def make(number: int) -> int:
        return together.wait(timeout=5)

    assert sorted(prefetched(make, range(3), 3)) == [0, 1, 2]


@pytest.mark.parametrize("num_workers", [1, 3])
def test_never_more_than_two_ahead_for_each_thread(num_workers):
    begun = []
    iterator = prefetched(begun.append, range(1000), num_workers)
    for taken in range(1, 20):
        next(iterator)
        time.sleep(0.002)
        assert len(begun) <= taken + 2 * num_workers
    assert wait_for(lambda: len(begun) == 19 + 2 * num_workers)  # and as many as that
    iterator.close()


def failing(number: int) -> int:
    if number == 4:
        raise LookupError("the fifth is broken")
    return number


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_an_error_comes_in_its_turn_with_its_traceback(num_workers):
    seen = []
    with pytest.raises(LookupError, match="the fifth is broken") as caught:
        seen.extend(prefetched(failing, range(100), num_workers))
    assert seen == [0, 1, 2, 3]
    assert any(frame.name == "failing" for frame in traceback.extract_tb(caught.value.__traceback__))


def test_a_broken_dataset_is_reported_by_the_loader():
    class Broken(ArrayDataset):
        def __getitem__(self, indices):
            if 5 in indices:
                raise OSError("sample 5 cannot be read")
            return super().__getitem__(indices)

    loader = DataLoader(Broken(np.zeros((8, 1)), np.arange(8)), 2, num_workers=2)
    seen = []
    with pytest.raises(OSError, match="sample 5") as caught:
        seen.extend(loader)
    assert len(seen) == 2
    assert "__getitem__" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


def test_leaving_the_loop_stops_the_threads_at_once():
    begun = []

    def make(number: int) -> int:
        begun.append(number)
        time.sleep(0.05)
        return number

    began = time.monotonic()
    for number in prefetched(make, range(10_000), 2):
        if number == 2:
            break
    left = time.monotonic()
    del number
    assert wait_for(lambda: not loader_threads(), 1.0)
    assert left - began < 1.0
    count = len(begun)
    assert count <= 2 + 1 + 2 * 2
    time.sleep(0.1)
    assert len(begun) == count


def test_leaving_waits_for_no_slow_thread_and_begins_nothing_more():
    go = threading.Event()
    begun = []

    def make(number: int) -> int:
        begun.append(number)
        if number:
            go.wait(10)
        return number

    began = time.monotonic()
    for _ in prefetched(make, range(100), 2):
        assert wait_for(lambda: len(begun) == 3)  # the first is done, both threads are held up
        break
    assert time.monotonic() - began < 2
    go.set()
    assert wait_for(lambda: not loader_threads())
    assert sorted(begun) == [0, 1, 2]


def test_an_error_in_the_loop_stops_the_threads():
    def consume() -> None:
        for number in prefetched(lambda number: number, range(10_000), 2):
            if number == 3:
                raise RuntimeError("in the user's loop")

    with pytest.raises(RuntimeError, match="user's loop"):
        consume()


def test_an_iterator_that_was_never_begun_or_is_forgotten_leaves_nothing():
    loader = DataLoader(ArrayDataset(np.zeros((8, 1)), np.arange(8)), 2, num_workers=2)
    iter(loader)
    next(iter(loader))


def test_an_interrupt_gets_through_while_waiting():
    go = threading.Event()
    threading.Timer(0.3, _thread.interrupt_main).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(prefetched(lambda number: go.wait(10), range(100), 2))
    assert time.monotonic() - began < 5
    go.set()


@pytest.mark.parametrize("leave", ["sys.exit(3)", "raise SystemExit(3)"])
def test_a_program_ends_though_an_iterator_is_open(leave):
    script = f"""
        import sys, time
        from minigrad.data.prefetch import prefetched
        iterator = prefetched(lambda number: time.sleep(0.01), range(10**9), 3)
        next(iterator)
        {leave}
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=60)
    assert ended.returncode == 3


def test_loaders_within_loaders_do_not_block_each_other():
    def outer(number: int) -> int:
        return sum(prefetched(lambda inner: inner, range(20), 2)) + number

    assert list(prefetched(outer, range(10), 2)) == [190 + number for number in range(10)]


@pytest.mark.parametrize("num_workers", [-1, 1.0, None, True])
def test_impossible_numbers_of_threads_are_refused(num_workers):
    with pytest.raises(ArgumentError, match="num_workers"):
        DataLoader(ArrayDataset(np.zeros((8, 1)), np.arange(8)), num_workers=num_workers)
