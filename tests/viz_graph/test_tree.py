"""Boxes stand for modules and operations as a reader would name them; bad input is refused at once."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from minigrad.errors import ArgumentError
from minigrad.viz.graph import graph_page, to_dot, to_svg, write_graph_page
from minigrad.viz.graph.tree import box_tree, opened, visible_edges
from tests.viz_graph.test_layout import overlapping
from tests.viz_graph.traces import Maker, resnet

SVG = "{http://www.w3.org/2000/svg}"


def titles(root) -> list[str]:
    return [box.title for box in root.walk()]


def test_a_module_of_one_operation_is_that_operation():
    root = box_tree(resnet())
    (model,) = (box for box in root.children if box.kind == "module")
    assert [box.title for box in model.children] == [
        "conv1", "maxpool", "layer1", "layer2", "layer3", "layer4", "adaptive_avg_pool2d", "reshape", "fc",
    ]  # fmt: skip
    block = model.children[2].children[0]
    assert [(box.kind, box.title, box.subtitle) for box in block.children] == [
        ("op", "downsample.0", "conv_bn_act"), ("op", "conv1", "conv_bn_act"), ("op", "conv2", "conv_bn_act"),
        ("op", "conv3", "conv_bn_act"),
    ]  # fmt: skip
    assert len(model.calls) == 57


def test_a_module_called_twice_is_a_box_for_each_call():
    m = Maker()
    x = m.add("linear", [], [2, 3], "a", others=[m.outside("x", [2, 3])])
    x = m.add("relu", [x], [2, 3], "act")
    x = m.add("linear", [x], [2, 3], "b")
    m.add("relu", [x], [2, 3], "act")
    assert titles(box_tree(m.trace()))[3:] == ["a", "act (call 1)", "act (call 2)", "b"]


def test_a_resnet_opens_at_its_blocks():
    data = resnet(parts=True)
    root = box_tree(data)
    is_open = opened(root)
    paths = {box.path for box in root.walk() if box.number in is_open}
    assert paths == {"", "layer1", "layer2", "layer3", "layer4"}
    seen = {box.title for edge in visible_edges(root, data["records"], is_open) for box in edge}
    assert {"0", "1", "5", "x", "target", "cross_entropy"} <= seen


def broken(change):
    data = resnet((1,))
    change(data)
    return data


@pytest.mark.parametrize(
    "data, message",
    [
        (3, "a trace is wanted"),
        ({}, "format"),
        (broken(lambda d: d.update(format="other")), "format"),
        (broken(lambda d: d["records"][2].update(number=7)), "numbered by position"),
        (broken(lambda d: d["records"][2]["inputs"][0].update(parent=99)), "names 99 as its parent"),
        (broken(lambda d: d["records"][2].update(inside=2)), "inside record 2"),
    ],
)
def test_what_is_no_trace_is_refused(data, message, tmp_path):
    for function in (graph_page, to_dot, lambda d: to_svg(d, tmp_path / "x.svg")):
        with pytest.raises(ArgumentError, match=message):
            function(data)


def test_an_object_with_as_dict_will_do(tmp_path):
    class Given:
        def as_dict(self):
            return resnet((1,))

    assert write_graph_page(Given(), tmp_path / "page.html").read_text("utf-8") == graph_page(resnet((1,)))


# ------------------------------------------------ SVG


@pytest.mark.parametrize("depth", [0, 1, 2, None])
def test_svg_is_well_formed_and_its_boxes_lie_apart_within_it(depth, tmp_path):
    tree = ET.parse(to_svg(resnet(), tmp_path / "graph.svg", depth=depth, title="a < b & c"))
    root = tree.getroot()
    _, _, width, height = map(float, root.get("viewBox").split())
    (group,) = root.iter(f"{SVG}g")
    dx, dy = map(float, re.findall(r"[\d.]+", group.get("transform")))
    rects = [r for r in group.iter(f"{SVG}rect") if r.get("data-box")]
    at = [
        tuple(float(r.get(k)) for k in ("x", "y", "width", "height"))
        for r in rects
        if r.get("class") != "module"
    ]
    assert len(at) == {0: 4, 1: 12, 2: 24, None: 60}[depth]
    assert not overlapping(at)
    assert min(min(x + dx, y + dy) for x, y, _, _ in at) >= 0
    assert max(x + w + dx for x, _, w, _ in at) <= width
    assert max(y + h + dy for _, y, _, h in at) <= height
    assert root.find(f"{SVG}title").text == "a < b & c"


def test_svg_of_nothing_and_of_odd_names(tmp_path):
    ET.parse(to_svg(Maker().trace(), tmp_path / "empty.svg"))
    m = Maker()
    m.add("relu", [], [2], 'a"<b>&\x00\x0b\ud7ff', others=[m.outside("<x>", [2])])
    text = " ".join(e.text or "" for e in ET.parse(to_svg(m.trace(), tmp_path / "odd.svg")).iter())
    assert '"<b>&' in text
    with pytest.raises(ArgumentError, match="depth"):
        to_svg(m.trace(), tmp_path / "x.svg", depth=-1)


# ------------------------------------------------ DOT


def test_dot_has_a_cluster_for_each_module_and_every_edge():
    text = to_dot(resnet())
    assert text.count("subgraph cluster") == 1 + 4 + 16
    nodes = set(re.findall(r"^ *(box\d+) \[label=", text, re.M))
    edges = re.findall(r"^  (box\d+) -> (box\d+);$", text, re.M)
    assert len(nodes) == 60
    assert {end for edge in edges for end in edge} == nodes
    # each block is read by its first layers, its last layer, and so on: 58 operations, 16 shortcuts, 2 inputs
    assert len(edges) == len(set(edges)) == 75


def test_dot_quotes_any_name():
    m = Maker()
    m.add("relu", [], [2], 'end"];\n} evil [\\', others=[m.outside("x", [2])])
    m.add("relu", [0], [2], 'end"];\n} evil [\\')
    lines = to_dot(m.trace()).splitlines()
    assert lines[-1] == "}"
    assert sum("evil" in line for line in lines) >= 1
    for line in lines:  # outside of quoted strings nothing of the name is left
        assert "evil" not in re.sub(r'"(?:[^"\\]|\\.)*"', "", line)
