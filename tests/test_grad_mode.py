"""Switching the recording of graphs on and off: blocks, decorators, statements, threads."""

from __future__ import annotations

import math
import threading

import pytest

import minigrad as mg
from minigrad.errors import ArgumentError


def recorded() -> bool:
    return (mg.ones(2, requires_grad=True) * 2).requires_grad


def test_one_object_may_be_entered_again_and_within_itself():
    off = mg.no_grad()
    for _ in range(2):
        with off:
            assert not recorded()
            with off:
                assert not recorded()
            assert not recorded()
        assert recorded()


def test_an_error_inside_the_block_restores_the_mode():
    with pytest.raises(ValueError, match="domain"), mg.no_grad():
        math.sqrt(-1.0)
    assert recorded()


def test_as_a_statement_set_grad_enabled_holds_from_then_on():
    mg.set_grad_enabled(False)
    try:
        assert not recorded()
    finally:
        mg.set_grad_enabled(True)
    assert recorded()


def test_as_a_block_and_as_a_decorator_set_grad_enabled_goes_back():
    for mode in (False, True):
        with mg.set_grad_enabled(mode):
            assert recorded() == mode
        assert recorded()
    decorated = mg.set_grad_enabled(False)(recorded)
    assert recorded()  # decorating switches nothing off
    assert not decorated()
    assert recorded()


def test_a_decorated_function_may_run_in_threads_at_once():
    inside, leave = threading.Barrier(2, timeout=10), threading.Barrier(2, timeout=10)
    seen = []

    @mg.no_grad()
    def work():
        inside.wait()
        seen.append(recorded())
        leave.wait()

    def thread():
        work()
        seen.append(recorded())

    threads = [threading.Thread(target=thread) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(seen) == [False, False, True, True]


def test_a_generator_cannot_be_decorated():
    def batches():
        yield recorded()

    with pytest.raises(ArgumentError, match="batches is a generator"):
        mg.no_grad()(batches)
