"""Multilayer perceptrons."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from minigrad import nn
from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.tensor import Tensor

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


class MLP(nn.Module):
    """Linear layers with an activation between them: y = W_n f(... f(W_1 x + b_1) ...) + b_n.

    in_features:  numbers in one input.
    num_classes:  length of the output.
    hidden:       lengths of the layers between; none for a linear classifier.
    activation:   f, by name: "relu", "tanh", "sigmoid", "gelu", "silu", "elu" or "selu".
    batch_norm:   whether to normalise what goes into each activation.
    dropout:      probability of dropping a hidden feature.

    Shapes: x (N, ...) with in_features numbers in all but the first dimension; y (N, num_classes), logits.
    Raises ArgumentError for an unknown activation. State names: layers.0.weight, layers.0.bias, layers.1.weight and so
    on, with batch_norm also norms.0.weight.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        hidden: Sequence[int] = (256, 128),
        activation: str = "relu",
        batch_norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        if activation not in ACTIVATIONS:
            raise ArgumentError(
                f"MLP: activation must be one of {', '.join(sorted(ACTIVATIONS))}, not {activation!r}"
            )
        sizes = [in_features, *hidden, num_classes]
        self.layers = nn.ModuleList(nn.Linear(n, m) for n, m in itertools.pairwise(sizes))
        self.norms = nn.ModuleList(nn.BatchNorm1d(n) for n in hidden) if batch_norm else None
        self.activation = ACTIVATIONS[activation]()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, ...) to logits (N, num_classes)."""
        x = x.flatten(1)
        *hidden, last = self.layers
        for i, layer in enumerate(hidden):
            if self.norms is None:
                x = F.linear_act(x, layer, self.activation)
            else:
                x = F.batch_norm_act(layer(x), self.norms[i], self.activation)
            x = self.dropout(x)
        return last(x)


def mlp(
    num_classes: int = 10,
    in_channels: int = 1,
    image_size: int = 28,
    hidden: Sequence[int] = (256, 128),
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
) -> MLP:
    """An MLP for square images: 0.24 million parameters for 28 x 28."""
    return MLP(in_channels * image_size**2, num_classes, hidden, activation, batch_norm, dropout)
