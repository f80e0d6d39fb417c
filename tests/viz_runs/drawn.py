"""What is made to be drawn, and what can be read off a figure."""

from __future__ import annotations

import numpy as np

from tests.record.conftest import FIELDS

STEPS = 60


def statistics(rows):
    """A matrix of the statistics in which only these columns are not 1."""
    table = np.ones((len(rows), len(FIELDS)))
    for own, numbers in zip(table, rows):
        own[[FIELDS.index("nans"), FIELDS.index("infs")]] = 0
        for name, value in numbers.items():
            own[FIELDS.index(name)] = value
    return table


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
