"""Layers: modules with named parameters. `minigrad.nn.functional` has the same as plain functions."""

from minigrad.nn import functional, init, utils
from minigrad.nn.activation import Dropout, ReLU
from minigrad.nn.batchnorm import BatchNorm1d, BatchNorm2d
from minigrad.nn.container import ModuleList, Sequential
from minigrad.nn.conv import Conv2d
from minigrad.nn.linear import Flatten, Identity, Linear
from minigrad.nn.loss import CrossEntropyLoss
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.nn.pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Identity",
    "Linear",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "Parameter",
    "ReLU",
    "Sequential",
    "functional",
    "init",
    "utils",
]
