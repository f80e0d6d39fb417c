"""Optimisers and learning-rate schedules, with PyTorch's names, arguments and numbers."""

from minigrad.optim import lr_scheduler
from minigrad.optim.adam import AdamW
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.sgd import SGD

__all__ = ["SGD", "AdamW", "Optimizer", "lr_scheduler"]
