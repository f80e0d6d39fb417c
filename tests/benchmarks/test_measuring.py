"""What the benchmarks share: medians, turns, tables, files, charts."""

from __future__ import annotations

import doctest
import itertools
import json
import statistics

import measuring
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measuring import machine, rounds, tables
from measuring.chart import draw_bars

from minigrad.errors import ArgumentError


@pytest.mark.parametrize("module", [rounds, tables])
def test_examples(module):
    assert doctest.testmod(module).failed == 0


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=30))
def test_quartiles_enclose_the_median(values):
    found = measuring.summary(values)
    assert found.median == pytest.approx(statistics.median(values))
    assert min(values) <= found.q1 <= found.median <= found.q3 <= max(values)
    assert found.rounds == len(values)
    assert found.scaled(1000).q3 == pytest.approx(1000 * found.q3)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
def test_a_slow_contestant_joins_so_many_rounds_evenly(numbers):
    total, own = numbers
    joined = [number for number in range(total) if measuring.joins(number, total, own)]
    assert len(joined) == own
    gaps = [b - a for a, b in itertools.pairwise(joined)]
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_a_busy_machine_is_told(capsys):
    assert machine.used_by_others(0.05) >= 0
    assert machine.warned(0.1) == 0.1
    assert machine.warned(None) is None
    assert not capsys.readouterr().out
    assert machine.warned(0.9) == 0.9
    assert "0.9 cores busy" in capsys.readouterr().out


def test_threads_are_cores():
    cores = measuring.chosen_cores(None)
    assert measuring.chosen_cores(1) == cores[:1]
    assert measuring.describe_machine(1)["threads"] == 1
    with pytest.raises(ArgumentError, match=r"--threads \d+: this process may use"):
        measuring.chosen_cores(len(cores) + 1)


def test_results_that_cannot_be_written_are_refused_before_measuring(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "out.json", tmp_path):
        with pytest.raises(ArgumentError, match="cannot write results"):
            measuring.prepare_output(path)
    measuring.prepare_output(None)
    measuring.prepare_output(tmp_path / "new" / "out.json")
    assert list((tmp_path / "new").iterdir()) == []


def test_result_files_are_strict_json(tmp_path):
    measuring.write_json(tmp_path / "a.json", {"x": 1.5})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1.5}
    with pytest.raises(ValueError, match="not JSON compliant"):
        measuring.write_json(tmp_path / "b.json", {"x": float("nan")})


def test_a_chart(tmp_path):
    def bar(median: float) -> measuring.Summary:
        return measuring.Summary(median, 0.9 * median, 1.2 * median, 5)

    panels = {
        "close": {"minigrad": bar(2.0), "other": bar(3.0)},
        "far": {"minigrad": bar(1.0), "other": bar(900.0)},
    }
    draw_bars(tmp_path / "chart.png", panels, "milliseconds", "minigrad", "a note")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
