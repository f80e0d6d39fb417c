"""A report: one folder with a readable HTML page, its figures as PNG files, and the numbers as JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from minigrad.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.7rem; margin-bottom: .3rem; } h2 { font-size: 1.25rem; margin: 2.2rem 0 .4rem; }
p.summary { font-size: 1.1rem; margin-top: 0; } p.note { color: #555; margin: .2rem 0 .8rem; }
table { border-collapse: collapse; } th { font-weight: 600; white-space: nowrap; }
th, td { text-align: left; padding: .2rem 1.4rem .2rem 0; border-bottom: 1px solid #ddd; }
td { font-variant-numeric: tabular-nums; } img { max-width: 100%; height: auto; }
div.side { display: flex; flex-wrap: wrap; gap: 0 4rem; } div.side > div { max-width: 27rem; }
"""


class Section(NamedTuple):
    """One part of a report: a name for the figure's file, a heading, how to read it, the figure, if any, and the rows
    of a table below it, if any."""

    name: str
    title: str
    text: str
    figure: Figure | None
    rows: Sequence[Mapping[str, Any]] = ()


def write_report(
    folder: Path,
    title: str,
    summary: str,
    numbers: Mapping[str, Any],
    settings: Mapping[str, Any],
    epochs: Sequence[Mapping[str, Any]],
    sections: Sequence[Section],
) -> Path:
    """Write `index.html`, `metrics.json` and `<section name>.png` into an existing folder; returns the page's path.

    numbers:  what came out, by name; lists and dictionaries appear in metrics.json only.
    settings: what it was made with.
    epochs:   one row per epoch.
    sections: what else the page shows, in order.

    metrics.json is `numbers` with "settings" and "epochs"; NaN and infinities, which JSON does not have, become null.
    Raises ArgumentError for a section name that is no simple file name.
    """
    for name in (section.name for section in sections):
        if not re.fullmatch(r"[\w-]+", name):
            raise ArgumentError(f"a section is named by letters, digits, - and _, not {name!r}")
    metrics = _plain({**numbers, "settings": settings, "epochs": epochs})
    text = json.dumps(metrics, indent=2, allow_nan=False, ensure_ascii=False)
    (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
    for section in sections:
        if section.figure is not None:
            section.figure.savefig(folder / f"{section.name}.png", dpi=144, pil_kwargs={"compress_level": 2})
    page = folder / "index.html"
    page.write_text(_page(title, summary, numbers, settings, epochs, sections), encoding="utf-8")
    return page


def _page(
    title: str,
    summary: str,
    numbers: Mapping[str, Any],
    settings: Mapping[str, Any],
    epochs: Sequence[Mapping[str, Any]],
    sections: Sequence[Section],
) -> str:
    parts = [f'<h1>{escape(title)}</h1>\n<p class="summary">{escape(summary)}</p>', '<div class="side">']
    for heading, rows in (("Result", numbers), ("Settings", settings)):
        parts.append(f"<div>\n<h2>{heading}</h2>\n<table>")
        parts += [
            f"<tr><th>{escape(_words(name))}</th><td>{escape(_show(value))}</td></tr>"
            for name, value in rows.items()
            if not isinstance(value, (list, dict))
        ]
        parts.append("</table>\n</div>")
    parts.append("</div>")
    for section in sections:
        parts.append(f'<h2>{escape(section.title)}</h2>\n<p class="note">{escape(section.text)}</p>')
        if section.figure is not None:
            width = round(
                96 * section.figure.get_figwidth()
            )  # a point of Matplotlib's is a point of the page's
            parts.append(f'<img src="{section.name}.png" width="{width}" alt="{escape(section.title)}">')
        parts += _table(section.rows)
    if epochs:
        parts += ["<h2>Epochs</h2>", *_table(epochs)]
    head = (
        '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>"
    )
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows under the names of all their columns; nothing for no rows."""
    if not rows:
        return []
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["<table>", "<tr>" + "".join(f"<th>{escape(_words(c))}</th>" for c in columns) + "</tr>"]
    for row in rows:
        cells = [escape(_show(row[c])) if c in row else "" for c in columns]
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return [*lines, "</table>"]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _show(value: Any) -> str:
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    """`value` in what JSON has: NumPy's scalars become Python's, numbers that are not finite None."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
