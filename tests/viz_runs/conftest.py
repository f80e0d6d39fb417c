"""Small runs to be drawn."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad import record
from tests.record.conftest import FIELDS, write_small_run
from tests.viz_runs.drawn import statistics


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "run"
    write_small_run(folder).close()
    return record.open(folder)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("empty") / "run"
    record.RunWriter(folder, {}).close()
    return record.open(folder)


@pytest.fixture(scope="module")
def unwell(tmp_path_factory):
    """A run whose gradient first vanishes in a layer, then is infinite; and with notes."""
    folder = tmp_path_factory.mktemp("unwell") / "run"
    with record.RunWriter(folder, {}) as writer:
        signals = [writer.signal("gradient", name, (2, 2), 2) for name in ("a.weight", "b.weight")]
        layout = writer.layout("statistics", "float32", FIELDS, [(s, 1) for s in signals])
        for step, norm in enumerate([4.0, 1e-3, 0.0, 2.0, np.nan], 1):
            writer.matrix(step, layout, statistics([{"norm": norm, "infs": step == 4}, {"norm": 1.0}]))
            writer.step(step, loss=float("nan") if step == 4 else 2.0 / step, rates=[0.1, 0.1])
        writer.note(3, "warning", "vanishing", "no gradient", signal="a.weight")
        writer.note(4, "stop", "no number", "the loss is no number")
    return record.open(folder)
