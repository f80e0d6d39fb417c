"""The training loop, callbacks, metrics, and runs that survive anything."""

from minigrad.train.callback import Callback, History
from minigrad.train.confusion import F1, ConfusionMatrix, Precision, Recall
from minigrad.train.metric import Mean, Metric
from minigrad.train.metrics import Accuracy, Perplexity, TopKAccuracy, accuracy
from minigrad.train.progress import ProgressBar
from minigrad.train.run_callbacks import RunCheckpoint, RunLog
from minigrad.train.run_folder import RunFolder
from minigrad.train.schedule import ScheduleEpochs
from minigrad.train.state_file import load_state, save_state
from minigrad.train.trainer import Trainer
from minigrad.train.weights import Checkpoint, EarlyStopping, WeightAverage

__all__ = [
    "F1",
    "Accuracy",
    "Callback",
    "Checkpoint",
    "ConfusionMatrix",
    "EarlyStopping",
    "History",
    "Mean",
    "Metric",
    "Perplexity",
    "Precision",
    "ProgressBar",
    "Recall",
    "RunCheckpoint",
    "RunFolder",
    "RunLog",
    "ScheduleEpochs",
    "TopKAccuracy",
    "Trainer",
    "WeightAverage",
    "accuracy",
    "load_state",
    "save_state",
]
