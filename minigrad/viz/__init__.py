"""Figures and reports."""

from minigrad.viz.animation import animate_histograms, animate_units
from minigrad.viz.comparison import compared_curves, compared_numbers, compared_predictions
from minigrad.viz.figures import (
    confusion_matrix_figure,
    filter_grid,
    image_grid,
    prediction_scatter,
    training_curves,
)
from minigrad.viz.graph import graph_page, to_dot, to_svg, write_graph_page
from minigrad.viz.report import Section, write_report
from minigrad.viz.run_comparison import compared_heatmaps, compared_run_curves
from minigrad.viz.run_figures import layer_heatmap, run_curves
from minigrad.viz.run_histograms import histogram_grid, histogram_heatmaps, histogram_ridges
from minigrad.viz.run_report import write_run_report
from minigrad.viz.run_units import influence_agreement, influence_bars, influence_ranks, unit_heatmaps

__all__ = [
    "Section",
    "animate_histograms",
    "animate_units",
    "compared_curves",
    "compared_heatmaps",
    "compared_numbers",
    "compared_predictions",
    "compared_run_curves",
    "confusion_matrix_figure",
    "filter_grid",
    "graph_page",
    "histogram_grid",
    "histogram_heatmaps",
    "histogram_ridges",
    "image_grid",
    "influence_agreement",
    "influence_bars",
    "influence_ranks",
    "layer_heatmap",
    "prediction_scatter",
    "run_curves",
    "to_dot",
    "to_svg",
    "training_curves",
    "unit_heatmaps",
    "write_graph_page",
    "write_report",
    "write_run_report",
]
