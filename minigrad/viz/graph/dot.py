"""A trace's graph in the language of Graphviz: `dot -Tpdf graph.dot -o graph.pdf`."""

from __future__ import annotations

from typing import Any

from minigrad.viz.graph.data import trace_data
from minigrad.viz.graph.tree import Box, box_tree, opened_to, visible_edges


def to_dot(trace: Any) -> str:
    """The graph in Graphviz's DOT: a node for each operation, a cluster for each module, an edge for each flow of data.

    trace: a trace, or `Trace.as_dict()`. Parts of composites are not shown.

    Names are quoted and escaped, so any character may stand in them.
    Raises ArgumentError for what is no trace.
    """
    data = trace_data(trace)
    root = box_tree(data)
    lines = [
        "digraph trace {",
        '  node [shape=box, style="rounded,filled", fillcolor=white, fontname="Helvetica", fontsize=11];',
        '  graph [fontname="Helvetica", fontsize=11, labeljust=l, style=rounded, color="#8a94a3"];',
        '  edge [color="#66707f", arrowsize=0.7];',
    ]
    for box in root.children:
        lines += _lines(box, "  ")
    for source, target in visible_edges(root, data["records"], opened_to(root, None)):
        lines.append(f"  box{source.number} -> box{target.number};")
    return "\n".join([*lines, "}", ""])


def _lines(box: Box, indent: str) -> list[str]:
    if box.kind == "module":
        label = quoted(" ".join(part for part in (box.title, box.subtitle) if part))
        inner = [line for child in box.children for line in _lines(child, indent + "  ")]
        return [
            f"{indent}subgraph cluster{box.number} {{",
            f"{indent}  label={label};",
            *inner,
            f"{indent}}}",
        ]
    words = [part for part in (box.title, box.subtitle, box.detail) if part]
    shape = ", shape=oval" if box.kind == "input" else ""
    return [f"{indent}box{box.number} [label={quoted(*words)}{shape}];"]


def quoted(*lines: str) -> str:
    r"""Lines of text as one quoted string of DOT.

    >>> print(quoted('say "hi"', "a\\b"))
    "say \"hi\"\na\\b"
    """
    # A backslash begins an escape of a label's own, a quote ends the string; control characters have no meaning
    texts = []
    for line in lines:
        line = "".join(c if c.isprintable() else " " for c in line)
        texts.append(line.replace("\\", "\\\\").replace('"', '\\"'))
    return '"' + "\\n".join(texts) + '"'
