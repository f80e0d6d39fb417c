"""Which operations have kernels on the CPU. Importing this imports no compiler: kernels load when first called.

    MINIGRAD_KERNELS=plain   no kernels: the definitions, in NumPy
    MINIGRAD_CONV=im2col     no kernels for convolutions: columns and a matrix product
    NUMBA_DISABLE_JIT=1      as MINIGRAD_KERNELS=plain: kernels are nothing without their compiler

The environment is read when the backend is made; a value that is none of these is an ArgumentError.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from minigrad.backend import threads
from minigrad.backend.base import Kernel
from minigrad.errors import ArgumentError

# operation: (module, number of elements up to which NumPy is done sooner, that of the largest array of a call)
CONVOLUTIONS = {
    "conv2d": ("convolution", 2048),
    "conv_transpose2d": ("convolution", 2048),
    "conv2d_weight_gradient": ("convolution", 2048),
    "conv_bn_act": ("convolution", 2048),
    "conv_bn_act_inference": ("convolution", 2048),
}
OTHERS = {
    "im2col": ("columns", 1 << 14),
    "col2im": ("columns", 1 << 14),
    "batch_norm": ("batch_norm", 1024),
    "batch_norm_act": ("batch_norm", 1024),
    "batch_norm_inference": ("batch_norm", 1024),
    "sync_batch_norm": ("sync_batch_norm", 1024),
    "layer_norm": ("layer_norm", 1024),
    "linear": ("linear", 1 << 13),
    "linear_act": ("linear", 1 << 13),
    **dict.fromkeys(("softmax", "log_softmax", "cross_entropy"), ("softmax", 1024)),
    **dict.fromkeys(("add", "relu", "dropout", "exp", "sigmoid", "tanh", "silu", "gelu"), ("elementwise", 1 << 14)),
    **dict.fromkeys(
        ("max_pool2d", "window_scatter", "avg_pool2d", "avg_pool2d_transposed", "adaptive_avg_pool2d",
         "adaptive_avg_pool2d_transposed"), ("pooling", 1024)
    ),
}  # fmt: skip
UPDATES = ("sgd", "adam")

_FEW_PARAMETERS = 4096  # numbers, up to which NumPy is done before a compiler is imported


def _late(module: str, name: str, smallest: int) -> Callable[..., Any]:
    """The function `name` of a module of kernels, imported when first called with an array of more than `smallest`."""
    found: Any = None
    array_type = np.ndarray

    def run(xp: Any, *arrays: Any, **params: Any) -> Any:
        nonlocal found
        for a in arrays:
            if type(a) is array_type and a.size > smallest:
                if found is None:
                    found = getattr(import_module(f"minigrad.backend.native.{module}"), name, _decline)
                return found(xp, *arrays, **params)
        return None

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


def switched_off() -> str | None:
    """The variable of the environment that has switched kernels off, if one has."""
    if _asked_for("MINIGRAD_KERNELS", ("plain",)):
        return "MINIGRAD_KERNELS"
    return "NUMBA_DISABLE_JIT" if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0") else None


def kernels() -> dict[str, Kernel]:
    """The kernels of this process, by operation."""
    threads.follow_environment()
    chosen = OTHERS if _asked_for("MINIGRAD_CONV", ("im2col",)) else {**OTHERS, **CONVOLUTIONS}
    if switched_off():
        return {}
    return {
        op: Kernel(_late(module, f"{op}_forward", smallest), _late(module, f"{op}_gradient", smallest))
        for op, (module, smallest) in chosen.items()
    }


def fused_updates() -> dict[str, Callable[..., list[int]]]:
    """The optimisers' updates of all parameters in one launch, by name."""
    return {} if switched_off() else {name: _late_update(name) for name in UPDATES}
