"""A drawing in layers that is too tall for a screen, folded into columns where few edges are cut.

`folding.js` is the same for the page.
"""

from __future__ import annotations

SEPARATION, GAP, LANE = (
    26.0,
    22.0,
    9.0,
)  # between boxes of a layer, between layers, between edges beside the boxes
TALL, ASPECT, CROSSING = (
    760.0,
    1.35,
    3,
)  # what is taller is folded, to about that width by height, across so few edges
LITTLE, MOST_COLUMNS = 0.8, 40  # it must become so much smaller, as a whole on a screen; never more columns


def fold(
    layers: list[list[int]],
    tops: list[float],
    bottoms: list[float],
    x: list[float],
    widths: list[float],
    leaving: list[tuple[int, int, float]],
) -> list[int]:
    """The column of each layer: one for all, or several of about equal height where that fills a screen better."""
    count = len(layers)
    height = bottoms[-1] if count else 0.0
    if height <= TALL:
        return [0] * count
    crossing = [0] * count  # sources of the edges from each layer to the next
    for r, _, _ in set(leaving):
        crossing[r] += 1
    width = max(max(x[v] + widths[v] / 2 for v in layer) for layer in layers)
    width -= min(min(x[v] - widths[v] / 2 for v in layer) for layer in layers)
    heaviest = max(bottom - top for top, bottom in zip(tops, bottoms))
    best, least = [0] * count, LITTLE * max(width / ASPECT, height)
    most = min(MOST_COLUMNS, round(height / heaviest) + 1)
    for columns in range(2, most + 1):
        for slack in (1.0, 1.12, 1.25):
            column, tallest = _columns(tops, bottoms, crossing, max(heaviest, slack * height / columns))
            size = max(((column[-1] + 1) * (width + SEPARATION + 4 * LANE)) / ASPECT, tallest + 2 * GAP)
            if size < least:
                best, least = column, size
    return best


def _columns(
    tops: list[float], bottoms: list[float], crossing: list[int], share: float
) -> tuple[list[int], float]:
    """Columns filled up to that height, one after the other, and the height of the tallest."""
    column, since, tallest = [0] * len(tops), 0.0, 0.0
    for r in range(1, len(tops)):
        boxes = bottoms[r - 1] > tops[r - 1] and bottoms[r] > tops[r]
        cut = boxes and 0 < crossing[r - 1] <= CROSSING and bottoms[r] - since > share
        column[r] = column[r - 1] + cut
        tallest = max(tallest, bottoms[r - 1] - since)
        since = tops[r] if cut else since
    return column, max(tallest, bottoms[-1] - since)


def apart(
    layers: list[list[int]],
    column: list[int],
    tops: list[float],
    bottoms: list[float],
    x: list[float],
    widths: list[float],
    real: int,
) -> tuple[list[float], float]:
    """Set the columns side by side, from 0 on; returns the left of each, and the width of all."""
    lefts: list[float] = []
    reach, start = 0.0, 0
    for c in range(max(column, default=-1) + 1):
        end = start
        while end < len(layers) and column[end] == c:
            end += 1
        members = [v for layer in layers[start:end] for v in layer]
        boxes = [v for v in members if v < real] or members
        shift = reach - min(x[v] - widths[v] / 2 for v in (members if c else boxes))
        down = GAP - tops[start] if c else 0.0  # room for the edges that come in from the column before
        for r in range(start, end):
            tops[r], bottoms[r] = tops[r] + down, bottoms[r] + down
        for v in members:
            x[v] += shift
        lefts.append(reach)
        reach = max(x[v] + widths[v] / 2 for v in members)
        width, reach = reach, reach + SEPARATION + 4 * LANE
        start = end
    return lefts, width if lefts else 0.0
