"""Whether graphs are recorded: a mode of each thread, and the ways to change it."""

from __future__ import annotations

import inspect
import threading
from contextlib import AbstractContextManager, ContextDecorator
from typing import Any

from minigrad.errors import ArgumentError


class _Mode(threading.local):  # a loader's thread must not switch off the gradients of the main one
    grad_enabled = True


_mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operations of this thread record a graph."""
    return _mode.grad_enabled


class GradMode(ContextDecorator):
    """Whether graphs are recorded in this thread, within a block or a decorated function; may be entered again."""

    def __init__(self, mode: bool) -> None:
        self._enabled = mode
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(_mode.grad_enabled)
        _mode.grad_enabled = self._enabled

    def __exit__(self, *error: object) -> None:
        _mode.grad_enabled = self._before.pop()

    def __call__(self, function: Any) -> Any:
        if inspect.isgeneratorfunction(function):  # its body runs after the call, when the mode is left again
            raise ArgumentError(
                f"{function.__name__} is a generator, which a decorator cannot keep from recording graphs; "
                "write `with mg.no_grad():` inside it"
            )
        return super().__call__(function)

    def _recreate_cm(self) -> GradMode:  # a decorated function may run in several threads
        return GradMode(self._enabled)


class set_grad_enabled(GradMode):
    """Record graphs, or do not, in this thread: from now on, or within a block, or within a decorated function.

    `mg.set_grad_enabled(False)`; `with mg.set_grad_enabled(training): ...`; `@mg.set_grad_enabled(False)`.
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode))
        super().__enter__()  # at once: as a statement it has no block to enter

    def __enter__(self) -> None:
        if not self._before:
            super().__enter__()

    def __call__(self, function: Any) -> Any:
        self.__exit__()
        return super().__call__(function)


def no_grad() -> AbstractContextManager[None]:
    """Record no graph within the block: `with mg.no_grad(): ...`, or `@mg.no_grad()` above a function."""
    return GradMode(False)


def enable_grad() -> AbstractContextManager[None]:
    """Record graphs within the block, also inside `no_grad`."""
    return GradMode(True)
