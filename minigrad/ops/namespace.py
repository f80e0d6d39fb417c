"""`xp` for tensors: the traced operations in NumPy's spelling.

Under `create_graph=True` a gradient text runs with this namespace in place of NumPy, so that it is recorded and can be
differentiated again. What stands here is all a gradient may use of `xp`; any registered operation can be used by its own name too.
"""

from __future__ import annotations

from typing import Any

from minigrad import engine, ops
from minigrad.backend import Backend
from minigrad.op import REGISTRY


class TracedNamespace:
    """NumPy's names for traced operations, on one device."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def __getattr__(self, name: str) -> Any:
        if name in REGISTRY:
            return REGISTRY[name]
        raise AttributeError(f"a gradient may not use xp.{name}: it is not among the traced operations (minigrad/ops/namespace.py)")

    # Constants: no gradient flows into them
    def _constant(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return engine.Tensor._wrap(getattr(self.backend.xp, name)(*args, **kwargs), self.backend)

    def zeros(self, shape: Any, dtype: Any) -> Any:
        return self._constant("zeros", shape, dtype=dtype)

    def zeros_like(self, x: Any) -> Any:
        return self._constant("zeros", x.shape, dtype=x.dtype)

    def ones_like(self, x: Any) -> Any:
        return self._constant("ones", x.shape, dtype=x.dtype)

    def asarray(self, x: Any) -> Any:
        return x if isinstance(x, engine.Tensor) else self._constant("asarray", x)

    # Rearranging
    def reshape(self, x: Any, shape: Any) -> Any:
        return ops.reshape(x, shape)

    def transpose(self, x: Any, axes: Any = None) -> Any:
        return ops.permute(x, tuple(reversed(range(x.ndim))) if axes is None else axes)

    def swapaxes(self, x: Any, axis1: int, axis2: int) -> Any:
        return ops.transpose(x, axis1, axis2)

    def expand_dims(self, x: Any, axis: int) -> Any:
        return ops.unsqueeze(x, axis)

    def broadcast_to(self, x: Any, shape: Any) -> Any:
        return ops.expand(x, shape)

    # Reductions
    def sum(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return ops.sum(x, axis, keepdims)

    # Products
    def einsum(self, subscripts: str, *operands: Any) -> Any:
        return ops.einsum(subscripts, *operands)
