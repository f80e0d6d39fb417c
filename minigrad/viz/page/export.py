"""The page of recorded runs as one file, with Plotly and the data inside: it asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from minigrad.errors import ArgumentError, DataError
from minigrad.viz.graph import graph_page
from minigrad.viz.page.bundle import plotly_path
from minigrad.viz.page.data import PICTURES, RunData
from minigrad.viz.page.heat import DEAD, NOT_FINITE, UPDATE_RATIO, ZEROS
from minigrad.viz.page.numbers import json_bytes
from minigrad.viz.page.parts import page, script, style

# Bytes that histograms, numbers by unit and graphs may take in the file, each, over all runs
BUDGET = 8 << 20
_PLAIN = "!*'()"  # what JavaScript's encodeURIComponent leaves alone, beyond what `quote` does
_LEAST = 12  # steps, at which a histogram still is a moving picture
_HEAT = {
    "weight": ("norm", "mean", "std", UPDATE_RATIO, NOT_FINITE),
    "gradient": ("norm", "mean", "std", NOT_FINITE),
    "change": ("norm",),
    "output": ("norm", "mean", "std", DEAD, ZEROS, NOT_FINITE),
    "output_gradient": ("norm", "std", NOT_FINITE),
}


class Export(NamedTuple):
    """The file's bytes, and what was left out, in words."""

    size: int
    left_out: list[str]


def export_page(
    runs: Sequence[str | os.PathLike[str]], path: str | os.PathLike[str], budget: int = BUDGET
) -> Export:
    """Write the page of one run, or of two, as one HTML file.

    budget: bytes that each of histograms, numbers by unit and graphs may take. Beyond, histograms and numbers are given
            at fewer steps, and graphs of the first, the last and some steps between.

    Raises DataError where there is no record, or no Plotly; OSError where the file cannot be written.
    """
    if not 1 <= len(runs) <= 2:
        raise ArgumentError(f"the page shows one run, or two beside one another; got {len(runs)}")
    plotly = _inline(plotly_path().read_text(encoding="utf-8"))
    opened = [RunData(run) for run in runs]
    left_out: list[str] = []
    store: dict[str, Any] = {}
    graphs: dict[str, str] = {}
    for index, run in enumerate(opened):
        for name, answer in _answers(run, budget // len(opened), left_out):
            question, _, rest = name.partition("?")
            store[f"api/{question}?run={index}{'&' if rest else ''}{rest}"] = answer
        for step, html in _graphs(run, budget // len(opened), left_out):
            graphs[f"graph?run={index}&step={step}"] = html
    data = json_bytes({"answers": store, "graphs": graphs}).decode()
    own = _inline(script())
    policy = (
        f"default-src 'none'; script-src {' '.join(_hashes([plotly, own], graphs))}; "
        "style-src 'unsafe-inline'; img-src data: blob:; frame-src about:; base-uri 'none'; form-action 'none'"
    )
    head = (
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        f'<meta name="runs" content="{len(opened)}">\n<style>\n{style()}</style>'
    )
    body = (
        f'<script type="application/json" id="store">{data}</script>\n'
        f"<script>{plotly}</script>\n<script>{own}</script>"
    )
    content = page(" and ".join(run.name for run in opened), head, body).encode()
    Path(path).write_bytes(content)
    return Export(len(content), left_out)


def _answers(run: RunData, budget: int, left_out: list[str]) -> Iterator[tuple[str, Any]]:
    """Questions, as the page asks them, and their answers."""
    structure = run.structure()
    structure["heat"] = []
    yield "state", run.state()
    yield "lines", run.lines()
    for kind, whats in _HEAT.items():
        for what in whats:
            try:
                answer = run.heat(what, kind)
            except ArgumentError:  # not recorded
                continue
            structure["heat"].append([what, kind])
            yield f"heat?what={what}&kind={kind}", answer
    for method in structure["influence"]:
        yield f"influence?method={quote(method, safe=_PLAIN)}", run.influence(method)
    signals = [(kind, told) for kind, all_ in structure["kinds"].items() for told in all_]
    pictured = [(kind, told["name"]) for kind, told in signals if told["histogram"]]
    steps = _affordable(len(pictured) * 66, budget)
    fewer = False
    for kind, name in pictured:
        answer = run.histograms(kind, name, limit=steps)
        fewer |= steps < min(PICTURES, answer["recorded"])
        yield f"histograms?kind={kind}&name={quote(name, safe=_PLAIN)}", answer
    if fewer:
        left_out.append(f"{run.name}: histograms at more than {steps} steps")
    by_unit = [(kind, told, what) for kind, told in signals for what in told["by_unit"]]
    steps, fewer = _affordable(sum(told["units"] for _, told, _ in by_unit), budget), False
    for kind, told, what in by_unit:
        question = (
            f"units?kind={kind}&name={quote(told['name'], safe=_PLAIN)}&what={quote(what, safe=_PLAIN)}"
        )
        answer = run.units(kind, told["name"], what, limit=steps)
        fewer |= steps < min(PICTURES, answer["recorded"])
        yield question, answer
    if fewer:
        left_out.append(f"{run.name}: numbers by unit at more than {steps} steps")
    yield "structure", structure


def _affordable(values: int, budget: int) -> int:
    """At how many steps that many float32 values fit, in base 64."""
    return max(_LEAST, min(PICTURES, int(budget / (max(1, values) * 4 * 4 / 3))))


def _graphs(run: RunData, budget: int, left_out: list[str]) -> Iterator[tuple[int, str]]:
    """The first, the last, and those between by halves, as long as they fit."""
    steps = run.run.snapshot_steps("graph").tolist()
    size, shown, found = 0, 0, []
    for step in _by_halves(steps):
        try:
            html = graph_page(run.graph(step), f"{run.name}, step {step}")
        except DataError as error:  # the file is missing or damaged; the rest of the page can do without
            left_out.append(f"{run.name}: the graph of step {step}: {error}")
            continue
        if shown and size + len(html) > budget:
            break
        size, shown = size + len(html), shown + 1
        found.append((step, html))
    if shown < len(steps):
        left_out.append(f"{run.name}: {len(steps) - shown} of {len(steps)} graphs")
    yield from sorted(found)


def _by_halves(steps: list[int]) -> list[int]:
    """All of them: the first, the last, the middle, the quarters, ...

    >>> _by_halves([0, 1, 2, 3, 4])
    [0, 4, 2, 1, 3]
    """
    order, parts = [0, len(steps) - 1], [(0, len(steps) - 1)]
    while parts:
        first, last = parts.pop(0)
        if last - first > 1:
            middle = (first + last) // 2
            order.append(middle)
            parts += [(first, middle), (middle, last)]
    return [steps[i] for i in dict.fromkeys(order)] if steps else []


def _inline(text: str) -> str:
    """A script's text that ends nothing within a page, and that a browser reads as it stands: it must fit its hash."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"<(?=/script|!--)", r"\\x3c", text, flags=re.IGNORECASE)


def _hashes(scripts: Sequence[str], graphs: dict[str, str]) -> list[str]:
    """What may run: these, and the graphs' own scripts, which their pages name. A frame is bound by both policies."""
    own = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts
    ]
    named = re.compile(r"script-src (?:'|&#x27;)(sha256-[A-Za-z0-9+/=]+)(?:'|&#x27;)")
    inner = (found[1] for html in graphs.values() if (found := named.search(html)))
    return [*own, *sorted({f"'{name}'" for name in inner})]
