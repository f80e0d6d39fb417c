// A drawing of one directed graph in layers, from the top down. The same steps as layered.py, where they are explained.

const BORDER_GAP = 9, MOST_GAP = 26, LONGEST = 60, LANES = 8, FAR = 180, ORDER_SWEEPS = 6, PLACE_SWEEPS = 9;

// sizes: [width, height] of each item; links: [a, b, from_x, to_x]; top and bottom: sets of items above or below all others
function layered(sizes, links, top, bottom) {
  const n = sizes.length;
  const position = topological(n, links);
  const down = links.filter(([a, b]) => position[a] < position[b]);
  const order = [...sizes.keys()].sort((a, b) => position[a] - position[b]);
  const rank = ranks(n, down, order, top, bottom);
  const isBeside = ([a, b]) => position[a] >= position[b] || rank[b] - rank[a] > LONGEST;

  const widths = sizes.map((s) => s[0]), heights = sizes.map((s) => s[1]);
  const passing = new Map(), steps = [], ways = [], fed = new Set([...top, ...links.map((link) => link[1])]), joined = new Array(n).fill(0);
  for (const [, b] of links) joined[b] += 1;
  for (const link of links) {
    const [a, b, fromX, toX] = link, way = [];
    if (!isBeside(link)) {
      let before = a, port = fromX;
      for (let r = rank[a] + 1; r < rank[b]; r += 1) {
        const key = `${a} ${fromX} ${r}`;
        if (!passing.has(key)) {
          passing.set(key, widths.length);
          widths.push(4); heights.push(0); rank.push(r);
          steps.push([before, port, widths.length - 1, 0, before >= n ? 8 : 1]);
        }
        before = passing.get(key); port = 0;
        way.push(before);
      }
      const firm = fed.has(a) || joined[b] === 1;
      steps.push([before, port, b, toX, before >= n ? 1 : firm ? 60 : 3]);
    }
    ways.push(way);
  }

  const layers = [];
  rank.forEach((r, vertex) => (layers[r] ??= []).push(vertex));
  const above = rank.map(() => []), below = rank.map(() => []);
  for (const [u, fromPort, v, toPort, weight] of steps) {
    const [fromX, toX] = [fromPort, toPort].map((port) => (Math.abs(port) > FAR ? 0 : port)); // not the ports of folded boxes
    above[v].push([u, fromX - toX, weight]);
    below[u].push([v, toX - fromX, weight]);
  }
  sortLayers(layers, above, below, position);
  const x = placed(layers, above, below, widths);
  const tops = [], bottoms = [], aside = layers.map(() => 0);
  for (const [u, fromX, v, toX] of steps) aside[rank[u]] = Math.max(aside[rank[u]], Math.abs(x[u] + fromX - x[v] - toX));
  const tallest = layers.map((layer) => Math.max(...layer.map((v) => heights[v])));
  let y = 0;
  layers.forEach((layer, r) => {
    tops.push(y);
    bottoms.push(y + tallest[r]);
    const plain = r + 1 < layers.length && tallest[r + 1] > 0 && tallest[r] > 0;
    y = bottoms[r] + (plain ? GAP : BORDER_GAP) + Math.min(MOST_GAP, aside[r] / 7);
  });
  const isFolded = !links.some(isBeside);
  const column = isFolded ? fold(layers, tops, bottoms, x, widths, steps, rank) : layers.map(() => 0);
  const { lefts, width: inner } = apart(layers, column, tops, bottoms, x, widths, n);
  let width = inner;

  const topOf = sizes.map(([, h], i) => (!above[i].length && below[i].length && !top.has(i) ? bottoms[rank[i]] - h : tops[rank[i]]));
  const corners = sizes.map(([w], i) => [x[i] - w / 2, topOf[i]]);
  const lanes = lefts.map(() => new Map());
  lanes.push(new Map());
  const lane = (at, key) => {
    if (!lanes[at].has(key)) lanes[at].set(key, lanes[at].size);
    const place = LANE * (1 + (lanes[at].get(key) % LANES));
    return at < lefts.length ? lefts[at] - place : width + place;
  };
  const routes = links.map((link, i) => {
    const [a, b, fromX, toX] = link;
    const start = [x[a] + fromX, topOf[a] + heights[a]], end = [x[b] + toX, topOf[b]];
    const route = [start, [start[0], bottoms[rank[a]]]];
    if (isBeside(link)) {
      besides(route, end, lane(lefts.length, i));
      return route;
    }
    let before = rank[a];
    for (const v of [...ways[i], b]) {
      const goal = v === b ? end : [x[v], tops[rank[v]]];
      if (column[rank[v]] === column[before]) curve(route, goal);
      else besides(route, goal, lane(column[rank[v]], `${a} ${fromX}`));
      if (v !== b) route.push([x[v], bottoms[rank[v]]]);
      before = rank[v];
    }
    return route;
  });
  const outer = lanes[lefts.length].size;
  if (outer) width += LANE * (Math.min(outer, LANES) + 1);
  return { corners, routes, width, height: Math.max(0, ...bottoms) + (lefts.length > 1 ? GAP : 0) };
}

function curve(route, end) {
  const [x, y] = route.at(-1).slice(-2), middle = (y + end[1]) / 2;
  route.push(Math.abs(x - end[0]) < 0.5 ? end : [x, middle, end[0], middle, ...end]);
}

// Go on to `end`: out to the lane below, along it, and in again above the end
function besides(route, end, lane) {
  const [x, y] = route.at(-1).slice(-2), half = GAP / 2, far = 1.5 * half;
  if (end[1] - half >= y + half) {
    route.push([x, y + half, lane, y, lane, y + half], [lane, end[1] - half], [lane, end[1], end[0], end[1] - half, ...end]);
  } else {
    route.push([x, y + far, lane, y + far, lane, y], [lane, end[1]], [lane, end[1] - far, end[0], end[1] - far, ...end]);
  }
}

function topological(n, links) {
  const waits = new Array(n).fill(0), after = Array.from({ length: n }, () => []);
  for (const [a, b] of links) if (a !== b) { after[a].push(b); waits[b] += 1; }
  const place = new Array(n).fill(-1), ready = [];
  for (let i = 0; i < n; i += 1) if (!waits[i]) ready.push(i);
  for (let count = 0, next = 0, smallest = 0; count < n;) {
    let item;
    if (next < ready.length) item = ready[next++];
    else { // a circle: open it at the smallest number that is left
      while (place[smallest] >= 0) smallest += 1;
      item = smallest;
    }
    if (place[item] >= 0) continue;
    place[item] = count++;
    for (const other of after[item]) {
      waits[other] -= 1;
      if (!waits[other] && place[other] < 0) ready.push(other);
    }
  }
  return place;
}

function ranks(n, down, order, top, bottom) {
  const after = Array.from({ length: n }, () => []), hasAbove = new Array(n).fill(false);
  for (const [a, b] of down) { after[a].push(b); hasAbove[b] = true; }
  const rank = order.map((_, i) => (top.has(i) || !top.size ? 0 : 1));
  for (const item of order) for (const other of after[item]) rank[other] = Math.max(rank[other], rank[item] + 1);
  for (let i = 0; i < n; i += 1) {
    if (!hasAbove[i] && !top.has(i) && after[i].length) rank[i] = Math.min(...after[i].map((other) => rank[other])) - 1;
  }
  let inner = -1;
  rank.forEach((r, i) => { if (!bottom.has(i)) inner = Math.max(inner, r); });
  for (const item of bottom) rank[item] = inner + 1;
  const used = new Map([...new Set(rank)].sort((a, b) => a - b).map((r, i) => [r, i]));
  return rank.map((r) => used.get(r));
}

function sortLayers(layers, above, below, position) {
  const place = new Array(above.length).fill(0), n = position.length;
  const renumber = (layer) => layer.forEach((v, i) => { place[v] = i - (layer.length - 1) / 2; });
  const at = (v) => (v < n ? position[v] : n + v);
  for (const layer of layers) { layer.sort((u, v) => at(u) - at(v)); renumber(layer); }
  const mean = (v, near) => (near.length ? near.reduce((total, [u]) => total + place[u], 0) / near.length : place[v]);
  for (let sweep = 0; sweep < ORDER_SWEEPS; sweep += 1) {
    const near = sweep % 2 ? below : above;
    for (const layer of sweep % 2 ? [...layers].reverse() : layers) {
      if (layer.length < 2) continue;
      const wanted = new Map(layer.map((v) => [v, mean(v, near[v])]));
      layer.sort((u, v) => wanted.get(u) - wanted.get(v));
      renumber(layer);
    }
  }
}

function placed(layers, above, below, widths) {
  const x = new Array(widths.length).fill(0);
  for (const layer of layers) {
    let reach = 0;
    for (const v of layer) { x[v] = reach + widths[v] / 2; reach += widths[v] + SEPARATION; }
    for (const v of layer) x[v] -= (reach - SEPARATION) / 2;
  }
  for (let sweep = 0; sweep < PLACE_SWEEPS; sweep += 1) {
    const near = sweep % 2 ? below : above;
    for (const layer of sweep % 2 ? [...layers].reverse() : layers) {
      const wanted = [], weights = [];
      for (const v of layer) {
        let total = 0, pulled = 0;
        for (const [u, shift, weight] of near[v]) { total += weight; pulled += weight * (x[u] + shift); }
        wanted.push(total ? pulled / total : x[v]);
        weights.push(total || 0.1);
      }
      spread(wanted, weights, layer.map((v) => widths[v])).forEach((value, i) => { x[layer[i]] = value; });
    }
  }
  return x;
}

// Centres in the given order that do not overlap, as near to those wanted as can be
function spread(wanted, weights, widths) {
  const shifts = [];
  widths.forEach((width, i) => shifts.push(i ? shifts[i - 1] + (width + widths[i - 1]) / 2 + SEPARATION : 0));
  const pools = [];
  wanted.forEach((target, i) => {
    pools.push([target - shifts[i], weights[i], 1]);
    while (pools.length > 1 && pools.at(-2)[0] > pools.at(-1)[0]) {
      const [mean, weight, members] = pools.pop(), before = pools.at(-1), total = before[1] + weight;
      pools[pools.length - 1] = [(before[0] * before[1] + mean * weight) / total, total, before[2] + members];
    }
  });
  let i = 0;
  return pools.flatMap(([mean, , members]) => Array.from({ length: members }, () => mean + shifts[i++]));
}
