"""Figures and reports."""

from minigrad.viz.figures import confusion_matrix_figure, filter_grid, image_grid, training_curves
from minigrad.viz.report import Section, write_report

__all__ = [
    "Section",
    "confusion_matrix_figure",
    "filter_grid",
    "image_grid",
    "training_curves",
    "write_report",
]
