"""The page of a recorded run, or of two: served while it trains, or written as one file that needs no network.

    python -m minigrad view runs/one                     # serves it on this machine; live while it trains
    python -m minigrad view runs/one runs/two            # two runs over one another
    python -m minigrad view runs/one --export one.html   # one file

Charts are drawn by Plotly, from the bundle in the installed package: `pip install "minigrad[page]"`.
"""

from minigrad.viz.page.export import export_page
from minigrad.viz.page.server import PageServer, serve

__all__ = ["PageServer", "export_page", "serve"]
