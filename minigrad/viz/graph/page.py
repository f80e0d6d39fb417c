"""The page that shows a trace's graph: one HTML file with everything in it, which asks the network for nothing.

The policy in its head lets only the page's own style and script run, by their hashes, and nothing be loaded, so even
a text that slipped through unescaped could do nothing.
"""

from __future__ import annotations

import base64
import hashlib
import os
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from minigrad.viz.graph.data import json_for_page, trace_data
from minigrad.viz.graph.tree import Box, box_tree, opened

SCRIPTS = ("values", "scene", "folding", "layered", "layout", "drawing", "view", "histogram", "panel", "main")


def write_graph_page(trace: Any, path: str | os.PathLike[str], title: str = "Graph of a trace") -> Path:
    """Write `graph_page(trace, title)` to a file; returns its path."""
    path = Path(path)
    path.write_text(graph_page(trace, title), encoding="utf-8")
    return path


def graph_page(trace: Any, title: str = "Graph of a trace") -> str:
    """The HTML of a page that shows every operation of a trace, as boxes within the modules it ran in.

    trace: a trace, or `Trace.as_dict()`.
    title: stands in the page's head.

    Modules open and close with a click, down to the parts of a composite where the trace was expanded. Colours show
    time, memory, norms of gradients, shares of zeros, or values that are not finite. A click on an operation shows
    its record.
    Raises ArgumentError for what is no trace.
    """
    data = trace_data(trace)
    root = box_tree(data)
    content = {
        "title": title,
        "level": data.get("level", ""),
        "classes": data.get("modules", {}),
        "boxes": [_box(box) for box in root.walk()],
        "opened": sorted(opened(root)),
        "records": data["records"],
        "updates": data.get("updates", []),
    }
    style = "\n" + _asset("graph.css")
    script = "\n'use strict';\n" + "\n".join(_asset(f"{name}.js") for name in SCRIPTS)
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "@POLICY@": escape(policy),
        "@TITLE@": escape(title),
        "@STYLE@": style,
        "@DATA@": json_for_page(content),
        "@SCRIPT@": script,
    }
    page = _asset("graph.html")
    pieces = []
    for mark, part in parts.items():  # in the page's order: a text that holds a mark is left alone
        before, _, page = page.partition(mark)
        pieces += [before, part]
    return "".join([*pieces, page])


def _box(box: Box) -> dict[str, Any]:
    return {
        "kind": box.kind,
        "title": box.title,
        "subtitle": box.subtitle,
        "detail": box.detail,
        "path": box.path,
        "record": box.record,
        "parent": None if box.parent is None else box.parent.number,
        "calls": box.calls,
        "reads": box.reads,
    }


def _asset(name: str) -> str:
    return files("minigrad.viz.graph").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
