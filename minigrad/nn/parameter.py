"""Parameter: a tensor that a module learns."""

from __future__ import annotations

from typing import Any

from minigrad.tensor import Tensor


class Parameter(Tensor):
    """A leaf tensor that requires grad; as an attribute of a Module it is found by `parameters()` and saved by `state_dict()`.

    It takes over the memory of a tensor it is made from.
    """

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        source = data if isinstance(data, Tensor) else Tensor(data)
        self.array, self.backend = source.array, source.backend
        self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
