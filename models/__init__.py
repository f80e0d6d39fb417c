"""Architectures, built from `minigrad.nn` only."""

from models.cnn import SimpleCNN, simple_cnn
from models.resnet import ResNet, resnet8, resnet14, resnet18, resnet20, small_resnet

__all__ = ["ResNet", "SimpleCNN", "resnet8", "resnet14", "resnet18", "resnet20", "simple_cnn", "small_resnet"]
