"""Figures show the numbers they are given; a report is a whole folder, readable by people and by programs."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from minigrad.errors import ArgumentError, ShapeError
from minigrad.viz import (
    Section,
    confusion_matrix_figure,
    filter_grid,
    image_grid,
    training_curves,
    write_report,
)
from tests.html_pages import Page

EPOCHS = [
    {"epoch": 1, "step": 3, "train_accuracy": 0.5, "val_loss": 2.0, "val_accuracy": 0.25},
    {"epoch": 2, "step": 6, "train_accuracy": 0.75, "val_loss": 1.0, "val_accuracy": 0.5},
]


def draw(figure: Figure) -> np.ndarray:
    """The picture's pixels, (H, W, 4); warnings on the way are errors."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def lines(axes) -> dict[str, tuple[list, list]]:
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}


# ------------------------------------------------ figures


def test_curves_show_what_was_measured():
    figure = training_curves([4.0, 2.0, 1.0, 1.0, 0.5, 0.25], [0.1] * 6, EPOCHS)
    loss, accuracy, rate = figure.axes
    assert lines(loss) == {
        "training": ([1, 2, 3, 4, 5, 6], [4, 2, 1, 1, 0.5, 0.25]),
        "test": ([3, 6], [2, 1]),
    }
    assert lines(accuracy) == {"training, while it learns": ([1, 2], [50, 75]), "test": ([1, 2], [25, 50])}
    assert [line.get_ydata().tolist() for line in rate.lines] == [[0.1] * 6]
    assert len({tuple(pixel) for pixel in draw(figure)[::7, ::7].reshape(-1, 4).tolist()}) > 3


def test_long_curves_are_smoothed_by_the_past_only():
    losses = [1.0] * 200 + [5.0] * 50
    figure = training_curves(losses, [0.1] * 250, [])
    (noisy, smooth) = figure.axes[0].lines
    assert list(noisy.get_ydata()) == losses
    assert smooth.get_label() == "training, mean of 2 steps"
    assert smooth.get_ydata()[[0, 199, 200, 201]].tolist() == [1, 1, 3, 5]
    draw(figure)


@pytest.mark.parametrize("epochs", [[], [{"epoch": 1, "step": 1, "train_accuracy": 0.1}]])
@pytest.mark.parametrize("losses", [[2.3], [0.0, 0.0], [1e30, 1e-30]])
def test_curves_of_little_training(losses, epochs):
    draw(training_curves(losses, [0.1] * len(losses), epochs))


def test_curves_of_a_test_loss_that_is_not_finite():
    draw(
        training_curves(
            [1.0, 2.0], [0.1] * 2, [{**EPOCHS[0], "val_loss": math.nan, "val_accuracy": math.nan}]
        )
    )


def test_a_confusion_matrix_colours_mistakes_only():
    counts = np.array([[90, 0, 3], [1, 80, 0], [0, 0, 70]])
    figure = confusion_matrix_figure(counts, ["ant", "bee", "cat"])
    (axes,) = figure.axes
    picture = axes.images[0].get_array()
    assert picture.mask.tolist() == np.eye(3, dtype=bool).tolist()
    assert picture.filled(-1).tolist() == [[-1, 0, 3], [1, -1, 0], [0, 0, -1]]
    texts = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in axes.texts}
    assert texts == {(0, 0): "90", (0, 2): "3", (1, 0): "1", (1, 1): "80", (2, 2): "70"}
    assert axes.get_title() == "4 mistakes in 244"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["ant", "bee", "cat"]
    draw(figure)
    draw(confusion_matrix_figure(np.diag([3, 4]), ["a", "b"]))  # no mistake at all


def test_an_image_grid():
    images = np.arange(10 * 5 * 4).reshape(10, 5, 4)
    figure = image_grid(images, [f"number {i}" for i in range(10)], columns=4, title="Ten")
    shown = [axes for axes in figure.axes if axes.images]
    assert len(figure.axes) == 12  # three rows of four
    assert [axes.get_title() for axes in shown] == [f"number {i}" for i in range(10)]
    assert all(np.array_equal(a.images[0].get_array(), image) for a, image in zip(shown, images))
    assert figure.get_suptitle() == "Ten"
    draw(figure)
    draw(image_grid(np.zeros((1, 3, 3, 3)), ["one"]))


def test_filters_share_one_scale_about_zero():
    weight = np.zeros((3, 2, 3, 3), np.float32)
    weight[0, :, 1, 1], weight[1, :, 0, 0] = -0.5, 0.25
    figure = filter_grid(weight)
    pictures = [axes.images[0] for axes in figure.axes if axes.images and axes.get_title()]
    assert [image.get_clim() for image in pictures] == [(-0.5, 0.5)] * 3
    assert pictures[0].get_array()[1, 1] == -0.5
    red, white, blue = (pictures[0].to_rgba(v)[:3] for v in (0.5, 0.0, -0.5))
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert min(white) > 0.95
    draw(figure)


def test_filters_of_colour_images_are_colours():
    weight = np.zeros((9, 3, 5, 5))
    weight[0, 0, 2, 2] = 1.0  # red
    figure = filter_grid(weight, title="Filters")
    pictures = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(pictures) == 9
    assert pictures[0][2, 2].tolist() == [1, 0.5, 0.5]
    assert (pictures[1] == 0.5).all()
    draw(figure)
    draw(filter_grid(np.zeros((1, 1, 3, 3))))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: training_curves([], [], []), ArgumentError, "not 0 and 0"),
        (lambda: training_curves([1.0], [], []), ArgumentError, "not 1 and 0"),
        (lambda: confusion_matrix_figure(np.eye(3), ["a"]), ShapeError, r"1 classes .* not \[3, 3\]"),
        (lambda: image_grid(np.zeros((0, 2, 2)), []), ArgumentError, "at least one image.* not 0 and 0"),
        (lambda: image_grid(np.zeros((2, 2, 2)), ["a"]), ArgumentError, "not 2 and 1"),
        (lambda: filter_grid(np.zeros((3, 3))), ShapeError, r"\(O, C, Kh, Kw\), not \[3, 3\]"),
    ],
)
def test_what_cannot_be_drawn(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ------------------------------------------------ reports


def make_report(folder, *, sections=(), epochs=EPOCHS, **numbers):
    settings = {"learning_rate": 0.1, "seed": 0, "model": "<net>"}
    return write_report(folder, "A & B", "It <learnt> well.", numbers, settings, epochs, sections)


def test_a_report_is_a_folder(tmp_path):
    figure = image_grid(np.zeros((2, 3, 3)), ["a", "b"])
    sections = [
        Section("images", 'Some "images"', "What <they> say.", figure),
        Section("none", "No figure", "Nothing to see.", None),
    ]
    page = make_report(tmp_path, sections=sections, test_accuracy=np.float32(0.5), parameters=12345)
    assert page == tmp_path / "index.html"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images.png", "index.html", "metrics.json"]
    assert (tmp_path / "images.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_is_well_formed_and_escaped(tmp_path):
    figure = image_grid(np.zeros((2, 3, 3)), ["a", "b"])
    sections = [Section("images", 'Some "images"', "What <they> say.", figure)]
    make_report(
        tmp_path, sections=sections, test_accuracy=0.98765, parameters=12345, confusion=[[1, 0], [0, 1]]
    )
    source = (tmp_path / "index.html").read_text(encoding="utf-8")
    page = Page(source)
    assert source.startswith("<!doctype html>")
    assert page.text_of("title") == page.text_of("h1") == ["A & B"]
    assert page.text_of("h2") == ["Result", "Settings", 'Some "images"', "Epochs"]
    assert page.text_of("p") == ["It <learnt> well.", "What <they> say."]
    assert [image["src"] for image in page.images] == ["images.png"]
    assert page.images[0]["alt"] == 'Some "images"'
    for image in page.images:
        assert (tmp_path / image["src"]).is_file()
    assert page.rows[:5] == [
        ["test accuracy", "0.9877"],
        ["parameters", "12,345"],
        ["learning rate", "0.1"],
        ["seed", "0"],
        ["model", "<net>"],
    ]
    assert page.rows[5:] == [
        ["epoch", "step", "train accuracy", "val loss", "val accuracy"],
        ["1", "3", "0.5", "2", "0.25"],
        ["2", "6", "0.75", "1", "0.5"],
    ]


def test_rows_that_lack_a_number_keep_their_columns(tmp_path):
    make_report(tmp_path, epochs=[EPOCHS[0], {"epoch": 2, "step": 5, "seconds": 1.5}])
    rows = Page((tmp_path / "index.html").read_text(encoding="utf-8")).rows[3:]
    assert rows == [
        ["epoch", "step", "train accuracy", "val loss", "val accuracy", "seconds"],
        ["1", "3", "0.5", "2", "0.25", ""],
        ["2", "5", "", "", "", "1.5"],
    ]


def test_metrics_are_json_without_nan(tmp_path):
    make_report(
        tmp_path,
        epochs=[{"epoch": 1, "val_loss": math.nan}],
        accuracy=np.float32(0.5),
        count=np.int64(3),
        worst=-math.inf,
        confusion=[[1, math.nan]],
    )

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert metrics == {
        "accuracy": 0.5,
        "count": 3,
        "worst": None,
        "confusion": [[1, None]],
        "settings": {"learning_rate": 0.1, "seed": 0, "model": "<net>"},
        "epochs": [{"epoch": 1, "val_loss": None}],
    }


def test_a_section_is_no_path(tmp_path):
    with pytest.raises(ArgumentError, match=r"not '\.\./x'"):
        make_report(tmp_path, sections=[Section("../x", "", "", None)])
    assert not list(tmp_path.iterdir())


def test_nothing_asks_for_a_screen(tmp_path):
    """No pyplot, whose import chooses a backend and keeps every figure; and Matplotlib only once something is drawn."""
    script = """
import sys, numpy as np
from pathlib import Path
import minigrad.viz as viz
assert "matplotlib" not in sys.modules
figures = [viz.training_curves([1.0], [1.0], []), viz.confusion_matrix_figure(np.eye(2, dtype=int), "ab"),
           viz.image_grid(np.zeros((1, 2, 2)), ["a"]), viz.filter_grid(np.ones((1, 1, 2, 2)))]
sections = [viz.Section(f"s{i}", "t", "x", figure) for i, figure in enumerate(figures)]
viz.write_report(Path(sys.argv[1]), "t", "s", {}, {}, [], sections)
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    assert len(list(tmp_path.glob("*.png"))) == 4
