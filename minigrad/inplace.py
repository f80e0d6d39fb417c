"""Writing to tensors in place, and telling autograd about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad import dtypes, engine, ops
from minigrad.errors import ArgumentError, DtypeError, GraphError, ShapeError
from minigrad.storage import storage_of


class InPlace:
    """The methods of Tensor that write to its memory. All of them go through `_write`. (`self` is a Tensor.)"""

    _storage: Any

    def _write(self: Any, write: Callable[[Any], Any], *sources: Any) -> Any:
        """The one way to change a tensor: refuse where the graph would not see it, write, count the write."""
        self._refuse_unrecorded(*sources)
        if not getattr(self.array.flags, "writeable", True):
            raise ArgumentError(
                f"the memory of this tensor of shape {list(self.shape)} cannot be written to: it is an expanded or "
                "diagonal view, or came from a read-only array. Write to a copy (x.clone())"
            )
        storage = storage_of(self)
        if storage.before_write is not None:
            storage.about_to_change()
        write(self.array)
        storage.version += 1
        return self

    def _refuse_unrecorded(self: Any, *sources: Any) -> None:
        if engine.is_grad_enabled() and (
            self.requires_grad or any(isinstance(s, engine.Tensor) and s.requires_grad for s in sources)
        ):
            raise GraphError(
                "an in-place write to, or from, a tensor that requires grad is not recorded: its gradient would be "
                "lost. Write under mg.no_grad(), to x.detach(), or use the operation that returns a new tensor"
            )

    def copy_(self: Any, other: Any) -> Any:
        """Overwrite the elements with those of `other`, broadcast and cast."""
        source = other.to(device=self.backend).array if isinstance(other, engine.Tensor) else other
        if isinstance(source, (self.array.__class__, np.ndarray)) and source.shape != self.shape:
            source = _broadcast(self, source)
        return self._write(lambda a: a.__setitem__(..., source), other)

    def set_(self: Any, source: Any) -> Any:
        """Take over the memory, dtype and device of `source`; the tensor stays the same object."""
        self._refuse_unrecorded()
        storage_of(self).version += 1
        self.array, self.backend, self._storage = source.array, source.backend, storage_of(source)
        return self

    def __setitem__(self: Any, key: Any, value: Any) -> None:
        source = value.to(device=self.backend).array if isinstance(value, engine.Tensor) else value
        self._write(lambda _: ops.assign(self, key, source), value)

    def fill_(self: Any, value: Any) -> Any:
        """Overwrite every element with `value`."""
        return self._write(lambda a: fill(a, value))

    def zero_(self: Any) -> Any:
        """Overwrite every element with 0."""
        return self.fill_(0)

    def _update(self: Any, compute: Callable[..., Any], other: Any) -> Any:
        """In place x = compute(x, other), which may change neither shape nor kind of dtype."""
        with engine.set_grad_enabled(False):
            result = compute(self, other)
        if result.shape != self.shape:
            raise ShapeError(
                f"in place, a tensor of shape {list(self.shape)} cannot become one of shape {list(result.shape)}"
            )
        if result.dtype in dtypes.FLOATING and self.dtype not in dtypes.FLOATING:
            raise DtypeError(f"in place, a {self.dtype} tensor cannot take a {result.dtype} result")
        return self._write(lambda a: a.__setitem__(..., result.array), other)

    def add_(self: Any, other: Any, *, alpha: Any = 1) -> Any:
        """In place x + alpha * other; `sub_`, `mul_`, `div_`, `clamp_` likewise."""
        return self._update(lambda x, o: ops.add(x, o if alpha == 1 else ops.mul(o, alpha)), other)

    def sub_(self: Any, other: Any, *, alpha: Any = 1) -> Any:
        """In place x - alpha * other."""
        return self.add_(other, alpha=-alpha)

    def mul_(self: Any, other: Any) -> Any:
        """In place x * other."""
        return self._update(ops.mul, other)

    def div_(self: Any, other: Any) -> Any:
        """In place x / other."""
        return self._update(ops.div, other)

    def clamp_(self: Any, min: Any = None, max: Any = None) -> Any:
        """In place: every element limited to [min, max]."""
        return self._update(lambda x, _: ops.clamp(x, min, max), None)

    # `h += x` on a tensor of the graph rebinds h to a new tensor, as Python does for any immutable value: the
    # gradient is right, and what others hold stays as it was. Outside the graph it writes in place, as
    # optimisers expect.
    def _augment(self: Any, in_place: Callable[[Any], Any], new: Callable[..., Any], other: Any) -> Any:
        tracked = self.requires_grad or (isinstance(other, engine.Tensor) and other.requires_grad)
        leaf = self._node is None and self.requires_grad
        return new(self, other) if tracked and engine.is_grad_enabled() and not leaf else in_place(other)

    def __iadd__(self: Any, other: Any) -> Any:
        return self._augment(self.add_, ops.add, other)

    def __isub__(self: Any, other: Any) -> Any:
        return self._augment(self.sub_, ops.sub, other)

    def __imul__(self: Any, other: Any) -> Any:
        return self._augment(self.mul_, ops.mul, other)

    def __itruediv__(self: Any, other: Any) -> Any:
        return self._augment(self.div_, ops.div, other)


def fill(array: Any, value: Any) -> None:
    """Overwrite every element of a raw array with `value`, or say why that cannot be."""
    try:
        array.fill(value)
    except (TypeError, ValueError, OverflowError) as error:  # NumPy's word: add what was given
        raise ArgumentError(f"a {array.dtype} tensor cannot be filled with {value!r:.80}: {error}") from error


def _broadcast(target: Any, source: Any) -> Any:
    try:
        return target.backend.xp.broadcast_to(source, target.shape)
    except ValueError as error:
        raise ShapeError(
            f"a tensor of shape {list(source.shape)} cannot be copied into one of shape {list(target.shape)}"
        ) from error
