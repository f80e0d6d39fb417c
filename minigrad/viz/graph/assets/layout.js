// Where the boxes lie, boxes within boxes, and how edges run between them. The same steps as layout.py.

const WIDTH = 236, HEIGHT = 44, INPUT_WIDTH = 180, INPUT_HEIGHT = 30, HEADER = 30, PADDING = 16;

// rectangles: [x, y, width, height] by box; routes: {route, source, ends, arrives}, where `ends` are the edges' last boxes
function layoutOf(edges) {
  const inside = new Map([[ROOT, newInside()]]);
  for (const number of isOpen) inside.set(number, newInside());
  for (const [source, target] of edges) split(source, target, inside);
  const shown = [ROOT];
  for (const number of shown) {
    inside.get(number).items = boxes[number].children;
    shown.push(...boxes[number].children.filter((child) => isOpen.has(child)));
  }
  for (const number of [...shown].reverse()) drawOne(number, inside);
  const drawing = { width: inside.get(ROOT).width, height: inside.get(ROOT).height, rectangles: new Map(), routes: [], opened: shown.slice(1) };
  const corners = new Map([[ROOT, [0, 0]]]);
  for (const number of shown) collect(number, inside, corners, drawing);
  return drawing;
}

const newInside = () => ({ stretches: new Map(), items: [], entries: new Map(), exits: new Map() });

// Cut an edge into stretches, one for each open box that it passes
function split(source, target, inside) {
  const add = (home, from, to) => {
    const { stretches } = inside.get(home), key = `${from} ${to} ${source}`;
    if (!stretches.has(key)) stretches.set(key, { from, to, source, ends: [] });
    stretches.get(key).ends.push(target);
  };
  const outer = new Set();
  for (let at = source; at !== null; at = boxes[at].parent) outer.add(at);
  let arriving = target;
  while (!outer.has(boxes[arriving].parent)) {
    add(boxes[arriving].parent, -1, arriving);
    arriving = boxes[arriving].parent;
  }
  const common = boxes[arriving].parent;
  let leaving = source;
  while (boxes[leaving].parent !== common) {
    add(boxes[leaving].parent, leaving, -1);
    leaving = boxes[leaving].parent;
  }
  add(common, leaving, arriving);
}

const isOpened = (number, inside) => inside.has(number) && boxes[number].children.length > 0;

function sizeOf(number, inside) {
  if (isOpened(number, inside)) return [inside.get(number).width, inside.get(number).height];
  return boxes[number].kind === 'input' ? [INPUT_WIDTH, INPUT_HEIGHT] : [WIDTH, HEIGHT];
}

function drawOne(number, inside) {
  const own = inside.get(number), isRoot = number === ROOT;
  const place = new Map(own.items.map((item, i) => [item, i]));
  const sizes = own.items.map((item) => sizeOf(item, inside));
  const entries = new Map(), exits = new Map();
  const end = (item, source, border, ports) => {
    if (item < 0) {
      if (!border.has(source)) { border.set(source, sizes.length); sizes.push([4, 0]); }
      return [border.get(source), 0];
    }
    const other = inside.get(item);
    return [place.get(item), other?.[ports].has(source) ? other[ports].get(source) - other.width / 2 : 0];
  };
  const links = [...own.stretches.values()].map(({ from, to, source }) => {
    const [a, fromX] = end(from, source, entries, 'exits');
    const [b, toX] = end(to, source, exits, 'entries');
    return [a, b, fromX, toX];
  });
  own.drawing = layered(sizes, links, new Set(entries.values()), new Set(exits.values()));
  const wide = Math.max(isRoot ? 0 : WIDTH, own.drawing.width), border = isRoot ? 0 : PADDING;
  own.left = border + (wide - own.drawing.width) / 2;
  own.width = wide + 2 * border;
  own.height = own.drawing.height + (isRoot ? 0 : HEADER + 2 * PADDING);
  for (const [ends, ports] of [[entries, own.entries], [exits, own.exits]]) {
    for (const [source, i] of ends) ports.set(source, own.left + own.drawing.corners[i][0] + sizes[i][0] / 2);
  }
}

function collect(number, inside, corners, drawing) {
  const own = inside.get(number), [x, y] = corners.get(number);
  const left = x + own.left, top = y + (number === ROOT ? 0 : HEADER + PADDING);
  own.items.forEach((item, i) => {
    const corner = [left + own.drawing.corners[i][0], top + own.drawing.corners[i][1]];
    corners.set(item, corner);
    drawing.rectangles.set(item, [...corner, ...sizeOf(item, inside)]);
  });
  [...own.stretches.values()].forEach(({ from, to, source, ends }, i) => {
    const route = own.drawing.routes[i].map((step) => step.map((v, c) => v + (c % 2 ? top : left)));
    if (from < 0) route.unshift([route[0][0], y]);
    if (to < 0) route.push([route.at(-1).at(-2), y + own.height]);
    drawing.routes.push({ route, source, ends, arrives: to >= 0 && !isOpened(to, inside) });
  });
}
