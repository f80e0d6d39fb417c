"""Architectures, built from `minigrad.nn` only. `models.build(name)` makes any of `models.NAMES`."""

from models.by_name import NAMES, build
from models.char_model import CharTransformer
from models.cnn import SimpleCNN, simple_cnn
from models.lenet import LeNet5, lenet5
from models.mlp import MLP, mlp
from models.resnet import (
    ResNet,
    resnet8,
    resnet14,
    resnet18,
    resnet20,
    resnet32,
    resnet34,
    resnet44,
    resnet50,
    resnet56,
    resnet101,
    resnet110,
    resnet152,
    small_resnet,
)

__all__ = [
    "MLP",
    "NAMES",
    "CharTransformer",
    "LeNet5",
    "ResNet",
    "SimpleCNN",
    "build",
    "lenet5",
    "mlp",
    "resnet8",
    "resnet14",
    "resnet18",
    "resnet20",
    "resnet32",
    "resnet34",
    "resnet44",
    "resnet50",
    "resnet56",
    "resnet101",
    "resnet110",
    "resnet152",
    "simple_cnn",
    "small_resnet",
]
