"""Whether layers may be run together as one operation: not where somebody has to see each of them run."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from minigrad.errors import ArgumentError, PlainPathWarning
from minigrad.nn.activation import ReLU
from minigrad.nn.activation_smooth import Sigmoid, Tanh
from minigrad.nn.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from minigrad.nn.conv import Conv2d
from minigrad.nn.linear import Linear
from minigrad.nn.module import Module

VARIABLE = "MINIGRAD_COMPOSITES"

_KINDS: tuple[type[Module], ...] = (
    Conv2d, BatchNorm1d, BatchNorm2d, BatchNorm3d, Linear, ReLU, Tanh, Sigmoid,
)  # fmt: skip
_FORWARDS = {kind: kind.forward for kind in _KINDS}  # as they are now: somebody may put others in their place
_CALL = Module.__call__

_told: weakref.WeakSet[Module] = weakref.WeakSet()  # a copy of a module is told of by itself


class _Switch(threading.local):
    blocks = 0  # how many `without_composites` we are inside of


_switch = _Switch()


@contextmanager
def without_composites() -> Iterator[None]:
    """Within the block, in this thread, layers run one by one, and nothing is said about it.

    For tools that watch layers by their hooks, and to compare: the environment variable MINIGRAD_COMPOSITES=off does
    the same for a whole program.

    >>> import minigrad as mg
    >>> x, layer = mg.ones(1, 2), mg.nn.Linear(2, 1)
    >>> with without_composites(), mg.profile() as p:
    ...     _ = mg.nn.functional.linear_act(x, layer)
    >>> [name for name, phase in p.rows]
    ['linear', 'relu']
    """
    _switch.blocks += 1
    try:
        yield
    finally:
        _switch.blocks -= 1


def may_fuse(function: str, *layers: tuple[Module, type[Module]]) -> bool:
    """Whether these layers do no more, when called, than the kinds of layer that they are.

    function: who asks, for the warning that a layer with hooks or a forward of its own is worth, once.
    layers:   (layer, its kind), the kind being one whose forward composites know.
    """
    if _switch.blocks or not _enabled():
        return False
    alone = [(layer, why) for layer, kind in layers if (why := _more_than(layer, kind))]
    for layer, why in alone:
        if layer not in _told:
            _told.add(layer)
            warnings.warn(
                f"{function}: {type(layer).__name__}({layer.extra_repr()}) has {why}, so the layers run one by one: "
                "the results are equal, but take longer",
                PlainPathWarning,
                stacklevel=3,
            )
    return not alone


def _more_than(layer: Module, kind: type[Module]) -> str | None:
    """What calling a layer does besides the forward of its kind, in words; None for nothing."""
    if (
        layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._full_backward_hooks
        or layer._full_backward_pre_hooks
    ):
        return "a hook"
    if (
        type(layer).forward is not _FORWARDS[kind]
        or "forward" in layer.__dict__
        or type(layer).__call__ is not _CALL
    ):
        return "a forward of its own"
    return None


def _enabled() -> bool:
    value = os.environ.get(VARIABLE, "on")
    if value not in ("on", "off"):
        raise ArgumentError(f"{VARIABLE} must be on or off, not {value!r}")
    return value == "on"
