"""Figures and reports."""

from minigrad.viz.comparison import compared_curves, compared_numbers, compared_predictions
from minigrad.viz.figures import (
    confusion_matrix_figure,
    filter_grid,
    image_grid,
    prediction_scatter,
    training_curves,
)
from minigrad.viz.report import Section, write_report

__all__ = [
    "Section",
    "compared_curves",
    "compared_numbers",
    "compared_predictions",
    "confusion_matrix_figure",
    "filter_grid",
    "image_grid",
    "prediction_scatter",
    "training_curves",
    "write_report",
]
