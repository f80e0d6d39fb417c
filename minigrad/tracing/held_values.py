"""Values that a trace holds: by reference as long as nobody writes to them, as copies from then on, within a budget.

An operation's result is not written to by other operations, and its memory is used again only when nobody refers to
it, so holding a reference costs no time. Who writes in place says so before (`Storage.before_write`): then we copy.
"""

from __future__ import annotations

import weakref
from typing import Any

from minigrad.storage import Storage


class Held:
    """One array's values, as they were when it was held."""

    __slots__ = ("__weakref__", "array", "source")

    def __init__(self, array: Any, source: Any) -> None:
        self.array, self.source = array, weakref.ref(source)

    def copy(self) -> None:
        """Take a copy: the memory is about to change."""
        self.array = self.array.copy()


class Budget:
    """How many bytes may be held, and what is.

    held:    bytes held so far, each piece of memory counted once.
    dropped: how many arrays were not held since they would have gone beyond the limit.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.held, self.dropped = limit, 0, 0
        self._known: dict[tuple[int, int], Held] = {}
        self._owners: set[int] = set()

    def hold(self, array: Any, storage: Storage | None) -> Held | None:
        """Hold an array's values; None where that would go beyond the limit.

        storage: of the tensor; what others can write to unseen (`external`) is copied at once. None for an array that
                 belongs to no tensor, which nobody writes to.
        """
        key = id(array), -1 if storage is None else storage.version
        known = self._known.get(key)
        if known is not None and known.source() is array:
            return known
        owner = _owner(array)
        new = 0 if id(owner) in self._owners else array.nbytes
        if self.held + new > self.limit:
            self.dropped += 1
            return None
        self.held += new
        held = self._known[key] = Held(
            array.copy() if storage is not None and storage.external else array, array
        )
        if held.array is array:
            self._owners.add(id(owner))
            if storage is not None:
                reference = weakref.ref(held)
                storage.before_write = [*(storage.before_write or ()), lambda: _copy(reference)]
        return held


def _copy(reference: weakref.ref[Held]) -> None:
    held = reference()
    if held is not None:
        held.copy()


def _owner(array: Any) -> Any:
    base = getattr(array, "base", None)
    while isinstance(base, type(array)):
        array, base = base, base.base
    return array
