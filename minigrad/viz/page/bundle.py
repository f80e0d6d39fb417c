"""Plotly's script, from the installed package; never from the network."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from minigrad.errors import DataError


def plotly_path() -> Path:
    """Where Plotly's bundle lies. Raises DataError, telling how to install it, where it is not."""
    found = find_spec("plotly")
    if found is None or found.origin is None:
        raise DataError(
            'charts are drawn by Plotly, which is not installed; add it with: pip install "minigrad[page]"'
        )
    path = Path(found.origin).parent / "package_data" / "plotly.min.js"
    if not path.is_file():
        raise DataError(
            f"the installed Plotly has no {path}; install it anew: pip install --force-reinstall plotly"
        )
    return path
