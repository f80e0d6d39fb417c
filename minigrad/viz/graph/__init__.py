"""The graph of a trace to look at: a page to explore, a drawing for print, and Graphviz's language.

    write_graph_page(trace, "step.html", title="ResNet-50, step 100")   # one file; open it in a browser
    to_svg(trace, "step.svg", depth=2)                                    # for print
    to_dot(trace)                                                         # for Graphviz

`trace` is a trace or its dictionary form, `Trace.as_dict()`.
"""

from minigrad.viz.graph.dot import to_dot
from minigrad.viz.graph.page import graph_page, write_graph_page
from minigrad.viz.graph.svg import to_svg

__all__ = ["graph_page", "to_dot", "to_svg", "write_graph_page"]
