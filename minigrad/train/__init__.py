"""The training loop, callbacks and metrics."""
from minigrad.train.callback import Callback, Checkpoint, History, ProgressBar
from minigrad.train.metrics import accuracy
from minigrad.train.trainer import Trainer

__all__ = ["Callback", "Checkpoint", "History", "ProgressBar", "Trainer", "accuracy"]
