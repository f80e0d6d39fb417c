"""Memory that several tensors share, how we notice that it changed, and when nobody shares it."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np


class Storage:
    """What tensors on one piece of memory share: how often minigrad wrote to it, and whether others can.

    Memory that came from outside (`from_numpy`) or was handed out writable (DLPack) can change without our
    counting, so its stamp holds a checksum too.

    before_write: what is to be called, once, before minigrad writes to it: who wants the values copies them then.
    """

    __slots__ = ("before_write", "external", "version")

    def __init__(self, external: bool = False) -> None:
        self.version, self.external = 0, external
        self.before_write: list[Callable[[], None]] | None = None

    def about_to_change(self) -> None:
        """To be called before each write by those who write: copies are taken now, or never."""
        waiting, self.before_write = self.before_write, None
        for keep in waiting or ():
            keep()

    def stamp(self, array: Any) -> Any:
        """A value that stays the same for as long as the contents do."""
        if not self.external:
            return self.version
        return self.version, zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def storage_of(tensor: Any) -> Storage:
    """The tensor's Storage, made when first asked for: most tensors never need one."""
    if tensor._storage is None:
        tensor._storage = Storage()
    return tensor._storage


# ------------------------------------------------ memory that nobody else holds


def _count_of_one_holder() -> int:
    array = np.empty(1)
    return sys.getrefcount(array)


# What sys.getrefcount says of an array that one local variable holds, and nothing else; measured, since it depends on
# how Python passes arguments.
ONE_HOLDER = _count_of_one_holder()
