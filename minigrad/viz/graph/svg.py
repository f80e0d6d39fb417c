"""A trace's graph as one drawing for print: black on white, boxes tinted by the time they took."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from minigrad.errors import ArgumentError
from minigrad.viz.graph.data import trace_data
from minigrad.viz.graph.layered import Route
from minigrad.viz.graph.layout import Drawing, draw
from minigrad.viz.graph.tree import Box, box_tree, opened_to, visible_edges

MARGIN, TITLE = 24.0, 40.0
CHARACTER = 6.9  # width of one at 12 pixels, on the broad side
_STYLE = """
text { font-family: "Helvetica Neue", Arial, "Liberation Sans", sans-serif; font-size: 12px; fill: #1a2130; }
.title { font-size: 18px; font-weight: 600; } .name { font-weight: 600; } .note { fill: #5b6575; font-size: 10.5px; }
.module { fill: #f6f7f9; stroke: #aab2bf; } .op, .input { stroke: #8a94a3; }
.edge { fill: none; stroke: #66707f; stroke-width: 1.2; }
"""


def to_svg(trace: Any, path: str | os.PathLike[str], *, depth: int | None = None, title: str = "") -> Path:
    """Write the graph as an SVG file, for print; returns its path.

    trace: a trace, or `Trace.as_dict()`.
    depth: how many levels of modules are open; 0 shows the outermost modules closed, None opens all. Parts of
           composites are not shown.
    title: stands above the drawing.

    The tint of a box is the share of its forward and backward time in that of the slowest box.
    Raises ArgumentError for what is no trace, and for a negative depth.
    """
    if depth is not None and depth < 0:
        raise ArgumentError(f"depth is a number of levels, 0 or more, or None for all; got {depth}")
    data = trace_data(trace)
    root = box_tree(data)
    is_open = opened_to(root, depth)
    edges = visible_edges(root, data["records"], is_open)
    drawing = draw(_without_parts(root), edges, is_open)
    path = Path(path)
    path.write_text(_document(drawing, root, data, title), encoding="utf-8")
    return path


def _without_parts(root: Box) -> Box:
    for box in root.walk():
        if box.kind == "op":
            box.children = []
    return root


def _document(drawing: Drawing, root: Box, data: Any, title: str) -> str:
    above = TITLE if title else 0.0
    width = max(drawing.width, CHARACTER * 1.6 * len(title)) + 2 * MARGIN
    height = drawing.height + 2 * MARGIN + above
    seconds = [_seconds(record) for record in data["records"]]
    boxes = [box for box in root.walk() if box.number in drawing.rectangles]
    took = {box.number: sum(seconds[i] for i in box.calls) for box in boxes}
    slowest = max((took[box.number] for box in boxes if box.number not in drawing.opened), default=0.0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}">',
        f"<title>{_text(title or 'Graph of a trace')}</title>",
        f"<style>{_STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0.8 L7.5 4 L0 7.2 z" fill="#66707f"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
    ]
    if title:
        parts.append(f'<text class="title" x="{MARGIN}" y="{MARGIN + 16}">{_text(title)}</text>')
    left = (width - drawing.width) / 2
    parts.append(f'<g transform="translate({left:.1f} {MARGIN + above:.1f})">')
    parts += [_module(box, drawing.rectangles[box.number]) for box in boxes if box.number in drawing.opened]
    for route, _, arrives in drawing.routes:
        head = ' marker-end="url(#head)"' if arrives else ""
        parts.append(f'<path class="edge" d="{path_text(route)}"{head}/>')
    for box in boxes:
        if box.number not in drawing.opened:
            share = took[box.number] / slowest if slowest > 0 else 0.0
            parts.append(_box(box, drawing.rectangles[box.number], share))
    return "\n".join([*parts, "</g>", "</svg>", ""])


def path_text(route: Route) -> str:
    """A route in the language of SVG paths.

    >>> path_text([(0.0, 0.0), (0.0, 5.0), (0.0, 7.0, 3.0, 7.0, 3.0, 10.0)])
    'M0.0 0.0L0.0 5.0C0.0 7.0 3.0 7.0 3.0 10.0'
    """
    letters = {2: "L", 6: "C"}
    steps = [
        ("M" if i == 0 else letters[len(step)]) + " ".join(f"{v:.1f}" for v in step)
        for i, step in enumerate(route)
    ]
    return "".join(steps)


def _seconds(record: Any) -> float:
    return (record["forward_seconds"] or 0.0) + (record["gradient_seconds"] or 0.0)


def _rectangle(
    box: Box, at: tuple[float, float, float, float], kind: str, radius: float, fill: str = ""
) -> str:
    x, y, width, height = at
    colour = f' fill="{fill}"' if fill else ""
    return (
        f'<rect class="{kind}" data-box="{box.number}" data-path={quoteattr(_clean(box.path or ""))} '
        f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius}"{colour}/>'
    )


def _module(box: Box, at: tuple[float, float, float, float]) -> str:
    x, y, width, _ = at
    room = int((width - 24) / CHARACTER)
    name = f'<tspan class="name">{_text(box.title, room)}</tspan>'
    return (
        _rectangle(box, at, "module", 8)
        + f'<text x="{x + 12:.1f}" y="{y + 20:.1f}">{name}'
        + f'<tspan class="note" dx="8">{_text(box.subtitle, room - len(box.title))}</tspan></text>'
    )


def _box(box: Box, at: tuple[float, float, float, float], share: float) -> str:
    x, y, width, height = at
    end = x + width - 10
    if box.kind == "input":
        return (
            _rectangle(box, at, "input", height / 2, "#ffffff")
            + f'<text class="name" x="{x + 14:.1f}" y="{y + 19:.1f}">{_text(box.title, 12)}</text>'
            + f'<text class="note" x="{end - 4:.1f}" y="{y + 19:.1f}" text-anchor="end">{_text(box.detail, 22)}</text>'
        )
    from_white = [round(255 + share * (tint - 255)) for tint in (246, 173, 85)]
    stack = ""
    if box.kind == "module":  # closed: a second sheet shows below it
        stack = _rectangle(box, (x + 4, y + 4, width, height), "op", 6, "#eef0f3").replace(
            " data-box", " data-below"
        )
    note = "".join(
        f'<text class="note" x="{place:.1f}" y="{y + 35:.1f}" text-anchor="{anchor}">{_text(words, 22)}</text>'
        for place, anchor, words in ((x + 10, "start", box.subtitle), (end, "end", box.detail))
    )
    return (
        stack
        + _rectangle(box, at, "op", 6, "#" + "".join(f"{v:02x}" for v in from_white))
        + f'<text class="name" x="{x + 10:.1f}" y="{y + 18:.1f}">{_text(box.title, 31)}</text>'
        + note
    )


def _clean(words: str) -> str:
    """Without the characters that XML may not hold."""
    return "".join(
        c for c in words if c in "\t\n" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"
    )


def _text(words: str, room: int = 0) -> str:
    """`words` for XML, shortened to `room` characters."""
    words = _clean(words)
    if 0 < room < len(words):
        words = words[: room - 1] + "…"
    return escape(words)
