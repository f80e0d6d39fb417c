"""A report: one folder with a readable HTML page, its figures as PNG files, and the numbers as JSON."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .2rem 1.2rem .2rem 0; border-bottom: 1px solid #ddd; }
td { font-variant-numeric: tabular-nums; } img { max-width: 100%; height: auto; } p.note { color: #555; }
"""


class Section(NamedTuple):
    """One part of a report: a heading, a sentence that says how to read the figure, and the figure."""

    name: str
    title: str
    text: str
    figure: Figure


def write_report(folder: Path, title: str, summary: str, numbers: Mapping[str, Any], table: Sequence[Mapping[str, Any]], sections: Sequence[Section]) -> Path:
    """Write `index.html`, `<section name>.png` and `metrics.json` into an existing folder; returns the page's path.

    numbers: shown as a table of two columns, and written to metrics.json together with `table` (one row per epoch, say).
    """
    for section in sections:
        section.figure.savefig(folder / f"{section.name}.png", dpi=130)
    (folder / "metrics.json").write_text(json.dumps({**numbers, "epochs": list(table)}, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    escape = html.escape
    parts = [f"<h1>{escape(title)}</h1>", f"<p>{escape(summary)}</p>", "<h2>Numbers</h2><table>"]
    parts += [f"<tr><th>{escape(str(k))}</th><td>{escape(_show(v))}</td></tr>" for k, v in numbers.items() if not isinstance(v, (list, dict))]
    parts.append("</table>")
    for section in sections:
        parts.append(f"<h2>{escape(section.title)}</h2><p class='note'>{escape(section.text)}</p>")
        parts.append(f"<img src='{section.name}.png' alt='{escape(section.title)}'>")
    if table:
        parts.append("<h2>Epochs</h2><table><tr>" + "".join(f"<th>{escape(k)}</th>" for k in table[0]) + "</tr>")
        parts += ["<tr>" + "".join(f"<td>{escape(_show(v))}</td>" for v in row.values()) + "</tr>" for row in table]
        parts.append("</table>")
    page = folder / "index.html"
    head = f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(title)}</title><style>{_STYLE}</style>"
    page.write_text(head + "<body>" + "\n".join(parts) + "</body></html>\n", encoding="utf-8")
    return page


def _show(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
