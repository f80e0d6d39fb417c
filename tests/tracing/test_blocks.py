"""A trace stays in order whatever happens in its block: errors, other traces, threads, long loops."""

from __future__ import annotations

import gc
import sys
import threading
import time
import weakref

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import GraphError, ShapeError


def names(trace) -> list[str]:
    return [record.name for record in trace]


def test_an_operation_that_fails_leaves_no_record():
    with mg.trace("full") as t:
        mg.exp(mg.ones(2))
        for _ in range(3):
            with pytest.raises(ShapeError):
                mg.ones(2, 3) @ mg.ones(2, 3)
        mg.exp(mg.ones(2))
    assert names(t) == ["exp_1", "exp_2"]
    assert t.replay() == []


def test_a_gradient_that_fails_leaves_the_others_right():
    x = mg.ones(3, requires_grad=True)
    with mg.trace("stats") as t:
        y = mg.exp(x)
        z = (y * 2.0).sum()
        y.detach().fill_(1.0)
        with pytest.raises(GraphError, match="changed in place"):
            z.backward()
        mg.exp(x).sum().backward()
    assert t["mul_1"].gradient_seconds is not None
    assert t["exp_1"].gradient_seconds is None
    assert t["exp_2"].inputs[0].gradient.count == 3


def test_an_exception_ends_the_trace_and_keeps_what_it_saw():
    with pytest.raises(KeyError), mg.trace() as t:  # noqa: PT012
        mg.exp(mg.ones(2))
        raise KeyError
    mg.exp(mg.ones(2))
    assert names(t) == ["exp_1"]


def test_nested_traces_each_see_their_own():
    x = mg.ones(2, requires_grad=True)
    with mg.trace("meta") as outer:
        y = mg.exp(x)
        with mg.trace("full") as inner:
            z = mg.log(y)
        z.sum().backward()
    assert names(outer) == ["exp_1", "log_1", "sum_1"]
    assert names(inner) == ["log_1"]
    assert outer[1].parents == [0]
    assert (inner[0].parents, inner[0].gradient_seconds) == ([], None)
    assert outer[1].gradient_seconds > 0


def test_what_ran_before_the_trace_is_unknown_to_it():
    x = mg.ones(2, requires_grad=True)
    y = mg.exp(x)
    with mg.trace("full") as t:
        mg.log(y).sum().backward()
    assert names(t) == ["log_1", "sum_1"]
    assert t[0].inputs[0].parent is None
    assert t[0].inputs[0].gradient.count == 2  # it goes out of the trace
    assert t[0].output().gradient.count == 2


def test_second_derivatives_are_operations_like_others():
    x = mg.tensor([2.0, 3.0], requires_grad=True)
    with mg.trace("full") as t:
        (g,) = mg.grad((x * x * x).sum(), [x], create_graph=True)
        first = len(t)
        g.sum().backward()
    assert len(t) > first > 3
    np.testing.assert_array_equal(x.grad.numpy(), [12.0, 18.0])
    assert t.replay() == []
    assert all(0 <= r.gradient_seconds < 1 for r in t if r.gradient_seconds is not None)


def test_a_gradient_under_create_graph_is_replayed_as_such():
    x = mg.tensor([2.0, 3.0], requires_grad=True)
    with mg.trace("full") as t:
        (g,) = mg.grad((x * x * x).sum(), [x], create_graph=True)
    assert t["mul_1"].gradient_recorded
    assert t.replay() == []
    values = t["mul_1"].inputs[0].gradient_value.copy()
    g.detach().fill_(7.0)
    np.testing.assert_array_equal(t["mul_1"].inputs[0].gradient_value, values)


class Clock:
    """Time that advances by one second whenever someone looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def test_seconds_are_an_operations_own(monkeypatch):
    x = mg.tensor(3.0, requires_grad=True)
    with mg.trace("meta") as t:
        y = x * x
        monkeypatch.setattr(time, "perf_counter", Clock())
        mg.grad(y, x, create_graph=True)
        monkeypatch.undo()
    # Of the gradient: two products inside it, a second each; a second before, between and after them
    assert t["mul_1"].gradient_seconds == 3
    assert [r.forward_seconds for r in t.find("mul*")[1:]] == [1, 1]


def test_two_threads_at_a_time():
    """Every call has a record, parents lie in the same thread, and bytes are freed for each."""

    def work(size: int) -> None:
        x = mg.ones(size, requires_grad=True)
        for _ in range(40):
            mg.log(mg.exp(x)).sum().backward()

    before = sys.getswitchinterval()
    threads = [threading.Thread(target=work, args=(n,)) for n in (3, 5)]
    sys.setswitchinterval(1e-6)
    try:
        with mg.trace("full") as t:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(before)
    assert len(t) == 240
    assert [r.number for r in t] == list(range(240))
    assert len(set(names(t))) == 240
    assert sorted(t.find("exp*"), key=lambda r: int(r.name[4:])) == t.find("exp*")
    for record in t.find(op="log"):
        (parent,) = record.parents
        assert t[parent].op.name == "exp"
        assert t[parent].outputs[0].shape == record.outputs[0].shape
        assert record.number in t[parent].children
        assert record.outputs[0].gradient.count == record.outputs[0].shape[0]
    freed = [r.bytes_freed == r.bytes_saved > 0 for r in t.find(op="exp")]
    assert sum(freed) >= 78  # the last of a thread that ends is not known to be
    assert t.replay() == []


def test_a_trace_of_a_long_loop_holds_no_arrays():
    """At the level "meta" what a trace holds does not depend on how large the arrays are."""
    alive = []
    x = mg.ones(1000, requires_grad=True)
    with mg.trace("meta") as t:
        for _ in range(300):
            y = mg.exp(x)
            alive.append(weakref.ref(y.array))
            y.sum().backward()
            x.grad = None
            with pytest.raises(ShapeError):
                y + mg.ones(999)
    del y
    gc.collect()
    assert sum(reference() is not None for reference in alive) == 0
    assert len(t) == 600
    assert len(t._tracer._tensors) == 0


def test_the_identities_table_stays_small():
    with mg.trace("meta") as t:
        for _ in range(2000):
            mg.exp(mg.ones(3))
        assert len(t._tracer._tensors) < 400
