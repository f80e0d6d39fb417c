"""Attention as a layer."""

from __future__ import annotations

import math
from typing import Any

from minigrad import creation, dtypes, ops
from minigrad.engine import describe
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.nn import init
from minigrad.nn.linear import Linear
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.ops.dropout import dropout
from minigrad.ops.softmax import softmax
from minigrad.tensor import Tensor


class MultiheadAttention(Module):
    """Several attentions side by side, each over its own projections of queries, keys and values.

        head_i = P_i V Wv_i^T,  P_i = softmax(Q Wq_i^T (K Wk_i^T)^T / sqrt(E / heads) + mask)
        y      = concat(head_1, ..., head_heads) Wo^T + b

    embed_dim:     E, length of queries and outputs, a multiple of num_heads.
    num_heads:     number of attentions, each on E / num_heads features.
    dropout:       probability of dropping one of the weights P in training, 0 to 1.
    bias:          whether the projections add a bias.
    add_bias_kv:   whether a key and a value that are learnt stand after all others.
    add_zero_attn: whether a key and a value of zeros stand after all others, for "nothing here".
    kdim, vdim:    lengths of keys and values; None for E.
    batch_first:   whether the batch comes first: (N, L, E) rather than PyTorch's older (L, N, E).
    device, dtype: of the parameters.

    Parameters by name: in_proj_weight (3 E, E), those of queries, keys and values one below the other, or q_proj_weight
    (E, E), k_proj_weight (E, kdim), v_proj_weight (E, vdim) where lengths differ; in_proj_bias (3 E,); bias_k, bias_v
    (1, 1, E); out_proj.weight (E, E), out_proj.bias (E,). Weights begin as by `init.xavier_uniform_` (out_proj as a
    `Linear`), biases as 0. Raises ArgumentError for numbers out of range.
    Source: Vaswani et al. 2017, "Attention is all you need", section 3.2.2.

    >>> import minigrad as mg
    >>> attention = mg.nn.MultiheadAttention(8, num_heads=2, batch_first=True)
    >>> x = mg.randn(3, 5, 8)
    >>> y, weights = attention(x, x, x)
    >>> y.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        kdim, vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        if min(embed_dim, num_heads, kdim, vdim) < 1 or embed_dim % num_heads:
            raise ArgumentError(
                f"MultiheadAttention: {embed_dim} features cannot be divided among {num_heads} heads, "
                f"with keys of {kdim} and values of {vdim}"
            )
        if not 0 <= dropout <= 1:
            raise ArgumentError(f"MultiheadAttention: dropout must be a probability, 0 to 1, not {dropout}")
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.kdim, self.vdim, self.batch_first, self.add_zero_attn = kdim, vdim, batch_first, add_zero_attn

        def weight(features: int, rows: int = embed_dim) -> Parameter:
            return Parameter(init.xavier_uniform_(creation.empty(rows, features, device=device, dtype=dtype)))

        alike = kdim == vdim == embed_dim
        self.in_proj_weight = weight(embed_dim, 3 * embed_dim) if alike else None
        self.q_proj_weight = None if alike else weight(embed_dim)
        self.k_proj_weight = None if alike else weight(kdim)
        self.v_proj_weight = None if alike else weight(vdim)
        zeros = creation.zeros(3 * embed_dim, device=device, dtype=dtype)
        self.in_proj_bias = Parameter(zeros) if bias else None
        self.bias_k: Parameter | None = None
        self.bias_v: Parameter | None = None
        if add_bias_kv:
            shape = (1, 1, embed_dim)
            self.bias_k = Parameter(init.xavier_normal_(creation.empty(shape, device=device, dtype=dtype)))
            self.bias_v = Parameter(init.xavier_normal_(creation.empty(shape, device=device, dtype=dtype)))
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Each query's answer, and where it looked.

        query, key, value:    (N, L, E), (N, S, kdim), (N, S, vdim) with batch_first, else (L, N, E) and so on; or
                              without N.
        key_padding_mask:     (N, S), bool, True for a key that nobody may look at (the opposite of what
                              `scaled_dot_product_attention` means by it); or floating point, to be added to scores.
        attn_mask:            (L, S), or (N num_heads, L, S) with the heads of a sample one after the other; likewise.
        is_causal:            True lets query i look at keys 0 to i only, besides what the masks say.
        need_weights:         False returns None for the weights, and is faster.
        average_attn_weights: False returns those of each head.

        Returns the answers, of query's shape, and the weights P, (N, L, S) or for each head (N, num_heads, L, S);
        S counts the keys that add_bias_kv and add_zero_attn add. A query that may look at no key gets weights of 0.
        Raises ShapeError or DtypeError for what does not fit.
        """
        same = query is key and key is value
        self._check(query, key, value)
        single = query.ndim == 2
        if single:
            query, key, value = (t.unsqueeze(0) for t in (query, key, value))
        elif not self.batch_first:
            query, key, value = (t.transpose(0, 1) for t in (query, key, value))
        (N, L, _), S = query.shape, key.shape[1]
        q, k, v = self._projected(query, key, value, same)  # (N, L, E), (N, S, E), (N, S, E)
        if self.bias_k is not None and self.bias_v is not None:
            k = ops.cat([k, self.bias_k.expand(N, 1, -1)], 1)
            v = ops.cat([v, self.bias_v.expand(N, 1, -1)], 1)
        if self.add_zero_attn:
            k, v = (ops.pad(t, (0, 0, 0, 1)) for t in (k, v))
        mask = self._mask(q, L, S, k.shape[1] - S, key_padding_mask, attn_mask, is_causal)
        # (N, heads, L or S, E / heads) each
        q, k, v = (t.unflatten(2, (self.num_heads, -1)).transpose(1, 2) for t in (q, k, v))

        p = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            weights = dropout(_weights(q, k, mask), p)  # (N, heads, L, S)
            y = weights @ v
            weights = weights.mean(1) if average_attn_weights else weights
        else:
            y = ops.scaled_dot_product_attention(q, k, v, mask, p)
        y = self.out_proj(y.transpose(1, 2).flatten(2))  # (N, L, E)
        if single:
            return y.squeeze(0), None if weights is None else weights.squeeze(0)
        return y if self.batch_first else y.transpose(0, 1), weights

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        dims = {query.ndim, key.ndim, value.ndim}
        features = (query.shape[-1:], key.shape[-1:], value.shape[-1:])
        batch = slice(0, 1) if self.batch_first else slice(1, 2)
        fits = dims in ({2}, {3}) and features == ((self.embed_dim,), (self.kdim,), (self.vdim,))
        if fits and dims == {3}:
            fits = query.shape[batch] == key.shape[batch] and key.shape[:2] == value.shape[:2]
        elif fits:
            fits = key.shape[0] == value.shape[0]
        if not fits:
            order = "(N, L, E), (N, S, kdim), (N, S, vdim)"
            order = order if self.batch_first else "(L, N, E), (S, N, kdim), (S, N, vdim)"
            raise ShapeError(
                f"MultiheadAttention(query={describe(query)}, key={describe(key)}, value={describe(value)}): they must "
                f"be {order}, or without N, with E = {self.embed_dim}, kdim = {self.kdim}, vdim = {self.vdim}"
            )

    def _projected(self, query: Tensor, key: Tensor, value: Tensor, same: bool) -> Any:
        """Queries, keys and values for all heads, (N, L, E) each."""
        if self.in_proj_weight is not None and same:  # one product instead of three
            return ops.chunk(ops.linear(query, self.in_proj_weight, self.in_proj_bias), 3, 2)
        if self.in_proj_weight is not None:
            weights = ops.chunk(self.in_proj_weight, 3, 0)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = (None,) * 3 if self.in_proj_bias is None else ops.chunk(self.in_proj_bias, 3, 0)
        return [ops.linear(*each) for each in zip((query, key, value), weights, biases, strict=True)]

    def _mask(
        self,
        like: Tensor,
        L: int,
        S: int,
        added: int,
        key_padding_mask: Tensor | None,
        attn_mask: Tensor | None,
        is_causal: bool,
    ) -> Tensor | None:
        """What is to be added to the scores, broadcasting to (N, heads, L, S + added); None for nothing."""
        N, heads, parts = like.shape[0], self.num_heads, []
        if is_causal:
            later = creation.ones(L, S, dtype=dtypes.bool_, device=like.backend).triu(1)
            parts.append(_scores("is_causal", later, like, (L, S)).reshape(1, 1, L, S))
        if attn_mask is not None:
            each = attn_mask.ndim == 3
            scores = _scores("attn_mask", attn_mask, like, (N * heads, L, S) if each else (L, S))
            parts.append(scores.reshape(*((N, heads) if each else (1, 1)), L, S))
        if key_padding_mask is not None:
            scores = _scores(
                "key_padding_mask",
                key_padding_mask,
                like,
                (S,) if key_padding_mask.ndim == 1 and N == 1 else (N, S),
            )
            parts.append(scores.reshape(N, 1, 1, S))
        if not parts:
            return None
        total = sum(parts[1:], start=parts[0])
        return ops.pad(total, (0, added)) if added else total

    def extra_repr(self) -> str:
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, batch_first={self.batch_first}"


def _scores(name: str, mask: Tensor, like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A mask as numbers to add to scores, in the dtype of `like`: -infinity where a bool one is True."""
    if mask.dtype != dtypes.bool_ and mask.dtype not in dtypes.FLOATING:
        raise DtypeError(f"MultiheadAttention: {name} must be bool or floating point, not {describe(mask)}")
    if mask.shape != shape:
        raise ShapeError(
            f"MultiheadAttention: {name} must have shape {list(shape)} here, not {list(mask.shape)}"
        )
    if mask.dtype == dtypes.bool_:
        return ops.masked_fill(creation.zeros(shape, dtype=like.dtype, device=like.backend), mask, -math.inf)
    return mask.to(dtype=like.dtype)


def _weights(q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:
    """softmax(q k^T / sqrt(features) + mask), and 0 for a query that may look at no key."""
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is None:
        return softmax(scores, -1)
    scores = scores + mask
    blind = scores.amax(-1, keepdim=True) == -math.inf
    return ops.where(blind, 0.0, softmax(ops.where(blind, 0.0, scores), -1))
