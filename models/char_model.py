"""A small transformer that predicts the next character."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from minigrad import creation, nn
from minigrad.engine import no_grad
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn import functional as F
from minigrad.tensor import Tensor
from models.mlp import ACTIVATIONS


class CausalSelfAttention(nn.Module):
    """Each position's average of the positions up to it, by several heads: y = concat(softmax(q k^T / sqrt(d)) v) Wo^T.

    Source: Vaswani et al. 2017, section 3.2.
    """

    def __init__(self, n_embd: int, n_head: int, dropout: float) -> None:
        self.n_head, self.dropout = n_head, dropout
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)  # queries, keys and values of all heads, in one product
        self.c_proj = nn.Linear(n_embd, n_embd)
        self.resid_dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, C) to y (B, T, C)."""
        q, k, v = self.c_attn(x).chunk(3, -1)  # (B, T, C) each
        q, k, v = (
            part.unflatten(-1, (self.n_head, -1)).transpose(1, 2) for part in (q, k, v)
        )  # (B, nh, T, hs)
        p = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)  # (B, nh, T, hs)
        return self.resid_dropout(self.c_proj(y.transpose(1, 2).flatten(2)))  # (B, T, C)


class FeedForward(nn.Module):
    """The same perceptron at each position, with a hidden layer of 4 C units: y = f(x W1^T + b1) W2^T + b2.

    Source: Vaswani et al. 2017, section 3.3.
    """

    def __init__(self, n_embd: int, activation: str, dropout: float) -> None:
        self.c_fc = nn.Linear(n_embd, 4 * n_embd)
        self.act = ACTIVATIONS[activation]()
        self.c_proj = nn.Linear(4 * n_embd, n_embd)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, C) to y (B, T, C)."""
        hidden = F.linear_act(x, self.c_fc, self.act)  # (B, T, 4 C)
        return self.dropout(self.c_proj(hidden))


class TransformerBlock(nn.Module):
    """Attention, then a perceptron, each of what is normalised before it, and added to what came: x + f(norm(x)).

    Source: Radford et al. 2019, section 2.3 (the norm first).
    """

    def __init__(self, n_embd: int, n_head: int, activation: str, dropout: float) -> None:
        self.ln_1 = nn.LayerNorm(n_embd)
        self.attn = CausalSelfAttention(n_embd, n_head, dropout)
        self.ln_2 = nn.LayerNorm(n_embd)
        self.mlp = FeedForward(n_embd, activation, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, C) to y (B, T, C)."""
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class CharTransformer(nn.Module):
    """A decoder like GPT-2, of a size for single characters: what comes next, at each position, given what came before.

        x = wte[tokens] + wpe[0 .. T-1];  x = block(x), n_layer times;  logits = norm(x) W^T

    vocab_size:     V, how many characters there are, `len(vocabulary)`.
    context_length: the longest T.
    n_layer:        blocks.
    n_head:         attentions side by side in a block; divides n_embd.
    n_embd:         C, length of the vector at each position.
    activation:     of the perceptrons, by name, as for `MLP`; "gelu" is GPT-2's.
    dropout:        probability of dropping a feature, or an attention's weight.
    tie_weights:    whether the head's W is wte's weight; else it has its own.

    Shapes: tokens (B, T), int64 in [0, V); logits (B, T, V).
    State names are GPT-2's: wte.weight (V, C), wpe.weight (context_length, C), h.0.ln_1.weight, h.0.attn.c_attn.weight
    (3 C, C), h.0.attn.c_proj.weight, h.0.ln_2.weight, h.0.mlp.c_fc.weight (4 C, C), h.0.mlp.c_proj.weight, ln_f.weight,
    lm_head.weight (V, C), and the biases, which the head has not. Matrices are (out, in), as everywhere here; GPT-2's
    own files have them the other way round.
    Initialised from N(0, 0.02), those that end a branch from N(0, 0.02 / sqrt(2 n_layer)), biases 0, as GPT-2.
    Raises ArgumentError for sizes out of range, an unknown activation or a dropout that is no probability; ShapeError
    for more tokens than context_length.
    Source: Radford et al. 2019, "Language models are unsupervised multitask learners", section 2.3.

    >>> import minigrad as mg
    >>> model = CharTransformer(vocab_size=50, context_length=16)
    >>> model(mg.zeros(2, 16, dtype=mg.int64)).shape
    (2, 16, 50)
    """

    def __init__(
        self,
        vocab_size: int,
        context_length: int = 64,
        n_layer: int = 3,
        n_head: int = 4,
        n_embd: int = 64,
        activation: str = "gelu",
        dropout: float = 0.0,
        tie_weights: bool = True,
    ) -> None:
        if min(vocab_size, context_length, n_layer, n_head, n_embd) < 1 or n_embd % n_head:
            raise ArgumentError(
                "CharTransformer: sizes must be 1 or more, and n_head must divide n_embd; got "
                f"vocab_size={vocab_size}, context_length={context_length}, n_layer={n_layer}, n_head={n_head}, "
                f"n_embd={n_embd}"
            )
        if activation not in ACTIVATIONS:
            raise ArgumentError(
                f"CharTransformer: activation must be one of {', '.join(sorted(ACTIVATIONS))}, not {activation!r}"
            )
        self.vocab_size, self.context_length = vocab_size, context_length
        self.wte = nn.Embedding(vocab_size, n_embd)
        self.wpe = nn.Embedding(context_length, n_embd)
        self.drop = nn.Dropout(dropout)
        self.h = nn.ModuleList(TransformerBlock(n_embd, n_head, activation, dropout) for _ in range(n_layer))
        self.ln_f = nn.LayerNorm(n_embd)
        self.lm_head = nn.Linear(n_embd, vocab_size, bias=False)
        if tie_weights:  # a character's row is how it is read and how it is said (Press & Wolf 2017)
            self.lm_head.weight = self.wte.weight
        self._initialise(n_layer)

    def _initialise(self, n_layer: int) -> None:
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif name.endswith(
                "c_proj.weight"
            ):  # 2 n_layer branches are added up: their sum is to keep its size
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * n_layer))
            elif parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (B, T) to logits (B, T, V)."""
        if tokens.ndim != 2 or not 1 <= tokens.shape[1] <= self.context_length:
            raise ShapeError(
                f"CharTransformer takes tokens (B, T) with T from 1 to {self.context_length}, not shape "
                f"{list(tokens.shape)}"
            )
        positions = creation.arange(tokens.shape[1], device=tokens.backend)
        x = self.drop(self.wte(tokens) + self.wpe(positions))  # (B, T, C) + (T, C)
        for block in self.h:
            x = block(x)  # (B, T, C)
        return self.lm_head(self.ln_f(x))  # (B, T, V)

    def generate(
        self, tokens: npt.ArrayLike, length: int, temperature: float = 1.0, seed: int = 0
    ) -> npt.NDArray[np.int64]:
        """Tokens (n,), one at least, and `length` more, each drawn from what the model expects after those before it.

        temperature: its logits are divided by it: below 1 for what is likelier, 0 for the likeliest in every place.
        seed:        of the draws, from 0.

        Returns (n + length,) int64. No more than the last context_length tokens are looked at. Runs in evaluation mode;
        every module is then in the mode it was in. Raises ShapeError for tokens of another shape, ArgumentError for
        numbers out of range.

        >>> CharTransformer(vocab_size=50).generate([7, 8], length=3, seed=1).shape
        (5,)
        """
        written = [int(token) for token in _one_row(tokens)]
        if length < 0 or not 0 <= temperature < math.inf or seed < 0:
            raise ArgumentError(
                "generate takes a length, a finite temperature and a seed, all from 0, not "
                f"{length}, {temperature} and {seed}"
            )
        rng, device = np.random.default_rng(seed), self.wte.weight.backend
        modes = [(module, module.training) for module in self.modules()]
        self.eval()
        try:
            with no_grad():
                for _ in range(length):
                    context = creation.tensor([written[-self.context_length :]], device=device)  # (1, T)
                    logits = self(context)[0, -1].numpy().astype(np.float64)  # (V,)
                    written.append(_draw(logits, temperature, rng))
        finally:
            for module, training in modes:
                module.training = training
        return np.array(written, dtype=np.int64)


def _one_row(tokens: npt.ArrayLike) -> npt.NDArray:
    row = np.asarray(tokens)
    if row.ndim != 1 or not row.size or row.dtype.kind not in "iu":
        raise ShapeError(
            f"generate takes whole numbers of shape (n,), n from 1, not {row.dtype} of shape {list(row.shape)}"
        )
    return row


def _draw(logits: npt.NDArray, temperature: float, rng: np.random.Generator) -> int:
    """A number with probability softmax(logits / temperature), or the likeliest at temperature 0."""
    if temperature == 0:
        return int(logits.argmax())
    weights = np.exp((logits - logits.max()) / temperature)
    return int(rng.choice(len(weights), p=weights / weights.sum()))
