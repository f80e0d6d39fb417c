"""One flat array for the gradients of many leaves, so that optimisers, clipping and data parallelism can work on one.

A leaf's gradient has to be copied into memory of its own anyway; here that memory is a slot of the buffer. All else
is as if there were none: whoever keeps a gradient, or any view of it, keeps its numbers. That rests on two rules.

- A slot is filled once, and is free again only after `reclaim` (an optimiser's `zero_grad`).
- `reclaim` reuses an array only if nobody holds a piece of it. Every view, however deep, refers to the array that
  owns the memory, so the number of references to that array tells. An array that somebody holds is left to them, and
  a second one takes turns with it; with pieces of both held, gradients live on their own until one is let go. (A third
  would mean that keeping the gradient of one bias from every step keeps all gradients of every step.)

Whatever does not fit (another shape or dtype, a slot filled already, a recorded gradient) lives on its own as well.
"""

from __future__ import annotations

import copy
import itertools
import sys
import weakref
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from minigrad.storage import ONE_HOLDER


class Home(NamedTuple):
    """Where the gradient of a leaf goes: a buffer, which lives as long as its optimiser, and a slot of it."""

    buffer: weakref.ref[GradientBuffer]
    number: int

    def take_in(self, leaf: Any, gradient: Any) -> Any:
        """A copy of the gradient in the leaf's slot; None where it cannot be there."""
        buffer = self.buffer()
        if buffer is None or leaf is not buffer.leaves[self.number] or leaf.backend is not buffer.backend:
            return None  # the optimiser is gone; a copy of the leaf, which has copied its home; a leaf that moved
        return buffer.fill(self.number, gradient)


class GradientBuffer:
    """Gradients of leaves of one device and dtype, one after the other, without gaps, in one array.

    leaves: the tensors, in the order of the buffer. The newest buffer of a leaf is its home.

    It takes nothing in before the first `reclaim`.
    """

    def __init__(self, leaves: Sequence[Any]) -> None:
        self.leaves = tuple(leaves)
        self.backend, self.dtype = leaves[0].backend, leaves[0].dtype
        self.shapes = [leaf.shape for leaf in leaves]
        self._bounds = [0, *itertools.accumulate(leaf.numel() for leaf in leaves)]
        self._arrays: list[
            Any
        ] = []  # the one in use and, while somebody holds that, another to take turns with
        self._flat: Any = None
        self._filled: list[Any] = [None] * len(leaves)
        for number, leaf in enumerate(leaves):
            leaf._home = Home(weakref.ref(self), number)

    def __deepcopy__(self, memo: dict[int, Any]) -> GradientBuffer:
        """Empty, and the home of the copied leaves: their gradients have been copied elsewhere."""
        return GradientBuffer(copy.deepcopy(self.leaves, memo))

    def fits(self, leaves: Sequence[Any]) -> bool:
        """Whether these are its leaves, and still as they were."""
        return len(leaves) == len(self.leaves) and all(
            old is leaf and shape == leaf.shape and leaf.dtype == self.dtype and leaf.backend is self.backend
            for old, leaf, shape in zip(self.leaves, leaves, self.shapes, strict=True)
        )

    def reclaim(self) -> None:
        """Make all slots free, in an array of which nobody holds a piece; with none to be had, fill no slots."""
        self._flat, self._filled = None, [None] * len(self.leaves)
        free: list[Any] = []
        held: list[Any] = []
        while self._arrays:
            array = self._arrays.pop()
            (free if sys.getrefcount(array) == ONE_HOLDER else held).append(array)
        if not free and len(held) < 2:
            # Not from a pool: it must own its memory, for views to refer to it and to nothing below
            free.append(self.backend.xp.empty(self._bounds[-1], self.dtype))
        self._arrays = held + free[:1]
        if free:
            self._flat = free[0]

    def fill(self, number: int, gradient: Any) -> Any:
        """Copy a gradient into a free slot and return its view of the array; None if it does not go there."""
        shape = self.shapes[number]
        if self._flat is None or self._filled[number] is not None:
            return None
        if gradient.shape != shape or gradient.dtype != self.dtype:
            return None
        slot = self._flat[self._bounds[number] : self._bounds[number + 1]].reshape(shape)
        slot[...] = gradient
        self._filled[number] = slot
        return slot

    def run_of(self, leaves: Sequence[Any]) -> Any:
        """The part of the array with the gradients of these leaves, one after the other in this order; None where they
        do not lie so."""
        if self._flat is None or not leaves or leaves[0]._home is None:
            return None
        first = leaves[0]._home.number
        for number, leaf in enumerate(leaves, first):
            if number >= len(self.leaves) or self.leaves[number] is not leaf:
                return None
            if leaf.grad is None or leaf.grad.array is not self._filled[number]:
                return None
        return self._flat[self._bounds[first] : self._bounds[first + len(leaves)]]

    def flat(self) -> Any:
        """The array, if the gradient of every leaf is in its slot; else None."""
        for leaf, slot in zip(self.leaves, self._filled, strict=True):
            if slot is None or leaf.grad is None or leaf.grad.array is not slot:
                return None
        return self._flat


def arrange(leaves: Iterable[Any], present: Sequence[GradientBuffer] = ()) -> list[GradientBuffer]:
    """Buffers that are ready for the next gradients of these leaves: one for each device and dtype.

    leaves:  in the order of their use. Backward meets them in reverse, and so they lie in the buffers.
    present: buffers to go on with, where they still fit.
    """
    groups: dict[Any, list[Any]] = {}
    for leaf in leaves:
        if leaf._requires_grad:
            groups.setdefault((leaf.backend, leaf.dtype), []).insert(0, leaf)
    buffers = []
    for group in groups.values():
        fitting = [buffer for buffer in present if buffer.fits(group)]
        buffer = fitting[0] if fitting else GradientBuffer(group)
        buffer.reclaim()
        buffers.append(buffer)
    return buffers
