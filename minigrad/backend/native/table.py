"""Which operations have kernels on the CPU. Importing this imports no compiler: kernels load when first called.

    MINIGRAD_KERNELS=plain   no kernels: the definitions, in NumPy
    MINIGRAD_CONV=im2col     no kernels for convolutions: columns and a matrix product
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

from minigrad.backend.base import Kernel
from minigrad.errors import ArgumentError

# operation: (module, largest number of elements of the first array that is not worth a call)
_CONVOLUTIONS = {
    "conv2d": ("convolution", 0),
    "conv_transpose2d": ("convolution", 0),
    "conv2d_weight_gradient": ("convolution", 0),
    "conv_bn_act": ("convolution", 0),
    "conv_bn_act_inference": ("convolution", 0),
}
_OTHERS = {
    "im2col": ("columns", 1 << 14),
    "col2im": ("columns", 1 << 14),
    "batch_norm": ("batch_norm", 1024),
    "batch_norm_act": ("batch_norm", 1024),
    "batch_norm_inference": ("batch_norm", 1024),
    **dict.fromkeys(("add", "relu", "dropout", "exp", "sigmoid", "tanh", "silu", "gelu"), ("elementwise", 1 << 14)),
    **dict.fromkeys(
        ("max_pool2d", "window_scatter", "avg_pool2d", "avg_pool2d_transposed", "adaptive_avg_pool2d",
         "adaptive_avg_pool2d_transposed"), ("pooling", 1024)
    ),
}


_FEW_PARAMETERS = 4096  # numbers, up to which NumPy is done before a compiler is imported


def _late(module: str, name: str, smallest: int) -> Callable[..., Any]:
    """The function `name` of a module of kernels, imported when first called with enough to do."""
    found: Callable[..., Any] | None = None

    def run(xp: Any, first: Any, *arrays: Any, **params: Any) -> Any:
        nonlocal found
        if getattr(first[0] if type(first) is tuple else first, "size", 0) <= smallest:
            return None
        if found is None:
            found = getattr(import_module(f"minigrad.backend.native.{module}"), name, _decline)
        return found(xp, first, *arrays, **params)

    return run


def _late_update(name: str) -> Callable[..., list[int]]:
    """An optimiser's update, imported when first called with enough to do."""

    def update(arrays: Any, gradients: Any, states: Any, options: Any) -> list[int]:
        if sum(a.size for a in arrays) < _FEW_PARAMETERS:
            return list(range(len(arrays)))
        module = import_module("minigrad.backend.native.optimizers")
        return getattr(module, name)(arrays, gradients, states, options)

    return update


def _decline(*arrays: Any, **params: Any) -> None:
    """In place of a forward or a gradient for which there is no kernel."""


def _asked_for(name: str, choices: tuple[str, ...]) -> str:
    value = os.environ.get(name, "")
    if value not in ("", *choices):
        raise ArgumentError(f"{name} must be {' or '.join(choices)}, or not set; not {value!r}")
    return value


def kernels() -> dict[str, Kernel]:
    """The kernels of this process, by operation."""
    chosen = {**_OTHERS, **_CONVOLUTIONS}
    if _asked_for("MINIGRAD_CONV", ("im2col",)):
        chosen = dict(_OTHERS)
    if _asked_for("MINIGRAD_KERNELS", ("plain",)):
        chosen = {}
    return {
        op: Kernel(_late(module, f"{op}_forward", smallest), _late(module, f"{op}_gradient", smallest))
        for op, (module, smallest) in chosen.items()
    }


def fused_updates() -> dict[str, Callable[..., list[int]]]:
    """The optimisers' updates of all parameters in one launch, by name."""
    if _asked_for("MINIGRAD_KERNELS", ("plain",)):
        return {}
    return {name: _late_update(name) for name in ("sgd", "adam")}
