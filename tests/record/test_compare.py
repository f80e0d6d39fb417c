"""Two runs side by side."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad import record
from minigrad.errors import ArgumentError
from tests.record.conftest import STEPS, statistics, write_small_run


@pytest.fixture
def short_run(tmp_path):
    write_small_run(tmp_path / "short", steps=20, net={"depth": 3}, seed=1).close()
    return tmp_path / "short"


def test_series_are_joined_where_both_have_them(small_run, short_run):
    found = record.compare(
        small_run, record.open(short_run), statistics=("mean", "update_ratio"), kinds=("weight", "output")
    )
    assert set(found) == {
        *("loss", "seconds", "rate/0", "rate/1"),
        *("weight/mean/fc.weight", "output/mean/fc", "weight/update_ratio/fc.weight"),
    }
    assert STEPS > 20
    for joined in found.values():
        assert joined.steps.tolist() == list(range(1, 21))
        assert np.array_equal(joined.a, joined.b, equal_nan=True)
    assert found["weight/mean/fc.weight"].a[4] == statistics(5, 0)[6]


def test_values_stand_at_their_steps(tmp_path):
    for name, steps in (("a", (1, 2, 4)), ("b", (2, 3, 4))):
        with record.RunWriter(tmp_path / name, {}) as writer:
            for step in steps:
                writer.step(step, loss=step + (name == "b") / 2)
    joined = record.compare(tmp_path / "a", tmp_path / "b")["loss"]
    assert [part.tolist() for part in (joined.steps, joined.a, joined.b)] == [[2, 4], [2, 4], [2.5, 4.5]]


def test_runs_without_a_common_step(tmp_path, small_run):
    with record.RunWriter(tmp_path, {}) as writer:
        writer.step(1000)
    with pytest.raises(ArgumentError, match="no step in common"):
        record.compare(tmp_path, small_run)


def test_settings_that_differ(small_run, short_run):
    assert record.configuration_differences(small_run, short_run) == {"net.depth": (2, 3), "seed": (None, 1)}
