"""Curves and heat maps of a recorded run show what its reader gives back; what was not recorded is said."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from minigrad import record
from minigrad.errors import ArgumentError
from minigrad.viz import (
    compared_run_curves,
    layer_heatmap,
    run_axes,
    run_curves,
)
from tests.record.conftest import FIELDS
from tests.test_viz import draw, lines
from tests.viz_runs.drawn import STEPS, cells, labels, legend, statistics

# ------------------------------------------------ curves


def test_curves_show_the_steps_as_read(run):
    figure = run_curves(run, "cross entropy (nats)")
    loss, accuracy, rate, seconds, notes = figure.axes
    steps = run.steps
    assert np.array_equal(lines(loss)["training"], [steps["step"], steps["loss"]], equal_nan=True)
    assert lines(loss)["training: no number"] == ([7], [0])
    assert loss.get_ylabel() == "cross entropy (nats)"
    assert lines(accuracy)["accuracy"] == ([30], [50])
    assert [list(line.get_ydata()) for line in rate.lines[:2]] == steps["rates"].T.tolist()
    assert [text.get_text() for text in rate.get_legend().get_texts()] == ["group 0", "group 1"]
    assert seconds.lines[0].get_ydata().tolist() == [500] * STEPS
    assert lines(notes) == {"warning": ([7], [0])}
    assert labels(notes) == ["nan loss"]
    assert notes.get_xlabel() == "step"
    assert legend(figure) == {"warning"}
    draw(figure)


def test_equal_rates_are_one_line_and_severities_differ(unwell):
    figure = run_curves(unwell)
    loss, rate, notes = figure.axes  # no epoch, and no seconds
    assert len(rate.lines) == 1 + 2  # and a line for each note
    assert lines(notes) == {"warning": ([3], [0]), "stop": ([4], [1])}
    assert legend(figure) == {"warning", "stop"}
    assert [line.get_xdata()[0] for line in loss.lines if line.get_linestyle() == ":"] == [3, 4]
    draw(figure)


def test_long_losses_are_smoothed_by_the_past_and_gaps_stay(tmp_path):
    with record.RunWriter(tmp_path, {}) as writer:
        for step in range(400):
            writer.step(step, loss=float("nan") if step == 100 else float(step >= 200))
    figure = run_curves(record.open(tmp_path))
    steps, means = lines(figure.axes[0])["training, mean of 10 steps"]
    assert steps == list(range(400))
    assert np.isnan(means[100])
    assert [means[i] for i in (99, 101, 199, 200, 208, 209)] == pytest.approx([0, 0, 0, 0.1, 0.9, 1])
    draw(figure)


def test_a_run_without_a_step_has_no_curves(empty):
    with pytest.raises(ArgumentError, match="no step was recorded"):
        run_curves(empty)
    with pytest.raises(ArgumentError, match="no step was recorded"):
        compared_run_curves(empty, empty)


# ------------------------------------------------ layers by steps


def test_a_heat_map_shows_the_readers_numbers(run):
    figure = layer_heatmap(run, "mean", "weight")
    axes, bar = figure.axes
    assert np.array_equal(cells(axes), run.heatmap("mean", "weight")[2])
    assert labels(axes) == ["fc.weight"]
    assert axes.get_title() == "Mean: weights"
    assert bar.get_ylabel() == "mean"
    draw(figure)
    ratio = layer_heatmap(run, "update_ratio").axes[0]
    assert np.array_equal(cells(ratio), run.heatmap("update_ratio")[2])
    dead = layer_heatmap(run, "dead")
    assert np.array_equal(cells(dead.axes[0]), run.heatmap("dead")[2])
    assert dead.axes[0].collections[0].get_clim() == (0, 1)
    assert lines(dead.axes[0])["warning"] == ([7], [0])  # the note is about this layer
    assert legend(dead) == {"warning", "holds NaN or infinity"}


def test_what_is_no_number_has_its_own_colour(unwell):
    figure = layer_heatmap(unwell)
    axes = figure.axes[0]
    shown, zero, bad = (cells(axes, number) for number in range(3))
    assert shown.mask.tolist() == [[False, False, True, True, True], [False] * 5]
    assert (~zero.mask).tolist() == [[False, False, True, False, False], [False] * 5]
    assert (~bad.mask).tolist() == [[False, False, False, True, False], [False] * 5]
    cross = next(line for line in axes.lines if line.get_marker() == "x")
    assert cross.get_xydata().tolist() == [[4, 0]]
    assert legend(figure) == {"0", "holds NaN or infinity", "not recorded, or no number", "warning"}
    picture = draw(figure)
    colours = {tuple(pixel) for pixel in picture[..., :3].reshape(-1, 3).tolist()}
    assert {(0, 0, 0), (0xFF, 0x2D, 0x95), (0xD9, 0xD9, 0xD9)} <= colours
    assert legend(layer_heatmap(unwell, pattern="b*")) == set()


def test_heat_maps_of_what_there_is_not(run, empty):
    with pytest.raises(ArgumentError, match="no name of those with 'norm' fits 'conv'; there are fc"):
        layer_heatmap(run, pattern="conv")
    with pytest.raises(ArgumentError, match="recorded kinds are weight, gradient, change, output"):
        layer_heatmap(run, kind="input")
    with pytest.raises(ArgumentError, match="recorded kinds are none"):
        layer_heatmap(empty)


@pytest.mark.parametrize(("count", "named"), [(65, 65), (200, 67)])
def test_names_of_many_layers_do_not_overlap(tmp_path, count, named):
    with record.RunWriter(tmp_path, {}) as writer:
        signals = [writer.signal("gradient", f"layer{i}.0.conv1.weight", (2,), 2) for i in range(count)]
        layout = writer.layout("statistics", "float32", FIELDS, [(s, 1) for s in signals])
        writer.matrix(1, layout, statistics([{"norm": i + 1} for i in range(count)]))
    figure = layer_heatmap(record.open(tmp_path))
    draw(figure)
    boxes = [text.get_window_extent() for text in figure.axes[0].get_yticklabels()]
    assert len(boxes) == named
    assert all(above.y0 >= below.y1 for above, below in itertools.pairwise(boxes))
    assert min(box.x0 for box in boxes) >= 0


def test_columns_reach_half_way_and_are_thinned():
    assert run_axes.step_edges(np.array([4])).tolist() == [3.5, 4.5]
    steps, values, each = run_axes.thinned(np.arange(2001), np.arange(2001.0)[None], 1000)
    assert (len(steps), each) == (667, 3)
    assert values[0, :2].tolist() == [1, 4]
    assert np.isnan(run_axes.thinned(np.arange(2), np.full((1, 2), np.nan), 1)[1]).all()


@pytest.mark.parametrize(
    ("kind", "values", "limits"),
    [
        ("log", [0.0, -1e-3, 10.0, np.nan], (1e-3, 10)),
        ("log", [1e-12, 1.0], (1e-8, 1)),
        ("log", [], (0.1, 1)),
        ("share", [0.3], (0, 1)),
        ("signed", [-2.0, 1.0, np.inf], (-2, 2)),
        ("linear", [1.0, 3.0], (0, 3)),
        ("linear", [], (0, 1)),
    ],
)
def test_scales_hold_what_is_finite(kind, values, limits):
    norm = run_axes.scale_of([np.array(values)], kind).norm
    assert (norm.vmin, norm.vmax) == pytest.approx(limits)
