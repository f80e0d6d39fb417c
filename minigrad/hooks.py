"""What registering a hook gives back."""

from __future__ import annotations

import itertools
from collections.abc import Callable

_ids = itertools.count()


class HookHandle:
    """What registering a hook returns; `remove()` takes the hook away again."""

    def __init__(self, hooks: dict[int, Callable], key: int) -> None:
        self._hooks, self._key = hooks, key

    @classmethod
    def adding(cls, hook: Callable, hooks: dict[int, Callable]) -> HookHandle:
        """Add a hook behind those that are there; returns its handle."""
        hooks[key := next(_ids)] = hook
        return cls(hooks, key)

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self._hooks.pop(self._key, None)
