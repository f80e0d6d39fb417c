"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad import dtypes, engine
from minigrad.engine import describe
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.op import operation
from minigrad.ops.arguments import need_floating
from minigrad.ops.dropout import need_probability, random_mask, survivors_scale

__all__ = ["scaled_dot_product_attention"]
METHODS: list[str] = []


def _samples(draw: Any) -> list:
    q, k, v = (2, 3, 4), (2, 5, 4), (2, 5, 3)  # (N, L, E), (N, S, E), (N, S, Ev)
    plain = {"scale": 0.5, "is_causal": False, "dropout_p": 0.0}
    open_somewhere = draw.mask(3, 5) | (np.arange(5) == 2)
    return [
        draw.call(draw.normal(*q), draw.normal(*k), draw.normal(*v), None, None, **plain),
        draw.call(
            draw.normal(*q), draw.normal(*k), draw.normal(*v), None, None, **plain | {"is_causal": True}
        ),
        draw.call(draw.normal(*q), draw.normal(*k), draw.normal(*v), draw.normal(3, 5), None, **plain),
        draw.call(
            draw.normal(2, 1, 3, 4), draw.normal(5, 4), draw.normal(3, 5, 2), open_somewhere, None, **plain
        ),
        draw.call(
            draw.normal(*q),
            draw.normal(*k),
            draw.normal(*v),
            None,
            draw.mask(2, 3, 5),
            **plain | {"dropout_p": 0.4},
        ),
    ]


def _flops(inputs: list, outputs: list, params: dict) -> float:
    """Two products, and about five operations for each score."""
    (length, features), source = inputs[0][-2:], inputs[1][-2]
    scores = math.prod(outputs[0][:-2]) * length * source
    return scores * (2 * features + 2 * outputs[0][-1] + 5)


def _probabilities(xp: Any, query: Any, key: Any, mask: Any, scale: float, is_causal: bool) -> Any:
    """softmax(scale Q K^T + mask) over the keys; a query that may look at no key gets zeros."""
    scores = xp.matmul(query, xp.swapaxes(key, -1, -2)) * scale  # (..., L, S)
    if is_causal:
        scores = xp.where(xp.tri(*scores.shape[-2:], dtype=bool), scores, -math.inf)
    if mask is not None:
        scores = xp.where(mask, scores, -math.inf) if mask.dtype == bool else scores + mask
    if mask is None:
        return xp.softmax(scores, dim=-1)  # a causal query can always look at the first key
    blind = xp.max(scores, axis=-1, keepdims=True) == -math.inf
    return xp.where(blind, 0, xp.softmax(xp.where(blind, 0, scores), dim=-1))


@operation(
    name="scaled_dot_product_attention",
    formula="Y = P V with P = softmax(scale Q K^T + mask)",
    gradient_formula="gV = P^T gY, gP = gY V^T, gS = P * (gP - rowsum(gP * P)), "
    "gQ = scale gS K, gK = scale gS^T Q, gmask = gS",
    source="Vaswani et al. 2017, Attention is all you need, eq. 1",
    samples=_samples,
    broadcast=True,
    flops=_flops,
)
def _attention(xp, query, key, value, mask, keep, *, scale, is_causal, dropout_p):
    p = _probabilities(xp, query, key, mask, scale, is_causal)
    if keep is not None:
        p = p * survivors_scale(dropout_p) * keep
    return xp.matmul(p, value)


@_attention.gradient
def attention_gradient(xp, gy, query, key, value, mask, keep, needs, *, scale, is_causal, dropout_p):
    p = _probabilities(xp, query, key, mask, scale, is_causal)  # (..., L, S)
    gp = xp.matmul(gy, xp.swapaxes(value, -1, -2))
    used = p
    if keep is not None:
        used = p * survivors_scale(dropout_p) * keep
        gp = gp * survivors_scale(dropout_p) * keep
    gs = p * (gp - xp.sum(gp * p, axis=-1, keepdims=True))
    gquery = xp.matmul(gs, key) * scale if needs[0] else None
    gkey = xp.matmul(xp.swapaxes(gs, -1, -2), query) * scale if needs[1] else None
    gvalue = xp.matmul(xp.swapaxes(used, -1, -2), gy) if needs[2] else None
    return gquery, gkey, gvalue, gs if needs[3] else None, None


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Any:
    """Each query's average of the values, weighted by how well their keys match it.

    Y = softmax(scale Q K^T + mask) V

    query:     (..., L, E), floating point.
    key:       (..., S, E).
    value:     (..., S, Ev). Leading dimensions broadcast against each other.
    attn_mask: broadcasts to (..., L, S). bool: True where a query may look at a key. Floating point: added to the
               scores (and differentiated). A query that may look at no key gets zeros.
    dropout_p: probability of dropping a weight, 0 to 1; applied whenever it is not 0, so pass 0 in evaluation.
    is_causal: query i looks at keys 0 to i only; not together with attn_mask.
    scale:     default 1 / sqrt(E).

    Returns (..., L, Ev). The weights, (..., L, S), are computed again in backward; nothing but the inputs is kept.
    Raises ShapeError, DtypeError or ArgumentError for inputs that do not fit.
    Source: Vaswani et al. 2017, "Attention is all you need", section 3.2.1, eq. 1.

    >>> import minigrad as mg
    >>> q = k = mg.eye(3) * 100
    >>> v = mg.tensor([[1.0], [2.0], [3.0]])
    >>> mg.nn.functional.scaled_dot_product_attention(q, k, v).reshape(3)
    tensor([1., 2., 3.])
    """
    name = "scaled_dot_product_attention"
    scores_shape = _check_shapes(name, query, key, value)
    if attn_mask is not None:
        if is_causal:
            raise ArgumentError(
                f"{name} takes attn_mask or is_causal=True, not both; put the causal part into the mask"
            )
        _check_mask(name, attn_mask, query, scores_shape)
    dropout_p = need_probability(name, dropout_p, "dropout_p")
    keep = random_mask(query, scores_shape, dropout_p) if dropout_p > 0 else None
    scale = 1 / math.sqrt(max(query.shape[-1], 1)) if scale is None else float(scale)
    return _attention(
        query, key, value, attn_mask, keep, scale=scale, is_causal=bool(is_causal), dropout_p=dropout_p
    )


def _check_shapes(name: str, query: Any, key: Any, value: Any) -> tuple[int, ...]:
    """The shape of the scores, (..., L, S)."""
    given = f"{name}(query={describe(query)}, key={describe(key)}, value={describe(value)})"
    for x in (query, key, value):
        if not isinstance(x, engine.Tensor):
            raise DtypeError(f"{given}: takes tensors; make one with mg.tensor(...)")
        need_floating(name, x)
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ShapeError(
            f"{given}: each needs two dimensions or more: query (..., L, E), key (..., S, E), value (..., S, Ev)"
        )
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ShapeError(
            f"{given}: query and key must agree in their last dimension, key and value in the one before it"
        )
    try:
        batch = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    except ValueError:
        raise ShapeError(
            f"{given}: the dimensions before the last two do not broadcast against each other"
        ) from None
    return (*batch, query.shape[-2], key.shape[-2])


def _check_mask(name: str, mask: Any, query: Any, scores_shape: tuple[int, ...]) -> None:
    if not isinstance(mask, engine.Tensor) or mask.dtype not in (dtypes.bool_, query.dtype):
        raise DtypeError(
            f"{name}: attn_mask must be bool, or {query.dtype} as the query is, not {describe(mask)}"
        )
    try:
        fits = np.broadcast_shapes(mask.shape, scores_shape) == scores_shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            f"{name}: attn_mask of shape {list(mask.shape)} does not broadcast to (..., L, S) = {list(scores_shape)}"
        )
