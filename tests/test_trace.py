"""The profile: calls, floating-point operations and seconds of each operation, forward and backward."""

from __future__ import annotations

import sys
import threading
import time

import pytest

import minigrad as mg
from minigrad import observe
from minigrad.errors import ShapeError
from minigrad.nn import functional as F
from minigrad.tracing import Profile


def test_calls_are_counted_by_operation_and_phase():
    x = mg.ones(4, 4, requires_grad=True)
    with mg.profile() as p:
        (mg.exp(x) + mg.exp(x)).sum().backward()
    calls = {key: row[0] for key, row in p.rows.items()}
    assert calls == {
        (name, phase): count
        for name, count in (("exp", 2), ("add", 1), ("sum", 1))
        for phase in ("forward", "gradient")
    }
    with mg.no_grad(), mg.profile() as q:
        mg.exp(x)
    assert {key: row[0] for key, row in q.rows.items()} == {("exp", "forward"): 1}
    assert p.rows["exp", "forward"][0] == 2  # the first saw nothing of it


def test_nothing_is_seen_outside_the_block():
    with mg.profile() as p:
        pass
    mg.exp(mg.ones(2))
    assert (p.rows, p.seconds) == ({}, 0)
    assert observe.observers == ()


@pytest.mark.parametrize(
    ("call", "name", "flops"),
    [
        # a multiply-add is two: each of the 3 x 5 results of a product sums over 4
        (lambda: mg.ones(3, 4) @ mg.ones(4, 5), "matmul", 2 * 3 * 5 * 4),
        (lambda: mg.ones(7, 3, 4) @ mg.ones(4, 5), "matmul", 7 * 2 * 3 * 5 * 4),
        # each of the 2 x 8 x 6 x 6 results of a convolution sees 3 channels through a window of 3 x 3
        (
            lambda: F.conv2d(mg.ones(2, 3, 8, 8), mg.ones(8, 3, 3, 3)),
            "conv2d",
            2 * (2 * 8 * 6 * 6) * (3 * 3 * 3),
        ),
        # in 2 groups only half of the 4 channels, with stride 2 and padding 1 at 4 x 4 places
        (
            lambda: F.conv2d(mg.ones(1, 4, 8, 8), mg.ones(6, 2, 3, 3), None, 2, 1, groups=2),
            "conv2d",
            2 * (6 * 4 * 4) * (2 * 3 * 3),
        ),
    ],
)
def test_floating_point_operations_by_hand(call, name, flops):
    with mg.profile() as p:
        call()
        call()
    assert p.rows[name, "forward"][::2] == [2, 2 * flops]


def test_gradients_have_no_floating_point_operations():
    x = mg.ones(3, 3, requires_grad=True)
    with mg.profile() as p:
        (x @ x).sum().backward()
    assert p.rows["matmul", "gradient"][2] == 0


class Clock:
    """Time that advances by one second whenever someone looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def test_seconds_are_an_operations_own(monkeypatch):
    """Under create_graph a gradient runs operations, which are seen too: each second belongs to one of them."""
    monkeypatch.setattr(time, "perf_counter", Clock())
    x = mg.tensor(3.0, requires_grad=True)
    y = x * x
    with mg.profile() as p:
        mg.grad(y, x, create_graph=True)
    # mul's gradient: two products inside it, and their sum outside; a second passes between any two looks at the clock
    assert p.rows["mul", "forward"][:2] == [2, 2]
    assert p.rows["mul", "gradient"][:2] == [1, 3]
    assert p.seconds == sum(row[1] for row in p.rows.values())


def test_an_operation_that_fails_leaves_the_others_right(monkeypatch):
    monkeypatch.setattr(time, "perf_counter", Clock())
    x = mg.ones(2, 3)
    with mg.profile() as p:
        with pytest.raises(ShapeError):
            x @ x
        mg.exp(x)
    assert {key: row[:2] for key, row in p.rows.items()} == {("exp", "forward"): [1, 1]}


def test_the_table_puts_the_longest_first():
    p = Profile()
    assert p.table().splitlines()[0].split() == ["operation", "phase", "calls", "seconds", "share", "GFLOP/s"]
    p.rows = {
        ("exp", "forward"): [4, 0.5, 1e9],
        ("conv2d", "gradient"): [1, 1.5, 0.0],
        ("sum", "forward"): [1, 0.0, 5.0],
    }
    assert [line.split() for line in p.table(limit=2).splitlines()[1:]] == [
        ["conv2d", "gradient", "1", "1.500", "75.0%"],
        ["exp", "forward", "4", "0.500", "25.0%", "2.0"],
    ]
    assert p.seconds == 2


def test_threads_are_added_up_without_loss():
    def work():
        x = mg.ones(2)
        for _ in range(500):
            x * 2.0

    often, before = 1e-6, sys.getswitchinterval()
    threads = [threading.Thread(target=work) for _ in range(4)]
    sys.setswitchinterval(often)
    try:
        with mg.profile() as p:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(before)
    assert (p.rows["mul", "forward"][0], p.rows["mul", "forward"][2]) == (2000, 4000)
