"""OperationLayer: what layers share that do no more than call an operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from minigrad.nn.module import Module


class OperationLayer(Module):
    """y = operation(x, ..., **settings): a layer without parameters of its own.

    A subclass says which operation, and which of the layer's attributes it is given, under the same names.

    operation: a function on tensors, one of `minigrad.ops`.
    settings:  names of the attributes to pass on.
    shown:     those that stand in the layer's repr; by default all settings.

    >>> import minigrad as mg
    >>> class Power(OperationLayer):
    ...     operation = staticmethod(mg.pow)
    ...     settings = ("exponent",)
    ...
    ...     def __init__(self, exponent):
    ...         self.exponent = exponent
    >>> Power(2), Power(2)(mg.tensor(3.0))
    (Power(exponent=2), tensor(9.))
    """

    operation: ClassVar[Callable[..., Any]]
    settings: ClassVar[tuple[str, ...]] = ()
    shown: ClassVar[tuple[str, ...] | None] = None

    def forward(self, *inputs: Any) -> Any:
        """The inputs, in the operation's order, to its result."""
        return self.operation(*inputs, **{name: getattr(self, name) for name in self.settings})

    def extra_repr(self) -> str:
        shown = self.settings if self.shown is None else self.shown
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
