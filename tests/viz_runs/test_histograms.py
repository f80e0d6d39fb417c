"""Histograms of a recorded run over its steps."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad import record
from minigrad.errors import ArgumentError
from minigrad.viz import (
    histogram_grid,
    histogram_heatmaps,
    histogram_ridges,
    run_curves,
)
from minigrad.viz.run_histograms import Histograms
from tests.test_viz import draw
from tests.viz_runs.drawn import cells, labels, legend, titles

# ------------------------------------------------ histograms


def test_a_histogram_moves_to_other_bins_without_losing_elements():
    edges, counts = np.array([[0.0, 1, 2]]), np.array([[4.0, 8]])
    histograms = Histograms("w", np.array([1]), edges, counts)
    assert histograms.on(np.array([0, 0.5, 1, 1.5, 2])).tolist() == [[2, 2, 4, 4]]
    assert histograms.on(np.array([0.5, 1, 1.5])).tolist() == [[4, 8]]  # outermost bins hold what lies beyond
    assert histograms.on(np.array([-1.0, 0, 3])).tolist() == [[0, 12]]
    nothing = Histograms("w", np.array([1]), edges, np.zeros((1, 2)))
    assert nothing.limits() == (0, 1)


def test_a_constant_is_drawn_without_a_width(tmp_path):
    with record.RunWriter(tmp_path, {}) as writer:
        signals = [writer.signal("weight", "bias", (5,), 5)]
        layout = writer.layout("histograms", "float32", ["lower", "upper", *"abcd"], [(signals[0], 1)])
        writer.matrix(0, layout, [[1.5, 2.5, 0, 0, 5, 0]])  # as Statistics has it for five times 2
        writer.matrix(1, layout, [[1.9, 2.1, 1, 1, 1, 2]])
    run = record.open(tmp_path)
    histograms = Histograms("bias", *run.histograms("bias"))
    assert np.array_equal(histograms.constants(), [2, np.nan], equal_nan=True)
    assert histograms.limits() == pytest.approx((1.9, 2.1))
    assert histograms.on(np.array([1.9, 1.95, 2.05, 2.1]))[0].tolist() == [0, 5, 0]
    assert histograms.on(np.array([2.5, 3, 4]))[0].tolist() == [5, 0]
    first, second = histogram_grid(run).axes
    assert first.patches[0].get_data().edges == pytest.approx([1.96, 2.04])
    assert first.get_xlim() == second.get_xlim() == pytest.approx((1.892, 2.108))
    draw(histogram_grid(run, steps=[0]))


def test_ends_beyond_float32_are_nothing_to_draw(tmp_path):
    with record.RunWriter(tmp_path, {}) as writer:
        signals = [writer.signal("weight", "w", (5, 5), 5)]
        layout = writer.layout("histograms", "float32", ["lower", "upper", *"ab"], [(signals[0], 1)])
        writer.matrix(0, layout, [[-1, 1, 10, 15]])
        writer.matrix(1, layout, [[-np.inf, np.inf, 10, 15]])
    figure = histogram_heatmaps(record.open(tmp_path), kind="weight")
    assert cells(figure.axes[0]).mask.any(axis=0).tolist() == [False, True]
    assert legend(figure) == {"not recorded, or no number"}
    draw(figure)


def test_a_single_step_can_be_seen(tmp_path):
    with record.RunWriter(tmp_path, {}) as writer:
        writer.step(1, loss=2.0, rates=[0.1], seconds=0.5)
    figure = run_curves(record.open(tmp_path))
    assert [axes.lines[0].get_marker() for axes in figure.axes] == ["."] * 3
    assert all(tick == int(tick) for tick in figure.axes[-1].get_xticks())
    draw(figure)


def test_one_wild_step_does_not_stretch_the_axis():
    edges = np.linspace(-np.ones(40), np.ones(40), 3, axis=1)
    edges[20] *= 1000
    histograms = Histograms("w", np.arange(40), edges, np.ones((40, 2)))
    assert histograms.limits() == (-1, 1)
    assert Histograms("w", np.arange(2), edges[19:21], np.ones((2, 2))).limits() == (-1000, 1000)


def test_histograms_by_colour_hold_log_counts(run):
    figure = histogram_heatmaps(run, ["fc.weight", "fc.weight"], "weight")
    first, _, bar = figure.axes
    shown = np.expm1(np.asarray(cells(first)))
    assert shown.sum(axis=0) == pytest.approx(run.histograms("fc.weight")[2].sum(axis=1))
    assert titles(figure) == ["fc.weight"] * 2
    assert bar.get_ylabel() == "elements in a cell"
    assert figure.get_supylabel() == "value of an element (weights)"
    draw(figure)


def test_steps_without_finite_elements_are_grey(run):
    figure = histogram_heatmaps(run, "fc.weight", "change")  # whose counts are all 0
    assert legend(figure) == {"not recorded, or no number"}
    assert cells(figure.axes[0]).mask.all()
    draw(figure)


def test_histograms_at_some_steps_are_those_recorded(run):
    figure = histogram_grid(run, ["fc.weight"], steps=3)
    _, edges, counts = run.histograms("fc.weight")
    panels = figure.axes
    assert titles(figure) == ["step 10", "step 30", "step 60"]
    for axes, i in zip(panels, (0, 2, 5)):
        (patch,) = axes.patches
        assert np.array_equal(patch.get_data().values, counts[i])
        assert np.array_equal(patch.get_data().edges, edges[i])
        assert axes.texts[0].get_text() == "63"
    assert len(panels) == 3
    draw(figure)
    two = histogram_grid(run, ["fc.weight", "fc.weight"], "gradient", steps=[20, 10])
    assert titles(two) == ["step 10", "step 20"]
    assert len(two.axes) == 4
    nothing = histogram_grid(run, "fc.weight", "change", steps=1)
    assert nothing.axes[0].texts[0].get_text() == "nothing finite"
    draw(nothing)


def test_ridges_lie_above_each_other(run):
    figure = histogram_ridges(run, "fc.weight", steps=4)
    (axes,) = figure.axes
    assert len(axes.lines) == 4
    assert [line.get_ydata().min() for line in axes.lines] == pytest.approx([0, -1, -2, -3], abs=0.1)
    assert [line.get_ydata().max() for line in axes.lines] == pytest.approx([2.5, 1.5, 0.5, -0.5])
    assert labels(axes) == ["10", "30", "40", "60"]
    draw(figure)


def test_matrices_come_before_vectors_where_room_is_short(tmp_path):
    with record.RunWriter(tmp_path, {}) as writer:
        signals = [writer.signal("weight", f"w{i}", (2, 2) if i % 2 else (2,), 2) for i in range(40)]
        layout = writer.layout("histograms", "float32", ["lower", "upper", "bin"], [(s, 1) for s in signals])
        writer.matrix(1, layout, np.tile([0, 1, 4], (40, 1)))
    assert titles(histogram_ridges(record.open(tmp_path))) == [f"w{i}" for i in range(1, 40, 2)]


def test_histograms_that_there_are_not(run, empty):
    with pytest.raises(ArgumentError, match=r"kind 'output'.*there are those of weight, gradient, change"):
        histogram_heatmaps(run)
    with pytest.raises(ArgumentError, match="there are those of none"):
        histogram_grid(empty)
    with pytest.raises(ArgumentError, match=r"at 11, 12; there are those of steps 10, 20, 30"):
        histogram_grid(run, "fc.weight", steps=[10, 11, 12])
    with pytest.raises(ArgumentError, match="at least one step"):
        histogram_grid(run, "fc.weight", steps=[])
    with pytest.raises(ArgumentError, match="at least one name"):
        histogram_ridges(run, [])
    with pytest.raises(ArgumentError, match=r"no weight of 'fc\.bias' was recorded"):
        histogram_ridges(run, "fc.bias")
    with pytest.raises(ArgumentError, match="at least one has to be chosen, not 0"):
        histogram_ridges(run, "fc.weight", steps=0)
