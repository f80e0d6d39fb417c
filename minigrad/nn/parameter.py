"""Parameter: a tensor that a module learns."""

from __future__ import annotations

from typing import Any

from minigrad.storage import storage_of
from minigrad.tensor import Tensor


class Parameter(Tensor):
    """A leaf tensor that requires grad; as an attribute of a Module, `parameters()` finds it and `state_dict()`
    saves it.

    data:          a tensor, whose memory it takes over without a copy, or numbers, of which it makes one. Floating
                   point.
    requires_grad: False for one that is saved with the others but not learnt.

    Raises DtypeError for integers and bools that are to be learnt: they have no gradient.

    >>> import minigrad as mg
    >>> mg.nn.Parameter(mg.zeros(2))
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        source = data if isinstance(data, Tensor) else Tensor(data)
        self.array, self.backend, self._storage = source.array, source.backend, storage_of(source)
        self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
