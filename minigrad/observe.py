"""The one place that every forward and every gradient passes, and those who look on there.

Observers only look (trace, profile, anomaly detection, recorder); interceptors may change a call (mixed precision, an
ablation). With neither, an operation pays one branch for each.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from minigrad import scopes
from minigrad.scopes import current_modules, parameter_name  # noqa: F401 (what an observer asks for)

if TYPE_CHECKING:
    from minigrad.backend import Backend
    from minigrad.engine import Node
    from minigrad.op import Operation

_numbers = itertools.count()


class Call:
    """One execution of an operation, as observers see it.

    number:  counts all calls that were observed in this process.
    phase:   "forward" or "gradient".
    arrays:  the raw inputs of a forward; the gradients of the outputs for a gradient, each complete, or None.
    outputs: the raw results, once they are there: outputs of a forward, gradients of the inputs for a gradient.
    scope:   the modules it was run for, a gradient those of its forward; None outside of any module.
    inputs:  of a forward, what it was called with: tensors, numbers, None.
    results: of a forward, the tensors it returned, from `recorded` on.
    node:    what was recorded for backward: of a forward from `recorded` on, and None where nothing was.
    forward_number: of a gradient, the number of the forward it belongs to; None if that was not observed.
    """

    __slots__ = (
        "arrays", "backend", "forward_number", "inputs", "node", "number", "observers", "op", "outputs", "params",
        "phase", "results", "scope",
    )  # fmt: skip

    def __init__(
        self,
        op: Operation,
        phase: str,
        backend: Backend,
        arrays: Sequence,
        params: dict,
        node: Node | None,
        inputs: tuple,
    ) -> None:
        self.number = next(_numbers)
        self.op, self.phase, self.backend = op, phase, backend
        self.arrays, self.params, self.node, self.inputs = arrays, params, node, inputs
        self.outputs: tuple[Any, ...] = ()
        self.results: tuple[Any, ...] = ()
        seen: tuple[int | None, scopes.Scope | None] = (None, scopes.current()) if node is None else node.seen
        self.forward_number, self.scope = seen
        # Those of now: one may come or go while it runs
        self.observers = observers if _seen.by is None else (_seen.by,)

    @property
    def modules(self) -> tuple[str, ...]:
        """Dotted paths of the modules it was run for: one, or those that a composite joins; () outside of any."""
        return () if self.scope is None else self.scope.modules


class Observer(Protocol):
    """Looks on at every forward and gradient; must not change anything.

    It may also have `recorded(call)`, called after a forward when the tensors it returns are there, with what was
    recorded for backward; and `before_update(optimizer)` and `after_update(optimizer)`, called around a step.
    """

    def before(self, call: Call) -> None:
        """Called before the operation runs."""

    def after(self, call: Call) -> None:
        """Called when it has run, with `call.outputs` filled in."""


Proceed = Callable[[tuple, dict], Any]
Interceptor = Callable[["Operation", tuple, dict, Proceed], Any]

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
    """Let `interceptor(op, inputs, params, proceed)` stand in for every operation within the block.

    It returns what the operation is to return, by custom what `proceed(inputs, params)` does: that runs the operation
    and records it, after the interceptors of blocks further in. Operations that the interceptor calls itself pass those
    further in only, so it does not see its own.

    >>> import minigrad as mg
    >>> def doubled(op, inputs, params, proceed):
    ...     result = proceed(inputs, params)
    ...     return result * 2 if op.name == "exp" else result
    >>> with intercept(doubled):
    ...     mg.exp(mg.zeros(2))
    tensor([2., 2.])
    """
    global interceptors
    interceptors += (interceptor,)
    try:
        yield
    finally:
        interceptors = _without_last(interceptors, interceptor)


class _Seen(threading.local):
    """Who alone sees what this thread does; None for everybody."""

    by: Observer | None = None


_seen = _Seen()


@contextmanager
def seen_by(observer: Observer) -> Iterator[None]:
    """Within the block, operations of this thread are seen by this observer alone: they are its own doing."""
    before, _seen.by = _seen.by, observer
    try:
        yield
    finally:
        _seen.by = before


def _without_last(all_: tuple, one: Any) -> tuple:
    """Without the last `one`: the same may look on twice, from blocks one inside the other."""
    last = max(i for i, other in enumerate(all_) if other is one)
    return all_[:last] + all_[last + 1 :]


# ---------------------------------------------------------------- what the engine calls


class _Asking(threading.local):
    """Within an interceptor, those that have yet to be asked; None outside of any."""

    left: tuple[Interceptor, ...] | None = None


_asking = _Asking()


def ask(apply: Callable[[Any, tuple, dict], Any], op: Operation, inputs: tuple, params: dict) -> Any:
    """What the next interceptor makes of a call; NotImplemented if all have been asked."""
    before = _asking.left
    waiting = interceptors if before is None else before
    if not waiting:
        return NotImplemented
    _asking.left = waiting[1:]
    try:
        return waiting[0](op, inputs, params, lambda inputs, params: apply(op, inputs, params))
    finally:
        _asking.left = before


def begin(
    op: Operation,
    phase: str,
    backend: Backend,
    arrays: Sequence,
    params: dict,
    node: Node | None = None,
    inputs: tuple = (),
) -> Call:
    """Let the observers there are see what is about to run; `end` is for the same ones."""
    call = Call(op, phase, backend, arrays, params, node, inputs)
    for observer in call.observers:
        observer.before(call)
    return call


def end(call: Call, result: Any) -> None:
    """Let them see what came of it; not called if nothing did."""
    call.outputs = result if type(result) is tuple else (result,)
    for observer in reversed(call.observers):
        observer.after(call)


def recorded(call: Call, results: tuple, node: Node | None) -> None:
    """Let those who want to know see the tensors of a forward and its node, which remembers by whom it was seen."""
    call.results, call.node = results, node
    if node is not None:
        node.seen = call.number, call.scope
    for observer in reversed(call.observers):
        if (see := getattr(observer, "recorded", None)) is not None:
            see(call)


@contextmanager
def updating(optimizer: Any) -> Iterator[None]:
    """Let those who want to know look on at an optimiser's step."""
    seeing: list[Any] = [o for o in observers if hasattr(o, "before_update")]
    for observer in seeing:
        observer.before_update(optimizer)
    yield
    for observer in reversed(seeing):
        observer.after_update(optimizer)
