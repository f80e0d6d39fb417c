"""Keeping gradients within bounds, between `backward` and the optimiser's step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np

from minigrad import dtypes
from minigrad.errors import ArgumentError, NonFiniteError
from minigrad.tensor import Tensor

_BLOCK = 1 << 14  # elements widened at a time: what is summed stays in the cache


def get_total_norm(
    tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """The norm of tensors taken together as one long vector: (sum |x|^p)^(1/p), max |x| for p = infinity.

    tensors:            one or several, of any shapes; none have the norm 0.
    norm_type:          p, > 0.
    error_if_nonfinite: raise NonFiniteError if it is NaN or infinite.

    Returns a tensor of shape (), in the tensors' dtype. Summed in float64. Raises ArgumentError for other than tensors.

    >>> import minigrad as mg
    >>> get_total_norm([mg.tensor([3.0]), mg.tensor([[4.0]])])
    tensor(5.)
    """
    listed = _listed(tensors)
    norm = _total_norm(listed, norm_type, error_if_nonfinite)
    return _number_like(norm, listed)


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor | float
) -> None:
    """Scale the gradients in place by max_norm / (total_norm + 1e-6), unless that is more than 1.

    parameters: whose `.grad`, if there is one, is scaled.
    max_norm:   >= 0.
    total_norm: their norm, as `get_total_norm` gives it.
    """
    _scale(_gradients(parameters), max_norm, float(total_norm))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients in place, by the same factor, so that their norm taken together is at most max_norm.

    g = g min(1, max_norm / (norm + 1e-6)), norm = (sum |g|^p)^(1/p) over all gradients.

    parameters:         whose `.grad`, if there is one, is scaled.
    max_norm:           >= 0; infinity only measures.
    norm_type:          p, > 0; infinity for the largest magnitude.
    error_if_nonfinite: raise NonFiniteError, before anything is scaled, if the norm is NaN or infinite. Otherwise an
                        infinite norm makes the finite gradients 0, and NaN makes all NaN.

    Returns the norm before scaling, a tensor of shape (). Raises ArgumentError for arguments out of range.
    Source: Pascanu, Mikolov & Bengio 2013, algorithm 1.

    >>> import minigrad as mg
    >>> w = mg.nn.Parameter(mg.tensor([3.0, 4.0]))
    >>> (w * w).sum().backward()
    >>> clip_grad_norm_([w], max_norm=1.0)
    tensor(10.)
    >>> w.grad.tolist()
    [0.60, 0.80]
    """
    gradients = _gradients(parameters)
    _check_bound("max_norm", max_norm)
    norm = _total_norm(gradients, norm_type, error_if_nonfinite)
    _scale(gradients, max_norm, norm)
    return _number_like(norm, gradients)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit each element of the gradients, in place, to [-clip_value, clip_value]; NaN stays.

    parameters: whose `.grad`, if there is one, is limited.
    clip_value: >= 0.

    Raises ArgumentError for arguments out of range.

    >>> import minigrad as mg
    >>> w = mg.nn.Parameter(mg.tensor([3.0, -0.25]))
    >>> (w * w).sum().backward()
    >>> clip_grad_value_([w], 1.0)
    >>> w.grad
    tensor([ 1. , -0.5])
    """
    gradients = _gradients(parameters)
    _check_bound("clip_value", clip_value)
    for g in gradients:
        limited = g.backend.xp.clip(g.array, -float(clip_value), float(clip_value))
        g._write(partial(_fill, limited))


def _listed(tensors: Any) -> list[Tensor]:
    several = isinstance(tensors, Iterable) and not isinstance(tensors, Tensor)
    listed = list(tensors) if several else [tensors]
    for t in listed:
        if not isinstance(t, Tensor):
            raise ArgumentError(f"expected tensors, such as model.parameters(), not {type(t).__name__}")
    return listed


def _gradients(parameters: Any) -> list[Tensor]:
    """The gradients there are, outside the graph: one that was recorded (create_graph) may be scaled too."""
    return [p.grad.detach() for p in _listed(parameters) if p.grad is not None]


def _fill(values: Any, array: Any) -> None:
    array[...] = values


def _check_bound(name: str, value: Any) -> None:
    if not float(value) >= 0:
        raise ArgumentError(f"{name} must be a number >= 0, not {value!r}")


@np.errstate(over="ignore", invalid="ignore")  # infinities and NaNs are values
def _total_norm(tensors: list[Tensor], norm_type: Any, error_if_nonfinite: bool) -> float:
    p = float(norm_type)
    if not p > 0:
        raise ArgumentError(f"norm_type must be > 0, or infinity, not {norm_type!r}")
    if p == math.inf:
        total = _largest(tensors)
    else:
        total = sum(_sum_of_powers(t, p) for t in tensors) ** (1 / p)
    if error_if_nonfinite and not math.isfinite(total):
        raise NonFiniteError(
            f"the gradients' norm of order {p:g} is {total}: they cannot be clipped. Training has diverged "
            "(try a lower learning rate), or the inputs hold NaN or infinity"
        )
    return total


def _largest(tensors: list[Tensor]) -> float:
    largest = [float(t.backend.xp.max(t.backend.xp.abs(t.array))) for t in tensors if t.numel()]
    return math.nan if any(math.isnan(x) for x in largest) else max(largest, default=0.0)


def _sum_of_powers(tensor: Tensor, p: float) -> float:
    """Sum |x|^p in float64: squares of float32 gradients that a run may well have would overflow."""
    xp, flat = tensor.backend.xp, tensor.array.reshape(-1)
    total = 0.0
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK].astype(dtypes.float64)
        total += float(xp.dot(block, block) if p == 2 else xp.sum(xp.abs(block) ** p))
    return total


@np.errstate(over="ignore", invalid="ignore")
def _scale(gradients: list[Tensor], max_norm: float, norm: float) -> None:
    _check_bound("max_norm", max_norm)
    if max_norm == math.inf:
        return
    factor = float(max_norm) / (norm + 1e-6)
    if not factor >= 1:  # a factor of NaN is one to scale by too
        for g in gradients:
            g._write(lambda a: a.__imul__(factor))


def _number_like(value: float, tensors: list[Tensor]) -> Tensor:
    """A tensor of shape (): of float32 where there is none to be like."""
    dtype = np.result_type(*(t.dtype for t in tensors)) if tensors else dtypes.float32
    return Tensor(value, dtype=dtype, device=tensors[0].backend if tensors else None)
