"""Where the gradient shrinks on its way back: within layers, and in the operations between them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from common.finding import Finding, layers_in_order, listed
from minigrad.errors import MinigradError
from minigrad.record import RunReader

Sizes = Mapping[int, float]  # of an element of a gradient, by step


class Passage(NamedTuple):
    """What the gradient goes through on its way back, in words; to which part of its size, and over how many times as
    many elements."""

    where: str
    ratio: float
    spread: float


def shrinking_gradients(run: RunReader) -> Finding:
    """Where the gradient shrinks most on its way back, and how much in all.

    A size is the root mean square of a gradient's elements. A layer is judged by the gradients by its output and by its
    input: layers beside one another in a list need not follow one another in the network.
    """
    name, title = "shrinking_gradients", "Where gradients shrink"
    outputs = {signal.name: _sizes(run, signal.name, "output_gradient") for signal in layers_in_order(run)}
    silent = [layer for layer, sizes in outputs.items() if sizes and _typical(sizes) == 0]
    none = tuple(f"No gradient reaches {layer}: it is 0 in most steps." for layer in silent)
    layers = [layer for layer, sizes in outputs.items() if sizes and _typical(sizes) > 0]
    if len(layers) < 2:
        return Finding(
            name, title, (*none, "Gradients of fewer than two layers can be compared."), told=bool(none)
        )
    inside = {layer: p for layer in layers if (p := _within(run, layer, outputs[layer])) is not None}
    between = {before: p for before, p in _between(run, outputs).items() if before in layers}
    whole = _ratio(outputs[layers[0]], outputs[layers[-1]])
    place = "the first layer that it reaches" if silent else "the first layer"
    sentences = [
        *none,
        f"An element of the gradient (root mean square, median over steps) is {_typical(outputs[layers[-1]]):.2g} at "
        f"the output of {layers[-1]} and {_typical(outputs[layers[0]]):.2g} at that of {layers[0]}, {place}: "
        f"{whole:.2g} times as large.",
    ]
    for passages, kind in ((inside, "Within a layer"), (between, "Between layers")):
        known = [p for p in passages.values() if math.isfinite(p.ratio)]
        if known:
            sentences.append(_told(min(known, key=lambda p: p.ratio), kind))
    return Finding(name, title, tuple(sentences), tuple(_rows(layers, outputs, inside, between)))


def _told(steepest: Passage, kind: str) -> str:
    change = "shrinks most" if steepest.ratio < 1 else "never shrinks, and grows least"
    more = f", spread over {steepest.spread:.3g} times as many elements" if steepest.spread > 1 else ""
    return f"{kind} it {change} on its way back {steepest.where}: to {steepest.ratio:.2g} of its size{more}."


def _rows(
    layers: list[str],
    outputs: Mapping[str, Sizes],
    inside: Mapping[str, Passage],
    between: Mapping[str, Passage],
) -> list[dict[str, Any]]:
    rows = []
    for layer in layers:
        row: dict[str, Any] = {"layer": layer, "gradient_at_output": _typical(outputs[layer])}
        if layer in inside:
            row["left_through_layer"] = inside[layer].ratio
        if layer in between:
            row["left_through_what_follows"] = between[layer].ratio
        rows.append(row)
    return rows


def _within(run: RunReader, layer: str, by_output: Sizes) -> Passage | None:
    """Through a layer, from the gradient by its output to that by its input; None if that was not recorded."""
    by_input = _sizes(run, layer, "input_gradient")
    if not by_input:
        return None
    spread = _elements(run, layer, "input_gradient") / _elements(run, layer, "output_gradient")
    return Passage(f"through {layer}", _ratio(by_input, by_output), spread)


def _between(run: RunReader, outputs: Mapping[str, Sizes]) -> dict[str, Passage]:
    """From the input of a layer to the output of the one before it, for those with operations between them, by the one
    before. Only pairs that have nothing but one another there: where paths part or meet, no one passage is to blame.
    """
    try:
        graph = run.graph()
    except MinigradError:  # there is none, or its file is missing
        return {}
    found = {}
    for before, after, names in neighbours(graph["records"], set(outputs)):
        by_input = _sizes(run, after, "input_gradient")
        if not by_input or not outputs[before]:
            continue
        spread = _elements(run, before, "output_gradient") / _elements(run, after, "input_gradient")
        where = f"from {after} to {before}, in {listed(names)}"
        found[before] = Passage(where, _ratio(outputs[before], by_input), spread)
    return found


def neighbours(records: list[Mapping[str, Any]], layers: set[str]) -> list[tuple[str, str, list[str]]]:
    """Layers one of which feeds only the other, which reads nothing else, through operations that are in no layer: (the
    one before, the one after, the operations on the way back).

    records: of a graph, see `Trace.as_dict`.
    """
    outer = {r["number"]: r for r in records if r.get("inside") is None}
    layer_of = {number: r["module"] for number, r in outer.items() if r.get("module") in layers}
    last = {layer: number for number, layer in layer_of.items()}
    first = {layer: number for number, layer in reversed(layer_of.items())}
    found = []
    for after, number in first.items():
        start = outer[number]["inputs"][0].get("parent")
        sources, passed = _reach(start, lambda n: _parents(outer[n]), layer_of, outer)
        if len(sources) != 1 or not passed:
            continue
        before = layer_of[source := sources.pop()]
        ends: set[int] = set()
        for child in outer[source]["children"]:
            ends |= _reach(child, lambda n: outer[n]["children"], layer_of, outer)[0]
        if source == last[before] and ends == {number}:
            names = [outer[n]["op"] for n in sorted(passed, reverse=True)]
            found.append((before, after, list(dict.fromkeys(names))))
    return found


def _reach(
    start: int | None, onward: Any, layer_of: Mapping[int, str], outer: Mapping[int, Any]
) -> tuple[set[int], set[int]]:
    """The layers' operations that are reached first on all ways from `start`, and the operations passed."""
    ends, passed, waiting = set[int](), set[int](), [start]
    while waiting:
        number = waiting.pop()
        if number is None or number not in outer or number in passed:
            continue
        if number in layer_of:
            ends.add(number)
        else:
            passed.add(number)
            waiting += onward(number)
    return ends, passed


def _parents(record: Mapping[str, Any]) -> list[int | None]:
    return [given.get("parent") for given in record["inputs"]]


# ------------------------------------------------ sizes


def _sizes(run: RunReader, layer: str, kind: str) -> Sizes:
    """The size of an element of a layer's gradient, by step: sqrt(mean^2 + std^2), where it is finite. Empty if it was
    not recorded."""
    if layer not in {signal.name for signal in run.signals(kind)}:
        return {}
    steps, means = run.series(layer, "mean", kind)
    _, stds = run.series(layer, "std", kind)
    sizes = np.hypot(np.asarray(means, float), np.asarray(stds, float))
    return {int(step): float(size) for step, size in zip(steps, sizes, strict=True) if np.isfinite(size)}


def _elements(run: RunReader, layer: str, kind: str) -> int:
    return next(math.prod(signal.shape) for signal in run.signals(kind) if signal.name == layer)


def _typical(sizes: Sizes) -> float:
    return float(np.median(list(sizes.values())))


def _ratio(part: Sizes, whole: Sizes) -> float:
    """The median over their common steps of one series over another; NaN if there is none to divide by."""
    ratios = [part[step] / whole[step] for step in part if whole.get(step, 0) > 0]
    return float(np.median(ratios)) if ratios else float("nan")
