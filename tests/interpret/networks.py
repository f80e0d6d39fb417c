"""Small networks whose units can be gated by hand: an oracle for what influence is."""

from __future__ import annotations

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F


class Gated(nn.Module):
    """Convolution, norm, relu; a residual block; mean; linear layers. `gates[layer]` multiplies a layer's output."""

    def __init__(self, channels: int = 4, classes: int = 3) -> None:
        self.conv1, self.bn1 = nn.Conv2d(2, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = (
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.hidden, self.fc = nn.Linear(channels, 5), nn.Linear(5, classes)
        self.gates: dict[str, mg.Tensor] = {}

    def gated(self, layer: str, y: mg.Tensor) -> mg.Tensor:
        return y * self.gates[layer] if layer in self.gates else y

    def forward(self, x: mg.Tensor) -> mg.Tensor:
        y = self.gated("conv1", F.conv_bn_act(x, self.conv1, self.bn1))
        y = self.gated("conv2", F.conv_bn_act(y, self.conv2, self.bn2, residual=y))
        y = self.gated("hidden", F.linear_act(y.mean((2, 3)), self.hidden))
        return self.gated("fc", self.fc(y))


OUTPUTS = {"conv1": (4, 1, 1), "conv2": (4, 1, 1), "hidden": (5,), "fc": (3,)}  # layer: shape of a gate


def gated(rng, examples: int = 3, dtype=mg.float64):
    """A network with running averages that are not trivial, a batch and its classes."""
    net = Gated().to(dtype=dtype)
    x = mg.tensor(rng.standard_normal((examples, 2, 5, 6)), dtype=dtype)
    net(mg.tensor(rng.standard_normal((8, 2, 5, 6)), dtype=dtype))
    for bn in (net.bn1, net.bn2):
        bn.weight.data.copy_(mg.tensor(rng.uniform(0.5, 2, 4)))
        bn.bias.data.copy_(mg.tensor(rng.standard_normal(4)))
    return net, x, mg.tensor(rng.integers(0, 3, examples))


def state(net: nn.Module) -> dict[str, bytes]:
    """Bits of all there is to a module."""
    found = {name: value.numpy().tobytes() for name, value in net.state_dict().items()}
    found |= {
        f"{n}.grad": b"" if p.grad is None else p.grad.numpy().tobytes() for n, p in net.named_parameters()
    }
    return found | {f"{n}.training": bytes([m.training]) for n, m in net.named_modules()}
