"""Figures of a recorded run show what its reader gives back; what was not recorded is said."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest

from minigrad import record
from minigrad.errors import ArgumentError
from minigrad.viz import (
    compared_heatmaps,
    compared_run_curves,
    histogram_grid,
    histogram_heatmaps,
    histogram_ridges,
    influence_agreement,
    influence_bars,
    influence_ranks,
    layer_heatmap,
    run_axes,
    run_curves,
    unit_heatmaps,
    write_run_report,
)
from minigrad.viz.run_histograms import Histograms
from tests.html_pages import Page
from tests.record.conftest import FIELDS, write_small_run
from tests.test_viz import draw, lines

STEPS = 60


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


def statistics(rows):
    """A matrix of the statistics in which only these columns are not 1."""
    table = np.ones((len(rows), len(FIELDS)))
    for own, numbers in zip(table, rows):
        own[[FIELDS.index("nans"), FIELDS.index("infs")]] = 0
        for name, value in numbers.items():
            own[FIELDS.index(name)] = value
    return table


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


def cells(axes, number=0):
    return (
        axes.collections[number]
        .get_array()
        .reshape(axes.collections[number].get_coordinates().shape[0] - 1, -1)
    )


def labels(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def legend(figure):
    return {text.get_text() for legend in figure.legends for text in legend.get_texts()}


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


# ------------------------------------------------ units


@pytest.mark.parametrize(
    ("kind", "what", "name"),
    [
        ("change", "unit_norms", "fc.weight"),
        ("gradient", "unit_norms", "fc.weight"),
        ("output", "dead", "fc"),
        ("output", "influence.taylor", "fc"),
    ],
)
def test_units_by_steps(run, kind, what, name):
    figure = unit_heatmaps(run, kind=kind, what=what)
    _, values = run.units(name, kind, what)
    shown = cells(figure.axes[0])
    assert np.array_equal(shown.data, values.T)
    logarithmic = what != "dead"
    assert np.array_equal(np.ma.getmaskarray(shown), (values.T == 0) & logarithmic)
    assert titles(figure) == [name]
    assert ("0" in legend(figure)) == (logarithmic and bool((values == 0).any()))
    draw(figure)


def test_units_that_there_are_not(run, empty):
    with pytest.raises(
        ArgumentError, match=r"'influence\.snip' of units of .* was not recorded; there is dead"
    ):
        unit_heatmaps(run, kind="output", what="influence.snip")
    with pytest.raises(ArgumentError, match="there is nothing"):
        unit_heatmaps(empty)


def test_ranks_over_steps(tmp_path):
    places = [["a", "b", "c"], ["b", "a", "c"], ["b", "c", "d"]]
    with record.RunWriter(tmp_path, {}) as writer:
        signals = {name: writer.signal("output", name, (1, 2), 2) for name in "abcd"}
        for step, order in enumerate(places, 1):
            rows = [(signals[name], rank, 1, 5.0 - rank) for rank, name in enumerate(order, 1)]
            writer.influence(10 * step, "taylor", rows)
    run = record.open(tmp_path)
    figure = influence_ranks(run, n=2)
    (axes,) = figure.axes
    found = lines(axes)
    assert list(found)[-2:] == ["b · 1", "a · 1"]  # mean ranks 4/3 and 7/3, as high as c's, that came later
    assert found["b · 1"] == ([10, 20, 30], [2, 1, 1])
    assert np.array_equal(found["a · 1"][1], [1, 2, np.nan], equal_nan=True)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["b · 1", "a · 1"]
    assert len(axes.lines) == 4
    assert axes.yaxis_inverted()
    draw(figure)
    bars = influence_bars(run, step=25, n=2).axes[0]
    assert [bar.get_width() for bar in bars.patches] == [4, 3]
    assert labels(bars) == ["b · 1", "a · 1"]
    assert bars.get_title() == "Step 20"
    assert len({bar.get_facecolor() for bar in bars.patches}) == 2


def test_influence_that_there_is_not(run, empty):
    for figure in (influence_ranks, influence_bars):
        with pytest.raises(ArgumentError, match=r"no influence by 'snip'.*\['taylor'\]"):
            figure(run, method="snip")
    with pytest.raises(ArgumentError, match="agreement"):
        influence_agreement(empty)


def test_agreement_over_steps(run):
    figure = influence_agreement(run)
    assert lines(figure.axes[0]) == {"taylor": ([20], [0.75])}
    draw(figure)


# ------------------------------------------------ two runs


def test_two_runs_share_axes_and_colours(run, unwell, tmp_path):
    figure = compared_run_curves(run, unwell, ("small", "unwell"))
    loss, _, rate = figure.axes
    found = lines(loss)
    assert np.array_equal(found["small"][1], run.steps["loss"], equal_nan=True)
    assert np.array_equal(found["unwell"], [unwell.steps["step"], unwell.steps["loss"]], equal_nan=True)
    assert len({line.get_color() for line in rate.lines}) == 2
    draw(figure)
    heat = compared_heatmaps(run, unwell, names=("small", "unwell"))
    first, second = heat.axes[:2]
    assert titles(heat) == ["small", "unwell"]
    assert labels(first) == ["fc.weight", "a.weight", "b.weight"]
    assert np.isnan(cells(first).data[1:]).all()
    assert np.array_equal(cells(first).data[:1], run.heatmap("norm", "gradient")[2])
    assert np.array_equal(cells(second).data[1:], unwell.heatmap("norm", "gradient")[2], equal_nan=True)
    assert first.collections[0].get_clim() == second.collections[0].get_clim()
    draw(heat)


def test_two_runs_need_two_names(run, unwell):
    assert set(lines(compared_run_curves(run, unwell).axes[0])) >= {"run (1)", "run (2)"}
    with pytest.raises(ArgumentError, match="two names"):
        compared_run_curves(run, unwell, ("a", "a"))


# ------------------------------------------------ the report


def test_a_report_has_every_figure_and_a_sentence_for_it(run, tmp_path):
    path = write_run_report(run, tmp_path / "reports" / "one", summary="A small run.")
    assert path == tmp_path / "reports" / "one" / "index.html"
    page = Page(path.read_text("utf-8"))
    pictures = {image["src"] for image in page.images}
    assert pictures == {file.name for file in path.parent.glob("*.png")}
    expected = (
        "curves gradients updates dead outputs weights weights_ridges unit_changes unit_zeros influence_taylor "
        "influence_taylor_last agreement"
    )
    assert pictures == {f"{name}.png" for name in expected.split()}
    texts = [text for _, text in page.texts]
    assert "A small run." in texts
    assert (
        sum(text.startswith("Not recorded: no ") for text in texts) == 2
    )  # gradients by outputs, histograms of them
    assert "the loss is no number" in texts
    metrics = json.loads((path.parent / "metrics.json").read_text("utf-8"))
    assert (metrics["steps"], metrics["loss_of_the_last_step"]) == (60, 1 / 60)
    assert metrics["settings"] == {"lr": 0.1, "net.depth": 2}


def test_a_report_of_losses_only_says_so(tmp_path, empty):
    with record.RunWriter(tmp_path / "run", {}) as writer:
        writer.step(1, loss=1.0, rates=[0.5])
    path = write_run_report(record.open(tmp_path / "run"), tmp_path)
    page = Page(path.read_text("utf-8"))
    assert [image["src"] for image in page.images] == ["curves.png"]
    assert sum(text.startswith("Not recorded:") for _, text in page.texts) == 11
    with pytest.raises(ArgumentError, match="no step was recorded"):
        write_run_report(empty, tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_drawing_needs_no_pyplot_and_no_plotly(run, tmp_path):
    code = (
        "import sys; sys.modules['plotly'] = None\n"
        "from minigrad import record, viz\n"
        "assert 'matplotlib' not in sys.modules\n"
        f"viz.run_curves(record.open({str(run.path)!r})).savefig({str(tmp_path / 'one.pdf')!r})\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
    assert (tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")
