"""The operations, by family. A new operation goes into the family it belongs to; a new family is one name in FAMILIES.

Each family's `__all__` names its public functions (`mg.exp`, `mg.nn.functional.conv2d`), its `METHODS` those that are also
methods of Tensor (`x.exp()`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from minigrad import backward

FAMILIES = ("arithmetic", "powers", "rounding", "shape", "reduce", "linalg", "index", "join", "batch_norm")

def __getattr__(name):  # temporary, while families are being written
    if name in "getitem floor_divide remainder pow abs bitwise_not bitwise_and bitwise_or bitwise_xor lt le gt ge eq ne".split():
        return lambda *a, **k: globals()[name](*a, **k)
    raise AttributeError(f"minigrad.ops has no {name!r}")


PUBLIC: list[str] = []
METHODS: list[str] = []
for _family in FAMILIES:
    _module = import_module(f"{__name__}.{_family}")
    globals().update({_name: getattr(_module, _name) for _name in _module.__all__})
    PUBLIC += _module.__all__
    METHODS += _module.METHODS

from minigrad.ops.index import raw_index  # noqa: E402, F401  (for Tensor.__setitem__)
from minigrad.ops.namespace import TracedNamespace  # noqa: E402  (it uses the families)

backward.TracedNamespace = TracedNamespace

if TYPE_CHECKING:  # the functions collected above

    def __getattr__(name: str) -> Any: ...
