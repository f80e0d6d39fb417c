"""Values that a trace holds: by reference as long as nobody writes to them, as copies from then on, within a budget.

An operation's result is not written to by other operations, and its memory is used again only when nobody refers to
it, so holding a reference costs no time. Who writes in place says so before (`Storage.before_write`): then we copy.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

from minigrad.storage import Storage


class Held:
    """One array's values, as they were when it was held; None once the budget has let them go."""

    __slots__ = ("__weakref__", "array", "source")

    def __init__(self, array: Any, source: Any) -> None:
        self.array, self.source = array, weakref.ref(source)


class Budget:
    """How many bytes may be held, and what is.

    held:    bytes held so far, each piece of memory counted once.
    dropped: how many arrays were not held since they would have gone beyond the limit.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.held, self.dropped = limit, 0, 0
        self._known: dict[tuple[int, Any], Held] = {}
        self._counted: dict[int, int] = {}  # bytes, by the array that owns them
        self._lock = threading.Lock()

    def hold(self, array: Any, storage: Storage | None) -> Held | None:
        """Hold an array's values; None where that would go beyond the limit.

        storage: of the tensor; what others can write to unseen (`external`) is copied at once. None for an array that
                 belongs to no tensor, which nobody writes to.
        """
        key = id(array), None if storage is None else storage.stamp(array)
        with self._lock:
            known = self._known.get(key)
            if known is not None and known.source() is array:
                return known
            copied = storage is not None and storage.external
            whole = _owner(array)
            owner, size = id(whole), array.nbytes
            # A broadcast view is larger than its memory; and of one piece of memory, the largest view counts
            new = size if copied else max(min(size, whole.nbytes) - self._counted.get(owner, 0), 0)
            if self.held + new > self.limit:
                self.dropped += 1
                return None
            self.held += new
            held = self._known[key] = Held(array.copy() if copied else array, array)
            if not copied:
                self._counted[owner] = self._counted.get(owner, 0) + new
                if storage is not None:
                    waiting = [keep for keep in storage.before_write or () if not _is_over(keep)]
                    storage.before_write = [*waiting, _Copying(held, self)]
            return held

    def copy(self, held: Held) -> None:
        """Take a copy, or let it go if several of one piece of memory would go beyond the limit: it is about to change.

        From then on that piece counts anew for who holds it again.
        """
        with self._lock:
            new = max(held.array.nbytes - self._counted.pop(id(_owner(held.array)), 0), 0)
            if self.held + new > self.limit:
                held.array = None
                self.dropped += 1
            else:
                self.held += new
                held.array = held.array.copy()


class _Copying:
    """Called before a write: has the budget copy what is held, if anybody still holds it."""

    __slots__ = ("budget", "held")

    def __init__(self, held: Held, budget: Budget) -> None:
        self.held, self.budget = weakref.ref(held), weakref.ref(budget)

    def __call__(self) -> None:
        held, budget = self.held(), self.budget()
        if held is not None and budget is not None:
            budget.copy(held)
        elif held is not None:  # a record has outlived its trace
            held.array = held.array.copy()


def values_of(held: Held | None) -> Any:
    """The array, or None."""
    return None if held is None else held.array


def _is_over(keep: Any) -> bool:
    """Whether the trace that wanted a copy is gone."""
    return isinstance(keep, _Copying) and keep.held() is None


def _owner(array: Any) -> Any:
    base = getattr(array, "base", None)
    while isinstance(base, type(array)):
        array, base = base, base.base
    return array
