"""The one place that every forward and every gradient passes, and those who look on there.

Observers only look (trace, profile, anomaly detection); interceptors may change a call before it is recorded
(mixed precision). With neither, an operation pays one branch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from minigrad.backend import Backend
    from minigrad.engine import Node
    from minigrad.op import Operation


class Call:
    """One execution of an operation, as observers see it.

    phase:   "forward" or "gradient".
    arrays:  the raw inputs of a forward; the gradients of the outputs for a gradient.
    outputs: the raw results, once they are there: outputs of a forward, gradients of the inputs for a gradient.
    node:    the recorded node, for a gradient; None in a forward, where nothing is recorded yet.
    """

    __slots__ = ("arrays", "backend", "node", "observers", "op", "outputs", "params", "phase")

    def __init__(
        self, op: Operation, phase: str, backend: Backend, arrays: Sequence, params: dict, node: Node | None
    ) -> None:
        self.op, self.phase, self.backend = op, phase, backend
        self.arrays, self.params, self.node = arrays, params, node
        self.outputs: tuple[Any, ...] = ()
        self.observers = observers  # those of now: one may come or go while it runs


class Observer(Protocol):
    """Looks on at every forward and gradient; must not change anything."""

    def before(self, call: Call) -> None:
        """Called before the operation runs."""

    def after(self, call: Call) -> None:
        """Called when it has run, with `call.outputs` filled in."""


Interceptor = Callable[["Operation", tuple, dict], tuple[tuple, dict]]

observers: tuple[Observer, ...] = ()
interceptors: tuple[Interceptor, ...] = ()


@contextmanager
def observe(observer: Observer) -> Iterator[Observer]:
    """Let `observer` see every operation within the block, those of other threads (a loader's, say) too."""
    global observers
    observers += (observer,)
    try:
        yield observer
    finally:
        observers = _without_last(observers, observer)


@contextmanager
def intercept(interceptor: Interceptor) -> Iterator[None]:
    """Let `interceptor(op, inputs, params) -> (inputs, params)` change calls before any observer sees them."""
    global interceptors
    interceptors += (interceptor,)
    try:
        yield
    finally:
        interceptors = _without_last(interceptors, interceptor)


def _without_last(all_: tuple, one: Any) -> tuple:
    """Without the last `one`: the same may look on twice, from blocks one inside the other."""
    last = max(i for i, other in enumerate(all_) if other is one)
    return all_[:last] + all_[last + 1 :]


def begin(
    op: Operation, phase: str, backend: Backend, arrays: Sequence, params: dict, node: Node | None = None
) -> Call:
    """Let the observers there are see what is about to run; `end` is for the same ones."""
    call = Call(op, phase, backend, arrays, params, node)
    for observer in call.observers:
        observer.before(call)
    return call


def end(call: Call, result: Any) -> None:
    """Let them see what came of it; not called if nothing did."""
    call.outputs = result if type(result) is tuple else (result,)
    for observer in reversed(call.observers):
        observer.after(call)
