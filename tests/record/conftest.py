"""A small run, recorded once for the tests that read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import record

FIELDS = (
    *("count", "nans", "infs", "zeros", "minimum", "maximum"),
    *("mean", "std", "skewness", "kurtosis", "norm"),
)
STEPS = 60


def statistics(step: int, row: int) -> np.ndarray:
    """What the small run records for the row-th signal at a step."""
    return np.float32(step + np.arange(11) / 8 + 100 * row)


def write_small_run(folder: Path, steps: int = STEPS, **configuration) -> record.RunWriter:
    """Everything there is to record, a little of it; the writer is still open."""
    writer = record.RunWriter(folder, {"lr": 0.1, "net": {"depth": 2}, **configuration}, "Linear(4, 3)")
    parameters = [writer.signal(kind, "fc.weight", (3, 4), 3) for kind in ("weight", "gradient", "change")]
    output = writer.signal("output", "fc", (8, 3), 3)
    every = writer.layout("statistics", "float32", FIELDS, [(s, 1) for s in parameters])
    sampled = writer.layout("sampled", "float32", FIELDS, [(output, 1)])
    full = writer.layout("full", "float32", FIELDS, [(output, 1)])
    norms = writer.layout("unit_norms", "float32", ["norm"], [(s, 3) for s in parameters[1:]])
    dead = writer.layout("dead", "float32", ["share"], [(output, 3)])
    scores = writer.layout("influence.taylor", "float32", ["score"], [(output, 3)])
    samples = writer.layout("samples", "float64", ["value"], [(parameters[0], 4)])
    bins = ["lower", "upper", *(f"count{i}" for i in range(64))]
    histograms = writer.layout("histograms", "float32", bins, [(s, 1) for s in parameters])
    for step in range(1, steps + 1):
        writer.matrix(step, every, np.stack([statistics(step, row) for row in range(3)]))
        writer.matrix(step, sampled, statistics(step, 5)[None])
        writer.matrix(step, dead, np.array([1, step / 100, 1]))
        if step % 10 == 0:
            writer.matrix(step, full, statistics(step, 6)[None])
            writer.matrix(step, norms, np.arange(6) + step)
            writer.matrix(step, scores, np.arange(3) * step)
            writer.matrix(step, samples, np.arange(4) + step / 1000)
            rows = [[-1, 1, *range(64)], [0, step, *([step] * 64)], [-2, 2, *([0] * 64)]]
            writer.matrix(step, histograms, np.array(rows))
            writer.influence(step, "taylor", [(output, 1, 2, 0.5 * step), (parameters[0], 2, 0, 0.25)])
            writer.snapshot(step, "weights", {"fc.weight": np.full((3, 4), step // 20, np.float32)})
        writer.step(
            step,
            epoch=step // 30,
            batch=step % 30,
            time=1e9 + step,
            seconds=0.5,
            loss=float("nan") if step == 7 else 1 / step,
            rates=[0.1, step / 1000],
            memory=1000 + step,
            samples=[step, step + 1] if step % 2 else None,
            random={"seed": step},
        )
    writer.snapshot(50, "probe", {"fc": np.arange(6.0).reshape(2, 3)})
    writer.graph(1, {"format": "minigrad-trace-1", "records": []})
    writer.agreement(20, "taylor", 0.75, 12, {"unit": [1, 2]})
    writer.note(7, "warning", "nan loss", "the loss is no number", signal="fc", unit=2, time=5.0)
    writer.epoch(1, 30, {"accuracy": np.float32(0.5), "loss": float("inf")})
    return writer


@pytest.fixture(scope="session")
def small_run(tmp_path_factory) -> Path:
    """The folder of a run that was recorded and closed."""
    folder = tmp_path_factory.mktemp("small") / "run"
    write_small_run(folder).close()
    return folder


@pytest.fixture
def xt():
    """Four examples of three numbers, and their classes."""
    mg.manual_seed(3)
    return mg.randn(4, 3), mg.tensor([0, 1, 1, 0])
