"""The boxes of a graph: modules within modules, and in them the operations, as a trace's records lie in its modules.

A module is a box around what ran in it. Boxes that would say nothing are left out:
- a module in which a single operation ran *is* that operation's box, with the module's name;
- a module of one operation that was called several times (one activation, used twice) is a box for each call.
A composite whose parts were recorded is a box around them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from minigrad.viz.graph.data import main_shape, parents, shape_text

READABLE = 44  # boxes that a page opens with, at most
MOST_INPUTS = 12  # more tensors from outside than this are not drawn as boxes of their own


@dataclass
class Box:
    """One box. `kind` is "module", "op" or "input"; `number` its place in the list of all boxes.

    title:    the name to show; subtitle: the module's class, or the operation; detail: a shape.
    path:     of the module it is, or lies in; None outside of any.
    record:   an operation's record.
    children: the boxes within, in the order in which they first ran.
    calls:    numbers of the records in it, parts of composites left out.
    reads:    for an input: the records that read it.
    """

    kind: str
    title: str
    subtitle: str = ""
    detail: str = ""
    path: str | None = None
    record: int | None = None
    parent: Box | None = None
    number: int = -1
    children: list[Box] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)

    def walk(self) -> Iterator[Box]:
        """This box and all within, outer ones first."""
        waiting = [self]
        while waiting:
            box = waiting.pop()
            yield box
            waiting.extend(reversed(box.children))


def box_tree(data: Mapping[str, Any]) -> Box:
    """The tree of boxes of a trace; its root stands for everything and is not drawn."""
    records, classes = data["records"], data.get("modules", {})
    root = Box("module", "", path=None)
    modules: dict[str, Box] = {}
    of_record: dict[int, Box] = {}
    for record in records:
        name = record["module"]
        box = Box("op", record["op"], record["name"], main_shape(record), path=name, record=record["number"])
        of_record[record["number"]] = box
        if record["inside"] is not None:
            home = of_record[record["inside"]]
        else:
            home = root if name is None else _module(name, modules, root, classes)
            box.calls = [record["number"]]
        home.children.append(box)
    flows = {(parent, record["number"]) for record in records for parent in parents(record)}
    for child in list(root.children):
        _simplify(child, flows)
    root.children[:0] = _inputs(records)
    for number, box in enumerate(root.walk()):
        box.number = number
        for child in box.children:
            child.parent = box
    for box in reversed(list(root.walk())):
        if box.kind == "module":
            box.calls = sorted(number for child in box.children for number in child.calls)
            box.detail = main_shape(records[box.calls[-1]]) if box.calls else ""
    return root


def _module(path: str, modules: dict[str, Box], root: Box, classes: Mapping[str, str]) -> Box:
    """The box of a module, made with those around it when first asked for."""
    if path not in modules:
        if path == "":
            home, title = root, classes.get("", "") or "model"
        else:
            above, _, title = path.rpartition(".")
            home = _module(above, modules, root, classes)
        subtitle = "" if path == "" else classes.get(path, "")
        modules[path] = Box("module", title, subtitle, path=path)
        home.children.append(modules[path])
    return modules[path]


def _simplify(top: Box, flows: set[tuple[int, int]]) -> None:
    """Leave out modules that say nothing; see the module's docstring. From the inside out."""
    for box in reversed(list(top.walk())):
        kept: list[Box] = []
        for child in box.children:
            kept += _without_empty(child, flows)
        box.children = kept


def _without_empty(box: Box, flows: set[tuple[int, int]]) -> list[Box]:
    inside = box.children
    if box.kind != "module" or any(child.kind != "op" for child in inside):
        return [box]
    numbers = [child.record for child in inside]
    operations = {child.title if child.path == box.path else None for child in inside}
    one_by_one = len(operations) == 1 and None not in operations
    connected = (
        any((a, b) in flows for a in numbers for b in numbers) if 1 < len(numbers) < 9 else len(numbers) > 1
    )
    if len(inside) > 1 and (not one_by_one or connected):
        return [box]
    for i, child in enumerate(inside, start=1):
        own = child.path == box.path  # else it stands for a module further in, and bears its name
        operation = child.title if own else child.subtitle
        child.title = box.title if own else f"{box.title}.{child.title}"
        child.title += f" (call {i})" if len(inside) > 1 else ""
        child.subtitle = operation
    return inside


def _inputs(records: list[Mapping[str, Any]]) -> list[Box]:
    """Boxes for the tensors that come from outside and are no parameters, unless they are many."""
    found: dict[int, Box] = {}
    for record in records:
        for source in record["inputs"]:
            outside = source.get("parent") is None and not source.get("parameter")
            if record["inside"] is None and outside and "tensor" in source:
                box = found.setdefault(
                    source["tensor"],
                    Box("input", source["name"], source["dtype"], shape_text(source["shape"])),
                )
                box.reads.append(record["number"])
    return list(found.values()) if len(found) <= MOST_INPUTS else []


def opened(root: Box, most: int = READABLE) -> set[int]:
    """Numbers of the module boxes to open so that at most about `most` boxes are seen: level by level, from outside."""
    result: set[int] = set()
    seen = len(root.children)
    level = deque(root.children)
    while level:
        modules = [box for box in level if box.kind == "module"]
        after = seen + sum(len(box.children) - 1 for box in modules)
        if not modules or (after > most and result):
            break
        result |= {box.number for box in modules}
        seen = after
        level = deque(child for box in modules for child in box.children)
    return result


def opened_to(root: Box, depth: int | None) -> set[int]:
    """Numbers of the module boxes down to that depth: 0 opens none, 1 the outermost, None all."""
    result: set[int] = set()
    level = [box for box in root.children if box.kind == "module"]
    while level and (depth is None or depth > 0):
        result |= {box.number for box in level}
        level = [child for box in level for child in box.children if child.kind == "module"]
        depth = None if depth is None else depth - 1
    return result


def visible_edges(root: Box, records: list[Mapping[str, Any]], is_open: set[int]) -> list[tuple[Box, Box]]:
    """Data flow between the boxes that can be seen when the modules `is_open` are open, each pair once."""
    shown: dict[int, Box] = {}  # the box that stands for a record

    waiting: list[tuple[Box, Box | None]] = [(box, None) for box in root.children]
    inputs = []
    while waiting:
        box, closed = waiting.pop()
        closed = closed or (None if box.kind == "module" and box.number in is_open else box)
        if box.record is not None and closed is not None:
            shown[box.record] = closed
        if box.kind == "input":
            inputs.append(box)
        waiting += [(child, closed) for child in box.children]
    edges: dict[tuple[int, int], tuple[Box, Box]] = {}
    for box in inputs:
        for number in box.reads:
            edges[box.number, shown[number].number] = (box, shown[number])
    for record in records:
        target = shown[record["number"]]
        for parent in parents(record):
            source = shown[parent]
            if source is not target:
                edges[source.number, target.number] = (source, target)
    return list(edges.values())
