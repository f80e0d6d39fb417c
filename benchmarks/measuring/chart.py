"""Bars for print: one panel for each workload, lengths are medians, whiskers quartiles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from measuring.rounds import Summary

ACCENT, PLAIN = "#1b4f8a", "#b8bcc2"  # told apart in grey, too
LOGARITHMIC_FROM = 12.0  # times from the shortest bar to the longest


def draw_bars(
    path: Path, panels: Mapping[str, Mapping[str, Summary]], label: str, accent: str, note: str = ""
) -> None:
    """Write a chart of horizontal bars, the shortest on top, to an image file (PNG, PDF or SVG by its ending).

    panels: title -> name -> measurements, in the unit that `label` names; accent: the name to stand out; note: small
            print below.
    """
    from matplotlib.figure import Figure

    heights = [len(bars) for bars in panels.values()]
    size = (7.2, 0.9 + sum(0.75 + 0.31 * n for n in heights))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=[n + 1.5 for n in heights])[:, 0]
    for axis, (title, bars) in zip(axes, panels.items()):
        ordered = sorted(bars.items(), key=lambda item: item[1].median)
        names, values = [name for name, _ in ordered], [value for _, value in ordered]
        medians = [value.median for value in values]
        logarithmic = medians[-1] > LOGARITHMIC_FROM * medians[0]
        whiskers = [[v.median - v.q1 for v in values], [v.q3 - v.median for v in values]]
        axis.barh(
            names,
            medians,
            xerr=whiskers,
            color=[ACCENT if name == accent else PLAIN for name in names],
            edgecolor="black",
            linewidth=0.5,
            error_kw={"linewidth": 0.8, "capsize": 2},
        )
        axis.invert_yaxis()
        if logarithmic:
            axis.set_xscale("log")
            axis.set_xlim(medians[0] / 2, medians[-1] * 4)
        else:
            axis.set_xlim(0, max(v.q3 for v in values) * 1.18)
        for i, value in enumerate(values):
            end = max(value.q3, value.median)
            axis.annotate(
                f"{value.median:,.3g}" if value.median < 100 else f"{value.median:,.0f}",
                (end, i),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_xlabel(label + (", logarithmic scale" if logarithmic else ""), fontsize=8)
        axis.tick_params(labelsize=8.5)
        axis.spines[["top", "right"]].set_visible(False)
        for text in axis.get_yticklabels():
            text.set_fontweight("bold" if text.get_text() == accent else "normal")
    if note:
        figure.supxlabel(note, fontsize=7, x=0.01, ha="left")
    figure.savefig(path, dpi=200)
