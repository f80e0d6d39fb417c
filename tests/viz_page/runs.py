"""Recorded runs to look at: a small network that really learns, and runs written by hand, of any length."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F
from minigrad.record import RunWriter
from minigrad.record.configuration import RecorderConfiguration
from minigrad.record.recorder import Recorder
from minigrad.tracing.statistics import Statistics

FIELDS = (
    "count",
    "nans",
    "infs",
    "zeros",
    "minimum",
    "maximum",
    "mean",
    "std",
    "skewness",
    "kurtosis",
    "norm",
)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(128, 4)

    def forward(self, x):
        return self.fc(self.relu(self.conv(x)).flatten(1))


def train(folder: Path, lr: float = 0.1, epochs: int = 2, batches: int = 30, seed: int = 0) -> Path:
    """Tell four patterns in noisy images apart, and record everything."""
    mg.manual_seed(seed)
    rng = np.random.default_rng(seed)
    patterns = rng.standard_normal((4, 1, 8, 8)).astype(np.float32)

    def draw(count):
        labels = rng.integers(0, 4, count)
        return patterns[labels] + rng.standard_normal((count, 1, 8, 8)).astype(np.float32), labels

    model = Net()
    optimizer = mg.optim.SGD(model.parameters(), lr=lr)
    images, labels = draw(64)
    probe = (mg.tensor(images), mg.tensor(labels))
    cadence = RecorderConfiguration(full_every=5, units_every=5, agreement="epoch", agreement_units=8)
    settings = {"lr": lr, "batch_size": 16}
    with Recorder(
        folder, cadence, model=model, optimizer=optimizer, probe=probe, settings=settings
    ) as recorder:
        for epoch in range(epochs):
            for batch in range(batches):
                images, labels = draw(16)
                with recorder.step(epoch=epoch + 1, batch=batch) as step:
                    optimizer.zero_grad()
                    loss = F.cross_entropy(model(mg.tensor(images)), mg.tensor(labels))
                    loss.backward()
                    optimizer.step()
                    step.loss = loss.item()
            recorder.end_epoch({"val_accuracy": 0.5 + 0.1 * epoch, "val_loss": loss.item()})
        recorder.writer.note(
            7, "warning", "rate", "<b>the rate</b> is high </script>", signal="conv.weight", unit=3
        )
        recorder.writer.note(40, "note", "dead", "unit 2 gave nothing but zeros")
    return folder


class Hand:
    """Writes a run step by step; numbers are simple functions of the step, so that answers can be foreseen."""

    UNITS = 6

    def __init__(self, folder: Path, writer: RunWriter | None = None) -> None:
        self.folder = folder
        self.writer = RunWriter(folder, {"lr": 0.5}) if writer is None else writer
        shape = (self.UNITS, 4)
        self.signals = [
            self.writer.signal(kind, "fc.weight", shape, self.UNITS)
            for kind in ("weight", "gradient", "change")
        ]
        rows = [(signal, 1) for signal in self.signals]
        self.statistics = self.writer.layout("statistics", "float32", FIELDS, rows)
        columns = ("lower", "upper", *(f"bin_{i}" for i in range(64)))
        self.histograms = self.writer.layout("histograms", "float32", columns, rows[:1])
        self.norms = self.writer.layout("unit_norms", "float32", ("norm",), [(self.signals[1], self.UNITS)])

    @staticmethod
    def loss(step: int) -> float:
        return 1000.0 if step == 777 else 100.0 / step

    def steps(self, first: int, stop: int) -> None:
        """Record the steps from `first` on, until before `stop`."""
        for step in range(first, stop):
            weight = np.linspace(-1, 1, 24) * (1 + step / 1000)
            of = Statistics.of(weight.astype(np.float32))
            numbers = np.zeros((3, len(FIELDS)))
            numbers[:, 0], numbers[:, -1] = 24, (float(of.norm), 10.0 / step, 0.001 * float(of.norm))
            self.writer.matrix(step, self.statistics, numbers)
            counts, edges = of.histogram(64)
            self.writer.matrix(step, self.histograms, np.array([[edges[0], edges[-1], *counts]]))
            self.writer.matrix(step, self.norms, np.arange(self.UNITS) + step)
            self.writer.step(
                step, epoch=1, time=1e9 + step, seconds=0.01, loss=self.loss(step), rates=[0.5, 0.1]
            )
        self.writer.flush()
