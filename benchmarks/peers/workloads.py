"""What is measured: networks of `models/`, written down so that any library can build them.

A plan is a list of layers in order, each a list of its kind and arguments; names are those of the weights:

    ["conv", name, stride, padding]      ["batch_norm", name]      ["relu"]      ["max_pool", size]
    ["residual", branch, shortcut]       branch(x) + shortcut(x), each a plan; an empty one is x itself
    ["mean"]                             over height and width     ["flatten"]   to (N, C H W)
    ["linear", name]

Weights have PyTorch's shapes: convolution (O, C, Kh, Kw), linear (out, in).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
import models
from minigrad import nn
from minigrad.errors import ArgumentError
from models.residual_block import BasicBlock

Plan = list[list[Any]]
CLASSES = 10
INFERENCE = "-inference"


class Workload(NamedTuple):
    """A network for images of `channels` x `size` x `size` in batches of `batch`; `make(channels, size)` builds it."""

    make: Callable[[int, int], nn.Module]
    batch: int
    channels: int
    size: int


WORKLOADS = {
    "resnet20": Workload(lambda channels, size: models.resnet20(CLASSES, channels), 128, 1, 28),
    "resnet18": Workload(lambda channels, size: models.resnet18(CLASSES, channels, stem="small"), 64, 3, 32),
    "cnn": Workload(
        lambda channels, size: models.SimpleCNN(CLASSES, channels, size, dropout=0.0), 128, 1, 28
    ),
    "mlp": Workload(
        lambda channels, size: models.mlp(CLASSES, channels, size, hidden=(512, 256)), 128, 1, 28
    ),
}
NAMES = [*WORKLOADS, *(name + INFERENCE for name in WORKLOADS)]


def workload(name: str, tiny: bool = False) -> Workload:
    """The workload of that name, or its `-inference`; tiny: the same network on 16 images of 8 x 8."""
    found = WORKLOADS[name.removesuffix(INFERENCE)]
    return found._replace(batch=16, size=8) if tiny else found


def make(name: str, tiny: bool = False) -> nn.Module:
    """The network of a workload, with weights that are the same at every call."""
    mg.manual_seed(0)
    chosen = workload(name, tiny)
    return chosen.make(chosen.channels, chosen.size)


def arrays_of(name: str, tiny: bool = False) -> dict[str, np.ndarray]:
    """Inputs, labels and weights of a workload, by name.

    For inference the statistics of batch norm are not those of a new network, 0 and 1, which would hide an error.
    """
    rng, chosen = np.random.default_rng(0), workload(name, tiny)
    shape = (chosen.batch, chosen.channels, chosen.size, chosen.size)
    arrays: dict[str, np.ndarray] = {
        "inputs": rng.standard_normal(shape, dtype=np.float32),
        "labels": rng.integers(0, CLASSES, chosen.batch),
    }
    for key, tensor in make(name, tiny).state_dict().items():
        array = np.array(tensor.numpy())
        if name.endswith(INFERENCE) and key.endswith("running_mean"):
            array = rng.normal(0, 0.1, array.shape).astype(np.float32)
        elif name.endswith(INFERENCE) and key.endswith("running_var"):
            array = rng.uniform(0.5, 1.5, array.shape).astype(np.float32)
        arrays[key] = array
    return arrays


def plan_of(model: nn.Module) -> Plan:
    """The plan of a network from `models/`. Raises ArgumentError for one that has no plan here."""
    if isinstance(model, models.ResNet) and isinstance(model.maxpool, nn.Identity):
        stages = [_chain(getattr(model, f"layer{i + 1}"), f"layer{i + 1}") for i in range(model.stages)]
        stem = [_layer(model.conv1, "conv1"), _layer(model.bn1, "bn1"), ["relu"]]
        return [*stem, *(layer for stage in stages for layer in stage), ["mean"], ["linear", "fc"]]
    if isinstance(model, models.SimpleCNN):
        pooled = [
            [_layer(model.conv1, "conv1"), _layer(model.bn1, "bn1"), ["relu"], ["max_pool", 2]],
            [_layer(model.conv2, "conv2"), _layer(model.bn2, "bn2"), ["relu"], ["max_pool", 2]],
        ]
        return [*pooled[0], *pooled[1], ["flatten"], ["linear", "fc1"], ["relu"], ["linear", "fc2"]]
    if isinstance(model, models.MLP) and model.norms is None and isinstance(model.activation, nn.ReLU):
        plan: Plan = [["flatten"]]
        for i in range(len(model.layers)):
            plan += [["linear", f"layers.{i}"], ["relu"]]
        return plan[:-1]
    raise ArgumentError(f"no plan is known for this {type(model).__name__}")


def _chain(modules: nn.Module, prefix: str) -> Plan:
    return [
        layer
        for name, module in modules.named_children()
        for layer in _plan_of_part(module, f"{prefix}.{name}")
    ]


def _plan_of_part(module: nn.Module, name: str) -> Plan:
    if not isinstance(module, BasicBlock):
        return [_layer(module, name)]
    branch = [_layer(module.conv1, f"{name}.conv1"), _layer(module.bn1, f"{name}.bn1"), ["relu"]]
    branch += [_layer(module.conv2, f"{name}.conv2"), _layer(module.bn2, f"{name}.bn2")]
    shortcut = [] if module.downsample is None else _chain(module.downsample, f"{name}.downsample")
    return [["residual", branch, shortcut], ["relu"]]


def _layer(module: nn.Module, name: str) -> list[Any]:
    if isinstance(module, nn.Conv2d) and module.groups == 1 and module.bias is None:
        return ["conv", name, module.stride[0], module.padding[0]]
    if isinstance(module, nn.BatchNorm2d):
        return ["batch_norm", name]
    raise ArgumentError(f"no plan is known for {name}, {module!r}")
