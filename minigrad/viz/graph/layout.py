"""Where the boxes of a graph lie, boxes within boxes, and how the edges run between them.

Each open module is drawn by itself, in layers (see `layered`), and then is one item of the drawing around it. An edge
that leaves or enters a module passes a port in its lower or upper border, so it never runs across a box.
`layout.js` is the same for the page.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from minigrad.viz.graph.layered import Layered, Link, Route, layered
from minigrad.viz.graph.tree import Box

WIDTH, HEIGHT = 236.0, 44.0  # of a box that is not open
INPUT_WIDTH, INPUT_HEIGHT = 180.0, 30.0
HEADER, PADDING = 30.0, 16.0  # of an open module


@dataclass
class Drawing:
    """Rectangles (x, y, width, height) by the box's number, which of them are open, and the edges' routes.

    routes: (route, source, arrives): `source` is the number of the box where the data comes from; an edge that passes
        borders has a route for each stretch, and `arrives` at the last one only.
    """

    width: float = 0.0
    height: float = 0.0
    rectangles: dict[int, tuple[float, float, float, float]] = field(default_factory=dict)
    opened: set[int] = field(default_factory=set)
    routes: list[tuple[Route, int, bool]] = field(default_factory=list)


@dataclass
class _Inside:
    """What lies in one open module: stretches of edges (from, to, source), and its drawing, once made."""

    # An end is the number of a child, or -1 for the border
    stretches: dict[tuple[int, int, int], None] = field(default_factory=dict)
    items: list[Box] = field(default_factory=list)
    drawing: Layered | None = None
    width: float = 0.0
    height: float = 0.0
    left: float = 0.0
    entries: dict[int, float] = field(default_factory=dict)  # by source: the port's distance from the left
    exits: dict[int, float] = field(default_factory=dict)


def draw(root: Box, edges: Iterable[tuple[Box, Box]], is_open: set[int]) -> Drawing:
    """Lay out everything in `root`, with the modules numbered `is_open` open and the edges between visible boxes."""
    inside = {box.number: _Inside() for box in root.walk() if box is root or box.number in is_open}
    for source, target in edges:
        _split(source, target, inside)
    shown: list[Box] = [root]  # the open boxes that can be seen, outer ones first
    for box in shown:
        inside[box.number].items = box.children
        shown += [child for child in box.children if child.number in is_open]
    for box in reversed(shown):
        _draw_one(box, inside, box is root)

    drawing = Drawing(inside[root.number].width, inside[root.number].height)
    corners = {root.number: (0.0, 0.0)}
    for box in shown:
        _collect(box, inside, corners, drawing, box is root)
    drawing.opened = {box.number for box in shown if box is not root}
    return drawing


def _split(source: Box, target: Box, inside: dict[int, _Inside]) -> None:
    """Cut an edge into stretches, one for each open module that it passes."""
    around: list[Box] = []
    box: Box | None = source
    while box is not None:
        around.append(box)
        box = box.parent
    numbers = {box.number for box in around}
    arriving = target
    while arriving.parent is not None and arriving.parent.number not in numbers:
        inside[arriving.parent.number].stretches[-1, arriving.number, source.number] = None
        arriving = arriving.parent
    common = arriving.parent
    assert common is not None  # the root is around everything
    leaving = source
    while leaving.parent is not common:
        assert leaving.parent is not None
        inside[leaving.parent.number].stretches[leaving.number, -1, source.number] = None
        leaving = leaving.parent
    inside[common.number].stretches[leaving.number, arriving.number, source.number] = None


def _draw_one(box: Box, inside: dict[int, _Inside], is_root: bool) -> None:
    own = inside[box.number]
    place = {item.number: i for i, item in enumerate(own.items)}
    sizes = [_size(item, inside) for item in own.items]
    ends: dict[tuple[str, int], int] = {}

    def end(number: int, source: int, port: str) -> tuple[int, float]:
        """The item at an end of a stretch, and the port's distance from its centre."""
        if number < 0:
            if (port, source) not in ends:
                ends[port, source] = len(sizes)
                sizes.append((4.0, 0.0))
            return ends[port, source], 0.0
        ports = (
            (inside[number].exits if port == "entry" else inside[number].entries) if number in inside else {}
        )
        return place[number], ports[source] - inside[number].width / 2 if source in ports else 0.0

    links = []
    for a, b, source in own.stretches:
        (i, from_x), (j, to_x) = end(a, source, "entry"), end(b, source, "exit")
        links.append(Link(i, j, from_x, to_x))
    first = frozenset(i for (port, _), i in ends.items() if port == "entry")
    last = frozenset(i for (port, _), i in ends.items() if port == "exit")
    own.drawing = layered(sizes, links, first, last)
    wide = 0.0 if is_root else max(WIDTH, own.drawing.width)
    border = 0.0 if is_root else PADDING
    own.left = border + max(0.0, wide - own.drawing.width) / 2
    own.width = max(wide, own.drawing.width) + 2 * border
    own.height = own.drawing.height + (0.0 if is_root else HEADER + 2 * PADDING)
    for (port, source), i in ends.items():
        x = own.left + own.drawing.corners[i][0] + sizes[i][0] / 2
        (own.entries if port == "entry" else own.exits)[source] = x


def _size(box: Box, inside: dict[int, _Inside]) -> tuple[float, float]:
    if box.number in inside:
        return inside[box.number].width, inside[box.number].height
    return (INPUT_WIDTH, INPUT_HEIGHT) if box.kind == "input" else (WIDTH, HEIGHT)


def _collect(
    box: Box,
    inside: dict[int, _Inside],
    corners: dict[int, tuple[float, float]],
    drawing: Drawing,
    is_root: bool,
) -> None:
    """Put the box's items and edges where they lie in the whole."""
    own = inside[box.number]
    assert own.drawing is not None
    x, y = corners[box.number]
    top = y + (0.0 if is_root else HEADER + PADDING)
    for item, (item_x, item_y) in zip(own.items, own.drawing.corners):
        corners[item.number] = (x + own.left + item_x, top + item_y)
        drawing.rectangles[item.number] = (*corners[item.number], *_size(item, inside))
    for (a, b, source), route in zip(own.stretches, own.drawing.routes):
        moved: Route = [
            tuple(value + ((x + own.left), top)[i % 2] for i, value in enumerate(step)) for step in route
        ]
        if a < 0:
            moved.insert(0, (moved[0][0], y))
        if b < 0:
            moved.append((moved[-1][-2], y + own.height))
        drawing.routes.append((moved, source, b >= 0 and b not in inside))
