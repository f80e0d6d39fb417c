"""A drawing of one directed graph in layers, from the top down, so that edges run downwards and cross little.

The steps are those of Sugiyama, Tagawa & Toda 1981 ("Methods for visual understanding of hierarchical system
structures"): layers by longest path, order within layers by barycentres, then coordinates. Coordinates are a
least-squares problem in each layer: near the neighbours above and below, no closer to each other than `SEPARATION`;
it is solved exactly, in linear time, by pooling adjacent violators (Ayer et al. 1955). A drawing that is too tall
is folded into columns where few edges are cut. `layered.js` is the same for the page.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple

from minigrad.viz.graph.folding import GAP, LANE, SEPARATION, apart, fold

BORDER_GAP, MOST_GAP = 9.0, 26.0  # between the border and the next layer; more where edges go far aside
LONGEST = 60  # layers that an edge may pass among the boxes; a longer one runs beside them
LANES = 8  # beside the boxes
FAR = 180.0  # a port so far from the middle is that of a folded box: middles are aligned then, not ports
ORDER_SWEEPS, PLACE_SWEEPS = 6, 9

Route = list[
    tuple[float, ...]
]  # the first point; then (x, y) for a line, six numbers for a Bézier curve, as in SVG


class Link(NamedTuple):
    """An edge from item `a` to item `b`, leaving and arriving `from_x`, `to_x` right of their centres."""

    a: int
    b: int
    from_x: float = 0.0
    to_x: float = 0.0


class Layered(NamedTuple):
    """Top left corners of the items, a route for each link, and the size of the whole."""

    corners: list[tuple[float, float]]
    routes: list[Route]
    width: float
    height: float


def layered(
    sizes: Sequence[tuple[float, float]],
    links: Sequence[Link],
    first: frozenset[int] = frozenset(),
    last: frozenset[int] = frozenset(),
) -> Layered:
    """Place items and route the links between them; links that close a circle run back up beside the boxes.

    sizes: width and height of each item.
    first: items that must lie above all others, and last: below all others (the ends of edges from and to outside).
    """
    position = _topological(len(sizes), links)
    down = [link for link in links if position[link.a] < position[link.b]]
    rank = _ranks(len(sizes), down, sorted(range(len(sizes)), key=position.__getitem__), first, last)
    beside = {
        i for i, link in enumerate(links)
        if position[link.a] >= position[link.b] or rank[link.b] - rank[link.a] > LONGEST
    }  # fmt: skip

    # Points at which longer edges pass a layer; edges from the same port share them
    widths, heights = [w for w, _ in sizes], [h for _, h in sizes]
    passing: dict[tuple[int, float, int], int] = {}
    steps: list[tuple[int, float, int, float, float]] = []  # from, its port, to, its port, weight
    ways: list[list[int]] = []
    fed = first.union(link.b for link in links)
    joined = Counter(link.b for link in links)
    for i, link in enumerate(links):
        way: list[int] = []
        if i not in beside:
            before, port = link.a, link.from_x
            for r in range(rank[link.a] + 1, rank[link.b]):
                key = (link.a, link.from_x, r)
                if key not in passing:
                    passing[key] = len(widths)
                    widths.append(4.0)
                    heights.append(0.0)
                    rank.append(r)
                    steps.append((before, port, passing[key], 0.0, 8.0 if before >= len(sizes) else 1.0))
                before, port = passing[key], 0.0
                way.append(before)
            # Chains shall be straight: neither an edge that goes round nor a tensor from outside may bend them
            firm = link.a in fed or joined[link.b] == 1
            steps.append((before, port, link.b, link.to_x, 1.0 if way else 60.0 if firm else 3.0))
        ways.append(way)

    layers: list[list[int]] = [[] for _ in range(max(rank, default=-1) + 1)]
    for vertex, r in enumerate(rank):
        layers[r].append(vertex)
    above: list[list[tuple[int, float, float]]] = [[] for _ in rank]  # neighbour, how far right of it, weight
    below: list[list[tuple[int, float, float]]] = [[] for _ in rank]
    for u, from_x, v, to_x, weight in steps:
        from_x, to_x = (0.0 if abs(port) > FAR else port for port in (from_x, to_x))
        above[v].append((u, from_x - to_x, weight))
        below[u].append((v, to_x - from_x, weight))
    _order(layers, above, below, position)
    x = _place(layers, above, below, widths)
    tops, bottoms, y = [], [], 0.0
    aside = [0.0] * len(layers)
    for u, from_x, v, to_x, _ in steps:
        aside[rank[u]] = max(aside[rank[u]], abs(x[u] + from_x - x[v] - to_x))
    for r, layer in enumerate(layers):
        tops.append(y)
        bottoms.append(y + max(heights[v] for v in layer))
        plain = r + 1 < len(layers) and max(heights[v] for v in layers[r + 1]) > 0 and bottoms[r] > tops[r]
        y = bottoms[-1] + (GAP if plain else BORDER_GAP) + min(MOST_GAP, aside[r] / 7)
    column = [0] * len(layers)
    if not beside:
        column = fold(layers, tops, bottoms, x, widths, [(rank[u], u, from_x) for u, from_x, *_ in steps])
    lefts, width = apart(layers, column, tops, bottoms, x, widths, real=len(sizes))

    # A source stands just above what reads it
    low = {i for i in range(len(sizes)) if not above[i] and below[i] and i not in first}
    tops_of = [bottoms[rank[i]] - h if i in low else tops[rank[i]] for i, (_, h) in enumerate(sizes)]
    corners = [(x[i] - w / 2, tops_of[i]) for i, (w, _) in enumerate(sizes)]

    routes: list[Route] = []
    lanes: dict[tuple[int, object], int] = {}

    def lane(column: int, key: object) -> float:
        """Left of that column, or right of all; one for each source."""
        place = LANE * (1 + lanes.setdefault((column, key), sum(c == column for c, _ in lanes)) % LANES)
        return lefts[column] - place if column < len(lefts) else width + place

    for i, link in enumerate(links):
        start = (x[link.a] + link.from_x, tops_of[link.a] + heights[link.a])
        end = (x[link.b] + link.to_x, tops_of[link.b])
        route: Route = [start, (start[0], bottoms[rank[link.a]])]
        if i in beside:
            _beside(route, end, lane(len(lefts), i))
            routes.append(route)
            continue
        before = rank[link.a]
        for v in (*ways[i], link.b):
            goal = end if v == link.b else (x[v], tops[rank[v]])
            if column[rank[v]] == column[before]:
                _curve(route, goal)
            else:
                _beside(route, goal, lane(column[rank[v]], (link.a, link.from_x)))
            if v != link.b:
                route.append((x[v], bottoms[rank[v]]))
            before = rank[v]
        routes.append(route)
    outer = sum(c == len(lefts) for c, _ in lanes)
    width += LANE * (min(outer, LANES) + 1) if outer else 0.0
    return Layered(corners, routes, width, max(bottoms, default=0.0) + (GAP if len(lefts) > 1 else 0.0))


def _curve(route: Route, end: tuple[float, float]) -> None:
    """Go on to `end`, leaving and arriving vertically."""
    x, y = route[-1][-2:]
    middle = (y + end[1]) / 2
    route.append(end if abs(x - end[0]) < 0.5 else (x, middle, end[0], middle, *end))


def _beside(route: Route, end: tuple[float, float], lane: float) -> None:
    """Go on to `end`: out to the lane below, along it, and in again above the end."""
    x, y = route[-1][-2:]
    half = GAP / 2
    if end[1] - half >= y + half:
        route += [(x, y + half, lane, y, lane, y + half), (lane, end[1] - half)]
        route.append((lane, end[1], end[0], end[1] - half, *end))
    else:
        route += [(x, y + 1.5 * half, lane, y + 1.5 * half, lane, y), (lane, end[1])]
        route.append((lane, end[1] - 1.5 * half, end[0], end[1] - 1.5 * half, *end))


def _topological(n: int, links: Sequence[Link]) -> list[int]:
    """A place for each item, so that links lead to later places; a circle is opened at its smallest number."""
    waits = [0] * n
    after: list[list[int]] = [[] for _ in range(n)]
    for link in links:
        if link.a != link.b:
            after[link.a].append(link.b)
            waits[link.b] += 1
    place, count, smallest = [-1] * n, 0, 0
    ready = deque(i for i in range(n) if not waits[i])
    while count < n:
        if ready:
            item = ready.popleft()
        else:  # a circle: open it at the smallest number that is left
            while place[smallest] >= 0:
                smallest += 1
            item = smallest
        if place[item] >= 0:
            continue
        place[item] = count
        count += 1
        for other in after[item]:
            waits[other] -= 1
            if not waits[other] and place[other] < 0:
                ready.append(other)
    return place


def _ranks(
    n: int, down: Sequence[Link], order: Sequence[int], first: frozenset[int], last: frozenset[int]
) -> list[int]:
    """The layer of each item: one below the lowest it depends on; sources just above what reads them."""
    after: list[list[int]] = [[] for _ in range(n)]
    has_above = [False] * n
    for link in down:
        after[link.a].append(link.b)
        has_above[link.b] = True
    rank = [0 if i in first or not first else 1 for i in range(n)]
    for item in order:
        for other in after[item]:
            rank[other] = max(rank[other], rank[item] + 1)
    for item in range(n):
        if not has_above[item] and item not in first and after[item]:
            rank[item] = min(rank[other] for other in after[item]) - 1
    inner = max((rank[i] for i in range(n) if i not in last), default=-1)
    for item in last:
        rank[item] = inner + 1
    used = {r: i for i, r in enumerate(sorted(set(rank)))}  # no layer stays empty
    return [used[r] for r in rank]


def _order(
    layers: list[list[int]],
    above: list[list[tuple[int, float, float]]],
    below: list[list[tuple[int, float, float]]],
    position: list[int],
) -> None:
    """Sort each layer by the mean place of the neighbours in the layer before, down and up again by turns."""
    place = [0.0] * len(above)
    for layer in layers:  # items as they ran; passing edges to their right
        layer.sort(key=lambda v: position[v] if v < len(position) else len(position) + v)
        _number(layer, place)
    for sweep in range(ORDER_SWEEPS):
        neighbours = below if sweep % 2 else above
        for layer in reversed(layers) if sweep % 2 else layers:
            if len(layer) > 1:
                mean = {
                    v: sum(place[u] for u, _, _ in neighbours[v]) / len(neighbours[v])
                    if neighbours[v]
                    else place[v]
                    for v in layer
                }
                layer.sort(key=mean.__getitem__)
                _number(layer, place)


def _number(layer: list[int], place: list[float]) -> None:
    for i, v in enumerate(layer):
        place[v] = i - (len(layer) - 1) / 2


def _place(
    layers: list[list[int]],
    above: list[list[tuple[int, float, float]]],
    below: list[list[tuple[int, float, float]]],
    widths: list[float],
) -> list[float]:
    """The centre of each vertex: where its neighbours pull it, as far as the others in its layer let it."""
    x = [0.0] * len(widths)
    for layer in layers:
        reach = 0.0
        for v in layer:
            x[v] = reach + widths[v] / 2
            reach += widths[v] + SEPARATION
        for v in layer:
            x[v] -= (reach - SEPARATION) / 2
    for sweep in range(PLACE_SWEEPS):
        downwards = sweep % 2 == 0
        neighbours = above if downwards else below
        for layer in layers if downwards else reversed(layers):
            wanted, weights = [], []
            for v in layer:
                total = sum(weight for _, _, weight in neighbours[v])
                pulled = sum(weight * (x[u] + shift) for u, shift, weight in neighbours[v])
                wanted.append(pulled / total if total else x[v])
                weights.append(total or 0.1)
            for v, value in zip(layer, spread(wanted, weights, [widths[v] for v in layer])):
                x[v] = value
    return x


def spread(wanted: Sequence[float], weights: Sequence[float], widths: Sequence[float]) -> list[float]:
    """Centres in the given order that do not overlap, with the smallest weighted sum of squared distances to `wanted`.

    >>> spread([0.0, 0.0], [1.0, 1.0], [10.0, 10.0])
    [-18.0, 18.0]
    """
    shifts, shift = [], 0.0
    for i, width in enumerate(widths):
        shift += (width + widths[i - 1]) / 2 + SEPARATION if i else 0.0
        shifts.append(shift)
    pools: list[list[float]] = []  # mean, weight, members: pooled while out of order
    for target, weight, moved in zip(wanted, weights, shifts):
        pools.append([target - moved, weight, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, weight, members = pools.pop()
            before = pools[-1]
            total = before[1] + weight
            pools[-1] = [(before[0] * before[1] + mean * weight) / total, total, before[2] + members]
    means = [mean for mean, _, members in pools for _ in range(int(members))]
    return [mean + moved for mean, moved in zip(means, shifts)]
