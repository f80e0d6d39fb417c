"""`xp` for tensors: the traced operations in NumPy's spelling.

Under `create_graph=True` a gradient text runs with this namespace in place of NumPy, so that it is recorded and can be
differentiated again. What stands here is all a gradient may use of `xp`; any registered operation can be used
by its own name too. Most elementwise functions need no line here, being operations of NumPy's name: exp, log,
log1p, sqrt, square, sin, cos, tanh, abs, sign, floor, where, maximum, minimum, power (both tensors), isnan, ...
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
        raise AttributeError(
            f"a gradient may not use xp.{name}: it is not among the traced operations (minigrad/ops/namespace.py)"
        )

    # Constants: no gradient flows into them
    def _constant(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return engine.Tensor._wrap(getattr(self.backend.xp, name)(*args, **kwargs), self.backend)

    def zeros(self, shape: Any, dtype: Any) -> Any:
        return self._constant("zeros", shape, dtype=dtype)

    def ones(self, shape: Any, dtype: Any) -> Any:
        return self._constant("ones", shape, dtype=dtype)

    def zeros_like(self, x: Any) -> Any:
        return self._constant("zeros", x.shape, dtype=x.dtype)

    def ones_like(self, x: Any) -> Any:
        return self._constant("ones", x.shape, dtype=x.dtype)

    def arange(self, stop: int) -> Any:
        return self._constant("arange", stop)

    def tri(self, rows: int, columns: int, dtype: Any) -> Any:
        return self._constant("tri", rows, columns, dtype=dtype)

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

    def squeeze(self, x: Any, axis: Any = None) -> Any:
        return ops.squeeze(x, axis)

    def concatenate(self, xs: Any, axis: int = 0) -> Any:
        return ops.cat(xs, axis)

    def stack(self, xs: Any, axis: int = 0) -> Any:
        return ops.stack(xs, axis)

    def flip(self, x: Any, axis: Any) -> Any:
        return ops.flip(x, axis)

    def roll(self, x: Any, shift: Any, axis: Any = None) -> Any:
        return ops.roll(x, shift, axis)

    def repeat(self, x: Any, repeats: int, axis: int | None = None) -> Any:
        return ops.repeat_interleave(x, repeats, axis)

    def tile(self, x: Any, reps: Any) -> Any:
        return ops.tile(x, reps)

    def tril(self, x: Any, k: int = 0) -> Any:
        return ops.tril(x, k)

    def triu(self, x: Any, k: int = 0) -> Any:
        return ops.triu(x, k)

    def diagonal(self, x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        return ops.diagonal(x, offset, axis1, axis2)

    def pad(self, x: Any, pad_width: Any, mode: str = "constant") -> Any:
        name = {"edge": "replicate", "wrap": "circular"}.get(mode, mode)
        return ops.pad(x, [width for pair in reversed(pad_width) for width in pair], name)

    def take_along_axis(self, x: Any, indices: Any, axis: int) -> Any:
        return ops.take_along_dim(x, indices, axis)

    # Choosing
    def clip(self, x: Any, low: Any, high: Any) -> Any:
        return ops.clamp(x, low, high)

    # Reductions
    def sum(self, x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
        if axis == ():  # sums nothing in NumPy, everything in PyTorch
            return x
        return ops.sum(x, axis, keepdims, dtype=dtype)

    def mean(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return ops.mean(x, axis, keepdims)

    def max(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return ops.amax(x, axis, keepdims)

    def min(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return ops.amin(x, axis, keepdims)

    def cumsum(self, x: Any, axis: int) -> Any:
        return ops.cumsum(x, axis)

    def cumprod(self, x: Any, axis: int) -> Any:
        return ops.cumprod(x, axis)

    def argsort(self, x: Any, axis: int = -1) -> Any:
        return ops.argsort(x, axis)

    # Products
    def einsum(self, subscripts: str, *operands: Any, optimize: bool = False) -> Any:
        return ops.einsum(subscripts, *operands)
