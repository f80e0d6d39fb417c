"""Units, two runs, and the report of all figures."""

from __future__ import annotations

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
    influence_agreement,
    influence_bars,
    influence_ranks,
    unit_heatmaps,
    write_run_report,
)
from tests.html_pages import Page
from tests.test_viz import draw, lines
from tests.viz_runs.drawn import cells, labels, legend, titles

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
