"""The same step in PyTorch: eager or through torch.compile, in either memory format.

PyTorch is given what it has to offer: relu in place, as torchvision's networks have it, the fused SGD, and
`inference_mode`. What `compiled` compiles is the network with its loss.
"""

from __future__ import annotations

from typing import Any, Callable  # noqa: UP035

import numpy as np
import torch
from torch import nn


class Residual(nn.Module):
    """branch(x) + shortcut(x)."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch, self.shortcut = branch, shortcut

    def forward(self, x: Any) -> Any:
        """x (N, C, H, W) to the sum of both."""
        return self.branch(x) + self.shortcut(x)


def network(plan: list, weights: dict) -> nn.Module:
    """The network of a plan, with these weights."""
    return nn.Sequential(*(_layer(kind, rest, weights) for kind, *rest in plan))


def _layer(kind: str, rest: list, weights: dict) -> nn.Module:
    if kind == "conv":
        name, stride, padding = rest
        out_channels, in_channels, height, width = weights[name + ".weight"].shape
        layer: nn.Module = nn.Conv2d(in_channels, out_channels, (height, width), stride, padding, bias=False)
    elif kind == "batch_norm":
        layer = nn.BatchNorm2d(len(weights[rest[0] + ".weight"]))
    elif kind == "linear":
        out_features, in_features = weights[rest[0] + ".weight"].shape
        layer = nn.Linear(in_features, out_features)
    elif kind == "residual":
        return Residual(network(rest[0], weights), network(rest[1], weights))
    elif kind == "mean":
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    else:
        plain: dict[str, Any] = {
            "relu": lambda: nn.ReLU(inplace=True),
            "max_pool": nn.MaxPool2d,
            "flatten": nn.Flatten,
        }
        return plain[kind](*rest)
    prefix = rest[0] + "."
    own = {name[len(prefix) :]: w for name, w in weights.items() if name.startswith(prefix)}
    layer.load_state_dict({name: torch.from_numpy(np.array(w)) for name, w in own.items()})
    return layer


def threads() -> int:
    """How many threads PyTorch uses."""
    return torch.get_num_threads()


def make_step(job: dict, weights: dict, inputs: np.ndarray, labels: np.ndarray) -> Callable[[], Any]:
    """A training step, which returns the loss, or an inference, which returns logits."""
    torch.set_num_threads(job["threads"])
    net: Any = network(job["plan"], weights).train(job["training"])
    x, targets = torch.from_numpy(inputs), torch.from_numpy(labels)
    if job["options"].get("channels_last"):
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=job["lr"], momentum=job["momentum"], fused=True)

    def loss_of(x: Any) -> Any:
        return nn.functional.cross_entropy(net(x), targets)

    forward = loss_of if job["training"] else net
    if job["options"].get("compiled"):
        forward = torch.compile(forward)

    def train() -> float:
        optimizer.zero_grad()
        loss = forward(x)
        loss.backward()
        optimizer.step()
        return loss.item()

    def infer() -> np.ndarray:
        with torch.inference_mode():
            return forward(x).numpy()

    return train if job["training"] else infer
