"""Figures of several models show each one's numbers in its colour."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.errors import ArgumentError, ShapeError
from minigrad.viz import (
    Section,
    compared_curves,
    compared_numbers,
    compared_predictions,
    confusion_matrix_figure,
    prediction_scatter,
    training_curves,
    write_report,
)
from tests.html_pages import Page
from tests.test_viz import EPOCHS, draw, lines

COLOURS = {"small": "#ff0000", "large": "#0000ff"}
TIMED = [{**epoch, "seconds": 2.0} for epoch in EPOCHS]


def test_curves_of_several_models():
    losses = {"small": [4.0, 2.0, 1.0], "large": [3.0, 1.5, 0.5]}
    figure = compared_curves(losses, {"small": TIMED, "large": TIMED[:1]}, COLOURS, held_out="validation")
    loss, by_epoch, by_time = figure.axes
    assert lines(loss) == {"small": ([1, 2, 3], losses["small"]), "large": ([1, 2, 3], losses["large"])}
    assert [list(line.get_ydata()) for line in by_epoch.lines] == [[25, 50], [25]]
    assert [list(line.get_xdata()) for line in by_time.lines] == [[2, 4], [2]]
    assert [line.get_color() for line in by_time.lines] == list(COLOURS.values())
    assert by_epoch.get_title() == "Validation accuracy by epoch"
    draw(figure)


def test_curves_before_the_first_epoch_is_done():
    draw(compared_curves({"small": [1.0]}, {"small": []}, {"small": "red"}))


def test_bars_of_several_numbers():
    numbers = {"error": {"small": 2.5, "large": 0.0}, "parameters": {"small": 1500.0, "large": 2e6}}
    figure = compared_numbers(numbers, COLOURS)
    error, parameters = figure.axes
    assert [bar.get_width() for bar in error.patches] == [2.5, 0]
    assert [text.get_text() for text in parameters.texts] == ["1.5 k", "2 M"]
    assert [label.get_text() for label in error.get_yticklabels()] == ["small", "large"]
    assert error.yaxis_inverted()  # the first stands at the top
    draw(figure)


def test_predictions_of_several_models():
    probabilities = {"small": np.array([[0.9, 0.1], [0.6, 0.4]]), "large": np.array([[0.2, 0.8], [0.3, 0.7]])}
    figure = compared_predictions(np.zeros((2, 4, 4)), [0, 1], probabilities, ["ant", "bee"])
    below = [axes for axes in figure.axes if axes.texts]
    assert [[text.get_text() for text in axes.texts] for axes in below] == [
        ["ant\n90%", "bee\n80%"],
        ["ant\n60%", "bee\n70%"],
    ]
    assert [axes.images[0].get_array()[:, 0].tolist() for axes in below] == [[True, False], [False, True]]
    draw(figure)
    draw(compared_predictions(np.zeros((1, 4, 4, 3)), [0], {"one": np.ones((1, 1))}, ["ant"]))


def test_a_scatter_has_the_line_of_right_answers():
    true, predicted = np.array([1.0, 2.0, 5.0]), np.array([0.5, 2.0, 6.0])
    figure = prediction_scatter(true, predicted)
    (axes,) = figure.axes
    assert axes.collections[0].get_offsets().tolist() == list(map(list, zip(true, predicted)))
    assert axes.lines[0].get_xydata().tolist() == [[0.5, 0.5], [6, 6]]
    draw(figure)


def test_a_confusion_matrix_of_many_classes_has_no_numbers():
    names = [f"class number {i}" for i in range(40)]
    figure = confusion_matrix_figure(np.eye(40, dtype=int) * 5 + np.eye(40, k=1, dtype=int), names)
    (axes,) = figure.axes
    assert not axes.texts
    assert [label.get_text() for label in axes.get_xticklabels()] == names
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {90}
    assert axes.get_title() == "39 mistakes in 239"
    draw(figure)


def test_curves_of_another_measure():
    epochs = [
        {"epoch": 1, "step": 1, "train_absolute_error": 7.0, "val_absolute_error": 9.0, "val_loss": 1.5}
    ]
    figure = training_curves(
        [2.0], [0.1], epochs, held_out="validation", loss="mean squared error", measure="absolute_error"
    )
    loss, error, _ = figure.axes
    assert loss.get_ylabel() == "mean squared error"
    assert lines(loss)["validation"] == ([1], [1.5])
    assert (error.get_title(), error.get_ylabel()) == ("Absolute error", "absolute error")
    assert lines(error) == {"training, while it learns": ([1], [7]), "validation": ([1], [9])}


def test_a_section_with_a_table(tmp_path):
    rows = [{"network": "a<b", "test accuracy": 0.5}, {"network": "c", "FLOPs": 1234}]
    page = write_report(tmp_path, "T", "s", {}, {}, [], [Section("table", "Table", "", None, rows)])
    shown = Page(page.read_text(encoding="utf-8")).rows
    assert shown == [["network", "test accuracy", "FLOPs"], ["a<b", "0.5", ""], ["c", "", "1,234"]]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: compared_curves({"a": [1.0]}, {}, {"a": "red"}), ArgumentError, r"\['a'\], \[\], \['a'\]"),
        (lambda: compared_numbers({"x": {}}, {}), ArgumentError, "at least one"),
        (
            lambda: compared_predictions(np.zeros((2, 4, 4)), [0, 1], {"a": np.zeros((2, 3))}, "xy"),
            ShapeError,
            r"probabilities of shape \(2, 2\); got 2 labels",
        ),
        (lambda: compared_predictions(np.zeros((0, 4, 4)), [], {}, "xy"), ShapeError, "0 images"),
        (lambda: prediction_scatter(np.zeros(2), np.zeros(3)), ShapeError, r"not \(2,\) and \(3,\)"),
    ],
)
def test_wrong_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()
