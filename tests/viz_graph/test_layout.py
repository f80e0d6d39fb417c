"""The layered layout: nothing overlaps, data flow downwards, and size costs little."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.viz.graph.folding import SEPARATION
from minigrad.viz.graph.layered import Link, layered, spread
from minigrad.viz.graph.layout import draw
from minigrad.viz.graph.tree import box_tree, opened, opened_to, visible_edges
from tests.viz_graph.traces import large, random_trace, resnet


def overlapping(rectangles) -> list[tuple[int, int]]:
    """Pairs of rectangles (x, y, width, height) that share more than a rounding."""
    at = np.array(list(rectangles))
    if not len(at):
        return []
    left, top, right, bottom = at[:, 0], at[:, 1], at[:, 0] + at[:, 2], at[:, 1] + at[:, 3]
    apart = (right[:, None] <= left + 0.01) | (bottom[:, None] <= top + 0.01)
    return [(i, j) for i, j in zip(*np.nonzero(~(apart | apart.T))) if i < j]


@given(st.data())
def test_items_of_any_graph_lie_apart(data):
    n = data.draw(st.integers(1, 25))
    sizes = [(data.draw(st.floats(10, 300)), data.draw(st.floats(10, 90))) for _ in range(n)]
    ends = st.integers(0, n - 1)
    links = [Link(a, b) for a, b in data.draw(st.lists(st.tuples(ends, ends), max_size=60)) if a != b]
    drawing = layered(sizes, links)
    at = [(x, y, w, h) for (x, y), (w, h) in zip(drawing.corners, sizes)]
    assert not overlapping(at)
    assert all(
        x >= -0.01 and x + w <= drawing.width + 0.01 and y + h <= drawing.height + 0.01 for x, y, w, h in at
    )
    for link, route in zip(links, drawing.routes):
        (x, y, w, h), (x2, y2, w2, _) = at[link.a], at[link.b]
        assert route[0] == pytest.approx((x + w / 2, y + h))
        assert route[-1][-2:] == pytest.approx((x2 + w2 / 2, y2))


def test_data_flow_downwards_within_a_column():
    sizes = [(100.0, 40.0)] * 4
    drawing = layered(sizes, [Link(0, 1), Link(1, 2), Link(0, 2), Link(2, 3)])
    ys = [y for _, y in drawing.corners]
    assert ys == sorted(set(ys))
    centres = [x + 50 for x, _ in drawing.corners]
    assert max(centres) - min(centres) < 5, "the chain is straight; the shortcut goes round it"


def test_spread_is_the_least_squares_solution(rng):
    from scipy.optimize import minimize

    wanted, weights, widths = rng.normal(0, 60, 6), rng.uniform(0.5, 3, 6), rng.uniform(10, 50, 6)
    apart = (widths[1:] + widths[:-1]) / 2 + SEPARATION
    best = minimize(
        lambda x: np.sum(weights * (x - wanted) ** 2),
        np.arange(6) * 90.0,
        constraints={"type": "ineq", "fun": lambda x: np.diff(x) - apart},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert spread(list(wanted), list(weights), list(widths)) == pytest.approx(best.x, abs=1e-2)


@pytest.mark.parametrize("seed", range(12))
def test_boxes_lie_within_their_modules_and_beside_each_other(seed):
    data = random_trace(np.random.default_rng(seed), 60)
    root = box_tree(data)
    is_open = opened(root, 30) if seed % 2 else opened_to(root, None)
    drawing = draw(root, visible_edges(root, data["records"], is_open), is_open)
    at = drawing.rectangles
    for box in root.walk():
        inner = [child for child in box.children if child.number in at]
        assert not overlapping(at[child.number] for child in inner)
        if box.number in drawing.opened:
            x, y, width, height = at[box.number]
            for child in inner:
                cx, cy, cw, ch = at[child.number]
                assert x < cx
                assert y < cy
                assert cx + cw < x + width
                assert cy + ch < y + height


def test_every_flow_of_data_is_drawn_to_its_end():
    data = resnet()
    root = box_tree(data)
    is_open = opened_to(root, None)
    edges = visible_edges(root, data["records"], is_open)
    drawing = draw(root, edges, is_open)
    arriving = {(source, route[-1][-2:]) for route, source, arrives in drawing.routes if arrives}
    for source, target in edges:
        x, y, width, _ = drawing.rectangles[target.number]
        assert any(s == source.number and end == pytest.approx((x + width / 2, y)) for s, end in arriving)


def test_three_thousand_operations_take_seconds_at_most():
    data = large(3000)
    assert len(data["records"]) >= 3000
    since = time.perf_counter()
    root = box_tree(data)
    is_open = opened_to(root, None)
    drawing = draw(root, visible_edges(root, data["records"], is_open), is_open)
    assert len(drawing.rectangles) >= 3000
    assert time.perf_counter() - since < 10
