"""The training loop, callbacks and metrics."""

from minigrad.train.callback import Callback, History, ProgressBar
from minigrad.train.metrics import accuracy
from minigrad.train.trainer import Trainer

__all__ = ["Callback", "History", "ProgressBar", "Trainer", "accuracy"]
