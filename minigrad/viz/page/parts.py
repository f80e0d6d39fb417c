"""The page's parts: its HTML, style and script."""

from __future__ import annotations

from html import escape
from importlib.resources import files

SCRIPTS = (
    "values", "source", "plots", "clock", "overview", "losses", "heat", "distributions", "units", "influence", "graph",
    "notes", "main",
)  # fmt: skip


def asset(name: str) -> str:
    """The text of a file in `assets/`."""
    return files("minigrad.viz.page").joinpath("assets", name).read_text(encoding="utf-8")


def style() -> str:
    """The page's style sheet."""
    return asset("page.css")


def script() -> str:
    """The page's script: all parts, in one scope."""
    parts = "\n".join(asset(f"{name}.js") for name in SCRIPTS)
    return f"'use strict';\n(() => {{\n{parts}\n}})();\n"


def page(title: str, head: str, body: str) -> str:
    """The page's HTML with texts at its marks: `head` stands at the head's end, `body` at the body's."""
    result = asset("page.html")
    pieces = []
    for mark, part in (("@TITLE@", escape(title)), ("@HEAD@", head), ("@BODY@", body)):
        before, _, result = result.partition(
            mark
        )  # in the page's order: a text that holds a mark is left alone
        pieces += [before, part]
    return "".join([*pieces, result])
