"""Which module is running: the paths that operations are observed under.

A module does not know its own name; it has one in the tree of the module that was called first, the root. While
somebody observes, `Module.__call__` enters a scope here, and an operation belongs to the innermost one. A composite
runs several layers as one operation: it belongs to all of them.

The stack is each thread's own. Nothing here knows what a module is, only that it can name its parts
(`named_modules`, `named_parameters`, `named_buffers`).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class Scope(NamedTuple):
    """Where an operation runs.

    root:    the module that was called first.
    modules: dotted paths, in the root's tree, of the modules the operation is run for: one, or those that a composite
             joins. "" is the root itself.
    entry:   counts the calls of roots in this process.
    """

    root: Any
    modules: tuple[str, ...]
    entry: int


_entries = itertools.count()


class _Root:
    """A module that was called, not by another one, and the names in its tree as they are at that time."""

    def __init__(self, module: Any) -> None:
        self.module, self.entry = module, next(_entries)
        self.paths = {id(part): path for path, part in module.named_modules()}
        self._names: dict[int, str] | None = None

    @property
    def names(self) -> dict[int, str]:
        """Of parameters and buffers, by identity; found when first asked for."""
        if self._names is None:
            self._names = {id(t): name for name, t in self.module.named_buffers()}
            self._names |= {id(t): name for name, t in self.module.named_parameters()}
        return self._names

    def scope(self, parts: tuple[Any, ...], outer: str) -> Scope:
        """The scope of modules that run within the one at the path `outer`."""
        found = [(part, self.paths.get(id(part))) for part in parts]
        paths = [_named(part, outer) if path is None else path for part, path in found]
        return Scope(self.module, tuple(paths), self.entry)


def _named(part: Any, outer: str) -> str:
    """A module that is in no attribute of the tree goes by its class."""
    kind = type(part).__name__
    return f"{outer}.{kind}" if outer else kind


class _Stack(threading.local):
    def __init__(self) -> None:
        self.root: _Root | None = None
        self.scopes: list[Scope] = []


_stack = _Stack()


@contextmanager
def running(*modules: Any) -> Iterator[Scope]:
    """Within the block these modules run: one that was called, or several that a composite joins."""
    stack = _stack
    outermost = stack.root is None
    try:
        if stack.root is None:
            stack.root = _Root(modules[0])
            scope = Scope(modules[0], ("",), stack.root.entry)
        else:
            scope = stack.root.scope(modules, stack.scopes[-1].modules[0] if stack.scopes else "")
        stack.scopes.append(scope)
        try:
            yield scope
        finally:
            stack.scopes.pop()
    finally:
        if outermost:
            stack.root = None


def current() -> Scope | None:
    """The scope that this thread is in, if any."""
    return _stack.scopes[-1] if _stack.scopes else None


def current_modules() -> tuple[str, ...]:
    """The paths of the modules that are running now, innermost: one, or those that a composite joins; or none."""
    return _stack.scopes[-1].modules if _stack.scopes else ()


def parameter_name(tensor: Any) -> str | None:
    """The dotted name of a parameter or buffer in the tree of the module that runs; None for other tensors."""
    return None if _stack.root is None else _stack.root.names.get(id(tensor))
