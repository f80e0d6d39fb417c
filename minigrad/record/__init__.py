"""Recorded runs: what is written while a network learns, how it is read afterwards, and what is watched meanwhile."""

from minigrad.record.compare import Joined, compare, configuration_differences
from minigrad.record.configuration import RecorderConfiguration
from minigrad.record.export import export_csv, export_parquet
from minigrad.record.export_tensorboard import export_tensorboard
from minigrad.record.facts import Facts, Numbers, SignalFacts
from minigrad.record.reader import RunReader
from minigrad.record.reader import open_run as open
from minigrad.record.recorder import Recorder
from minigrad.record.rows import Agreement, Influence, Note, Signal
from minigrad.record.rules import Rule, always, dead_units, exploding_gradient, frozen_layer, loss_spike
from minigrad.record.writer import RunWriter

__all__ = [
    "Agreement",
    "Facts",
    "Influence",
    "Joined",
    "Note",
    "Numbers",
    "Recorder",
    "RecorderConfiguration",
    "Rule",
    "RunReader",
    "RunWriter",
    "Signal",
    "SignalFacts",
    "always",
    "compare",
    "configuration_differences",
    "dead_units",
    "exploding_gradient",
    "export_csv",
    "export_parquet",
    "export_tensorboard",
    "frozen_layer",
    "loss_spike",
    "open",
]
