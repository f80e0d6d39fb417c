"""Optimisers and learning-rate schedules, with PyTorch's names, arguments and numbers."""

from minigrad.optim import lr_scheduler
from minigrad.optim.adagrad import Adagrad
from minigrad.optim.adam import Adam, AdamW
from minigrad.optim.ema import ExponentialMovingAverage
from minigrad.optim.groups import param_groups
from minigrad.optim.nadam import NAdam
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.rmsprop import RMSprop
from minigrad.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "ExponentialMovingAverage",
    "NAdam",
    "Optimizer",
    "RMSprop",
    "lr_scheduler",
    "param_groups",
]
