"""Embedding: a table of vectors, looked up by number."""

from __future__ import annotations

from typing import Any

from minigrad import creation, ops
from minigrad.engine import no_grad
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn import init
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor


class Embedding(Module):
    """y[...] = weight[x[...]]: each number's row of a table that is learnt; see `minigrad.nn.functional.embedding`.

    num_embeddings: number of rows.
    embedding_dim:  length of a row.
    padding_idx:    a row that is zeros at the beginning and gets no gradient, for padding; counted from the end if
                    negative.
    device, dtype:  of the table.

    Shapes: x (...), integers from 0 to num_embeddings - 1; weight (num_embeddings, embedding_dim);
        y (..., embedding_dim).
    Gradient: each row gets the sum of gy over the places where its number stands.
    Initialised from the normal distribution N(0, 1), as in PyTorch. Raises ArgumentError for sizes out of range.
    Source: Bengio et al. 2003, "A neural probabilistic language model", section 2.

    >>> import minigrad as mg
    >>> mg.nn.Embedding(10, 3, padding_idx=0)(mg.tensor([[0, 5]])).shape
    (1, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if min(num_embeddings, embedding_dim) < 1:
            raise ArgumentError(
                f"Embedding needs at least one row of one number, not {num_embeddings} of {embedding_dim}"
            )
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ArgumentError(f"Embedding: padding_idx {padding_idx} is none of the {num_embeddings} rows")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = Parameter(
            init.normal_(creation.empty(num_embeddings, embedding_dim, device=device, dtype=dtype))
        )
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0.0

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None
    ) -> Embedding:
        """A layer around a table (rows, length) that is there already; not learnt unless `freeze` is False."""
        if embeddings.ndim != 2:
            raise ShapeError(
                f"from_pretrained takes a table of two dimensions, not shape {list(embeddings.shape)}"
            )
        rows, length = embeddings.shape
        layer = cls(rows, length, padding_idx)
        layer.weight = Parameter(embeddings.detach(), requires_grad=not freeze)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """Integers x (...) to y (..., embedding_dim)."""
        return ops.embedding(x, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
