"""Calls of single operations and optimiser steps, minigrad's and PyTorch's, with nothing around them.

`make_step` makes one of them from its name: this is the module of steps that `peers.worker` runs for `bench_ops`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from op_cases import CALLS, OPTIMIZERS, Case, cases

import minigrad as mg
import models

# The public mg.grad would copy every gradient that it returns, and walk the graph
from minigrad.backward import _gradients_of


def arrays_of(case: Case) -> list[np.ndarray]:
    """The inputs of a case, the same at every call."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape, dtype=np.float32) for shape in case.shapes]


def channels_last(array: np.ndarray) -> np.ndarray:
    """The same array, 4-dimensional ones in NHWC memory."""
    if array.ndim != 4:
        return array
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def our_call(case: Case) -> Callable[[], Any]:
    """minigrad's call of a case; returns an array, or arrays for several gradients (None where none is wanted)."""
    arrays = [a if i and len(case.shapes) > 1 else channels_last(a) for i, a in enumerate(arrays_of(case))]
    if case.group == "add":
        arrays = [channels_last(a) for a in arrays]
    tensors = [mg.tensor(a, requires_grad=i in case.wanted) for i, a in enumerate(arrays)]
    if not case.wanted:

        def forward() -> Any:
            with mg.no_grad():
                return case.ours(*tensors)

        return forward
    y = case.ours(*tensors)
    node, gy = y._node, gradient_for(y.shape)
    gys = [gy if i == y._output else None for i in range(len(node.output_meta))]
    return lambda: _gradients_of(node, list(gys), node.edges, create_graph=False)


def gradient_for(shape: tuple[int, ...]) -> np.ndarray:
    """A gradient of an output of that shape; a loss has 1."""
    rng = np.random.default_rng(1)
    gradient = rng.standard_normal(shape, dtype=np.float32) if shape else np.ones((), np.float32)
    return channels_last(np.asarray(gradient))


def their_call(torch: Any, case: Case, last: bool) -> Callable[[], Any]:
    """PyTorch's call of a case, in one of its memory formats."""
    layout = {"memory_format": torch.channels_last} if last else {}

    def tensor(array: np.ndarray) -> Any:
        made = torch.from_numpy(np.ascontiguousarray(array)).reshape(array.shape)
        return made.contiguous(**layout) if made.ndim == 4 else made

    tensors = [tensor(a).requires_grad_(i in case.wanted) for i, a in enumerate(arrays_of(case))]
    if not case.wanted:

        def forward() -> Any:
            with torch.no_grad():
                return case.theirs(torch, *tensors)

        return forward
    y = case.theirs(torch, *tensors)
    gy = tensor(gradient_for(tuple(y.shape)))
    above = [node for node, _ in y.grad_fn.next_functions if node is not None]
    if all(node.name() == "torch::autograd::AccumulateGrad" for node in above):
        return lambda: y.grad_fn(gy)
    wanted = [tensors[i] for i in case.wanted]
    return lambda: torch.autograd.grad(y, wanted, gy, retain_graph=True)


def our_optimizer(kind: str) -> Callable[[], Any]:
    """minigrad's step over ResNet-18's parameters."""
    parameters = list(models.resnet18(10, 3, stem="small").parameters())
    for p in parameters:
        p.grad = mg.full(p.shape, 1e-3)
    name, options = OPTIMIZERS[kind]
    return getattr(mg.optim, name)(parameters, **options).step


def their_optimizer(torch: Any, kind: str) -> Callable[[], Any]:
    """PyTorch's, the fused one."""
    parameters = [
        torch.nn.Parameter(torch.zeros(p.shape)) for p in models.resnet18(10, 3, stem="small").parameters()
    ]
    for p in parameters:
        p.grad = torch.full_like(p, 1e-3)
    name, options = OPTIMIZERS[kind]
    return getattr(torch.optim, name)(parameters, fused=True, **options).step


def threads() -> int:
    """How many threads were asked for."""
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


@lru_cache(maxsize=2)
def _by_name(tiny: bool) -> dict[str, Case]:
    return {case.name: case for case in [*cases(tiny), *CALLS]}


def make_step(job: dict[str, Any], *_: Any) -> Callable[[], Any]:
    """The call of job["case"], a name from `op_cases`, in job["framework"]; before there is one, nothing."""
    name, theirs = job.get("case"), job["framework"] == "torch"
    if theirs:
        import torch

        torch.set_num_threads(job["threads"])
    if name is None:
        return lambda: None
    if name in OPTIMIZERS:
        return their_optimizer(torch, name) if theirs else our_optimizer(name)
    case = _by_name(job["tiny"])[name]
    return their_call(torch, case, job["options"]["channels_last"]) if theirs else our_call(case)
