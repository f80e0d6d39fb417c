"""Figures of a recorded run's units: what each did over steps, and which mattered most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.record import RunReader
from minigrad.viz.figures import NEUTRAL
from minigrad.viz.run_axes import (
    PALETTE,
    PANELS,
    draw_cells,
    draw_small_bar,
    evenly,
    explain_colours,
    panels,
    scale_of,
    short_name,
    thinned,
    whole_numbers,
    whole_steps,
)
from minigrad.viz.run_layout import free_figure, settle, text_width, tick_width

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKERS = "osD^vP*X"
_WORDS = {
    ("unit_norms", "change"): "norm of the change of a unit's weights",
    ("unit_norms", "gradient"): "norm of the gradient of a unit's weights",
    ("dead", "output"): "share of a unit's outputs that are 0",
}


def unit_heatmaps(
    run: RunReader,
    names: str | Sequence[str] | None = None,
    kind: str = "change",
    what: str = "unit_norms",
    columns: int = 3,
) -> Figure:
    """A number for each unit over steps, a panel for each signal: units by steps, colour the number.

    names: which, by default all of the kind with several units that have such numbers: of parameters only those of
           at least two dimensions, at most 24 evenly spread over the network.
    kind, what: as `RunReader.units` takes them: "unit_norms" of "change" or "gradient", "dead" of "output",
           "influence.<method>" of "output" (or of "weight").

    Norms and influence (its size) are on a logarithmic scale of at most 4 decades, where 0 has a colour of its own;
    each panel has its own scale, but "dead" is 0 to 1 in all. Raises ArgumentError, telling what there is, for what
    was not recorded.
    """
    chosen = (
        [names] if isinstance(names, str) else list(names or evenly(_with_units(run, kind, what), PANELS))
    )
    words = _WORDS.get((what, kind), f"size of the {what.replace('.', ' by ')}" if "." in what else what)
    read = [(name, *run.units(name, kind, what)) for name in chosen]
    figure, grid, last = panels(len(read), columns, 3.3, 2.0)
    occur: set[str] = set()
    for axes, (name, all_steps, values) in zip(grid, read):
        steps, cells, each = thinned(all_steps, values.T)
        scale = scale_of([cells], "share" if what == "dead" else "log", decades=4)
        _, own = draw_cells(axes, steps, cells, scale)
        occur |= own
        draw_small_bar(axes, scale)
        axes.set_title(short_name(name), fontsize=9)
        whole_numbers(axes.yaxis, 5)
        axes.tick_params(labelsize=8)
        axes.invert_yaxis()
        whole_steps(axes, label=axes in last, at_most=6)
        if each > 1 and axes in last:
            axes.set_xlabel(f"step (means of {each})")
    beside = tick_width(grid, 8)
    settle(figure, grid, 0.3 + beside, 0.7, 0.75, 0.55, (0.6 + beside, 0.5))
    figure.supylabel("unit", fontsize=10, x=0.1 / figure.get_figwidth())
    figure.suptitle(words[0].upper() + words[1:], fontsize=11, y=1 - 0.08 / figure.get_figheight())
    explain_colours(figure, occur)
    return figure


def _with_units(run: RunReader, kind: str, what: str) -> list[str]:
    there = set().union(*(layout.places for layout in run.matrices.layouts(what)))
    found = [
        signal.name
        for signal in run.signals(kind)
        if signal.id in there and signal.units > 1 and (kind in ("output", "input") or len(signal.shape) > 1)
    ]
    if (
        not found and what.startswith("influence.") and kind == "weight"
    ):  # whose shape may be that of its units
        found = [signal.name for signal in run.signals(kind) if signal.id in there]
    if not found:
        names = sorted({layout.name for layout in run.matrices.layouts()})
        raise ArgumentError(
            f"{what!r} of units of kind {kind!r} was not recorded; there is {', '.join(names) or 'nothing'}"
        )
    return found


# ------------------------------------------------ influence


def influence_ranks(run: RunReader, method: str = "taylor", n: int = 6) -> Figure:
    """Ranks over steps: the n units of the best mean rank in colour, before all others that were listed, in grey.

    1 is the most influential unit of the network. Where a line is broken, the unit was not among those listed; in the
    mean, that counts as the rank below the last. Raises ArgumentError, telling what there is, if no influence by the
    method was recorded.
    """
    run.top_units(method=method)  # or tell which methods there are
    listed = run.influence(method)
    steps = sorted({each.step for each in listed})
    lowest = max(each.rank for each in listed)
    place = {step: i for i, step in enumerate(steps)}
    ranks: dict[tuple[str, int], np.ndarray] = {}
    for each in listed:
        own = ranks.setdefault((each.layer, each.unit), np.full(len(steps), np.nan))
        own[place[each.step]] = each.rank
    best = sorted(ranks, key=lambda unit: float(np.nan_to_num(ranks[unit], nan=lowest + 1).mean()))[:n]
    figure, ((axes,),) = free_figure(9, 0.9 + 0.24 * max(lowest, len(best)))
    few = len(steps) <= 60
    for unit, own in ranks.items():
        if unit not in best:
            axes.plot(steps, own, color="#cccccc", linewidth=0.8, marker="." if few else "", markersize=3)
    for i, unit in enumerate(best):
        style: dict[str, Any] = {"color": PALETTE[i % len(PALETTE)], "marker": _MARKERS[i % len(_MARKERS)]}
        style |= {"markersize": 5 if few else 2, "linewidth": 1.8, "zorder": 3 + len(best) - i}
        axes.plot(steps, ranks[unit], label=unit_name(*unit), **style)
    words = [unit_name(*unit) for unit in best]
    right = 0.7 + text_width(words, 8)
    settle(figure, [axes], 0.65, right, 0.55, 0.1, labels=0.48)
    figure.legend(loc="upper right", fontsize=8, frameon=False, title="layer · unit", title_fontsize=8)
    axes.set_ylim(lowest + 0.6, 0.4)
    axes.set_yticks(range(1, lowest + 1), [str(r) for r in range(1, lowest + 1)], fontsize=8)
    axes.set(ylabel=f"rank of influence by {method.replace('_', ' ')}")
    axes.spines[["top", "right"]].set_visible(False)
    whole_steps(axes)
    return figure


def influence_bars(
    run: RunReader, step: int | None = None, n: int = 16, method: str = "taylor", colour_by_layer: bool = True
) -> Figure:
    """The units that mattered most at the latest look up to a step (by default the last), with their scores.

    Bars of units of the same layer have the same colour. Raises ArgumentError if there was no such look.
    """
    found = run.top_units(step, n, method)
    layers = list(dict.fromkeys(each.layer for each in found))
    figure, ((axes,),) = free_figure(6.5, 0.9 + 0.24 * len(found))
    colours = [
        PALETTE[layers.index(each.layer) % len(PALETTE)] if colour_by_layer else NEUTRAL for each in found
    ]
    bars = axes.barh(range(len(found)), [each.score for each in found], color=colours, height=0.75)
    axes.bar_label(bars, [f"{each.score:.3g}" for each in found], padding=3, fontsize=8, color=NEUTRAL)
    axes.set_yticks(range(len(found)), [unit_name(each.layer, each.unit) for each in found], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.axvline(0, color=NEUTRAL, linewidth=0.8)
    axes.set(xlabel=f"influence by {method.replace('_', ' ')}", title=f"Step {found[0].step:,}")
    names = [unit_name(each.layer, each.unit) for each in found]
    settle(figure, [axes], 0.2 + text_width(names, 8), 0.15, 0.55, 0.35)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def unit_name(layer: str, unit: int) -> str:
    """A unit as a label.

    >>> unit_name("layer1.0.conv1", 3)
    'layer1.0.conv1 · 3'
    """
    return f"{short_name(layer)} · {unit}"


def influence_agreement(run: RunReader) -> Figure:
    """How the ranking of units by each method agreed with removing them one by one: rank correlation over steps.

    1 is the same order, 0 none in common. Raises ArgumentError if it was not recorded.
    """
    found = run.agreement()
    if not found:
        raise ArgumentError(
            'no agreement of influence was recorded; RecorderConfiguration(agreement="epoch") does'
        )
    figure, ((axes,),) = free_figure(7, 3)
    for place, method in enumerate(dict.fromkeys(each.method for each in found)):
        own = [each for each in found if each.method == method]
        style: dict[str, Any] = {"color": PALETTE[place % 8], "marker": _MARKERS[place % 8], "markersize": 5}
        style |= {"label": method.replace("_", " ")}
        axes.plot([each.step for each in own], [each.correlation for each in own], **style)
    axes.set(ylabel="rank correlation with ablation", ylim=(min(-0.05, *axes.get_ylim()), 1.05))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    whole_steps(axes)
    settle(figure, [axes], 0.75, 0.1, 0.55, 0.12, labels=0.58)
    return figure
