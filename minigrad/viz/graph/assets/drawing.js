// The graph as SVG elements.

const NS = 'http://www.w3.org/2000/svg';

// An element; attributes by name, children strings or elements. Texts become text nodes, never markup
function element(namespace, tag, attributes, children) {
  const made = namespace ? document.createElementNS(namespace, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}
const svg = (tag, attributes = {}, ...children) => element(NS, tag, attributes, children);
const html = (tag, attributes = {}, ...children) => element(null, tag, attributes, children);

const brush = document.createElement('canvas').getContext('2d');
const FONT = 'system-ui, -apple-system, "Segoe UI", "Helvetica Neue", "Liberation Sans", Arial, sans-serif';
const widthsSeen = new Map();

function widthOf(text, font) {
  const key = `${font}|${text}`;
  if (!widthsSeen.has(key)) {
    brush.font = `${font} ${FONT}`;
    widthsSeen.set(key, brush.measureText(text).width);
  }
  return widthsSeen.get(key);
}

function fitted(text, room, font) {
  if (widthOf(text, font) <= room) return text;
  let low = 0, high = text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (widthOf(`${text.slice(0, middle)}…`, font) <= room) low = middle; else high = middle - 1;
  }
  return `${text.slice(0, low)}…`;
}

const TITLE = '600 13px', NOTE = '11px';
const pathText = (route) => route.map((step, i) => (i === 0 ? 'M' : step.length === 6 ? 'C' : 'L') + step.map((v) => v.toFixed(1)).join(' ')).join('');

// Two texts on a line: one from the left, one that ends at the right and is never cut
function line(x, y, width, left, right, font, kinds) {
  const room = width - (right ? widthOf(right, NOTE) + 10 : 0);
  return [svg('text', { x, y, class: kinds[0] }, fitted(left, room, font)),
    right ? svg('text', { x: x + width, y, class: kinds[1] }, right) : null];
}

function drawBox(box, [x, y, width, height], state) {
  const opened = state.drawing.openedSet.has(box.number);
  const value = state.values.get(box.number);
  const text = box.kind === 'input' || value === null || value === undefined ? '' : state.measure.format(value);
  const attributes = {
    class: `box ${box.kind}${opened ? ' open' : ''}`, 'data-box': box.number, 'data-path': box.path, 'data-record': box.record,
    transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, tabindex: 0, role: 'button', 'aria-label': label(box, text, opened),
    'aria-expanded': canOpen(box) ? String(opened) : null,
  };
  const ready = svg('g', attributes);
  if (opened) {
    const chevron = svg('path', { class: 'chevron', d: 'M11 12.5h9l-4.5 6z' });
    const name = fitted(box.title, width - 90, TITLE);
    const after = 28 + widthOf(name, TITLE) + 8;
    const worth = widthOf(text, NOTE) + 14;
    ready.append(svg('rect', { class: 'sheet', width, height, rx: 10 }),
      svg('rect', { class: 'header', width, height: HEADER, rx: 10, 'data-toggle': true }), chevron,
      svg('text', { x: 28, y: 20, class: 'name' }, name),
      svg('text', { x: after, y: 20, class: 'note' }, fitted(box.subtitle, Math.max(0, width - after - worth), NOTE)),
      svg('text', { x: width - 12, y: 20, class: 'note end' }, text));
    return ready;
  }
  if (box.kind === 'input') {
    ready.append(svg('rect', { class: 'face', width, height, rx: height / 2 }),
      ...line(15, 19.5, width - 30, box.title, box.detail, TITLE, ['name', 'note end']).filter(Boolean));
    return ready;
  }
  const known = value !== null && value !== undefined;
  const colour = known ? mixed(state.stops, state.scale.at(value)) : null;
  if (box.kind === 'module') {
    ready.append(svg('rect', { class: 'below', x: 5, y: 5, width: width - 2, height: height - 1, rx: 7 }),
      svg('rect', { class: 'below', x: 2.5, y: 2.5, width: width - 1, height, rx: 7 }));
  }
  const face = svg('rect', { class: 'face', width, height, rx: 7, fill: known ? `rgb(${colour})` : 'url(#unknown)' });
  const faceText = svg('g', { class: 'words' });
  if (known) faceText.setAttribute('fill', ink(colour));
  const indent = canOpen(box) ? 27 : 12;
  faceText.append(...[...line(indent, 18.5, width - indent - 12, box.title, text, TITLE, ['name', 'value end']),
    ...line(12, 35.5, width - 24, below(box), box.detail, NOTE, ['note', 'note end'])].filter(Boolean));
  if (canOpen(box)) faceText.append(svg('path', { class: 'chevron', d: 'M13 9.5v9l6-4.5z' }), svg('rect', { class: 'opener', width: 26, height, 'data-toggle': true }));
  ready.append(face, faceText);
  if (state.alarms.get(box.number) > 0) {
    ready.append(svg('g', { class: 'alarm', transform: `translate(${width - 2} 2)` }, svg('title', {}, 'holds NaN or infinities'), svg('circle', { r: 8 }), svg('text', { y: 4 }, '!')));
  }
  return ready;
}

function below(box) {
  if (box.kind !== 'module') return box.subtitle;
  const count = `${box.calls.length} op${box.calls.length === 1 ? '' : 's'}`;
  return box.subtitle ? `${box.subtitle} · ${count}` : count;
}

function label(box, text, opened) {
  const kind = box.kind === 'module' ? `module${opened ? ', open' : ', closed'}` : box.kind === 'op' ? 'operation' : 'input';
  return [box.path || box.title, box.subtitle, kind, box.detail, text].filter(Boolean).join(', ');
}

function drawGraph(world, state) {
  const { drawing } = state;
  const seen = [...drawing.rectangles].map(([number, at]) => [boxes[number], at]);
  const sheets = svg('g', { class: 'sheets' }), wires = svg('g', { class: 'edges' }), faces = svg('g', { class: 'faces' });
  for (const [box, at] of seen) (drawing.openedSet.has(box.number) ? sheets : faces).append(drawBox(box, at, state));
  for (const piece of drawing.routes) {
    piece.element = svg('path', { class: 'edge', d: pathText(piece.route), 'marker-end': piece.arrives ? 'url(#head)' : null });
    wires.append(piece.element);
  }
  world.replaceChildren(sheets, wires, faces);
  drawing.elements = new Map([...world.querySelectorAll('.box')].map((g) => [Number(g.dataset.box), g]));
}

function drawLegend(figure, state) {
  const { measure, scale, stops } = state;
  const cells = 48, width = 190, bar = svg('svg', { viewBox: `0 0 ${width} 12`, width, height: 12, 'aria-hidden': 'true' });
  for (let i = 0; i < cells; i += 1) {
    const t = i / (cells - 1);
    const colour = measure.alarm && i === 0 ? mixed(stops, 0) : mixed(stops, measure.alarm ? 0.5 + t / 2 : t);
    bar.append(svg('rect', { x: (i * width) / cells, width: width / cells + 0.5, height: 12, fill: `rgb(${colour})` }));
  }
  const [low, middle, high] = [0, 0.5, 1].map((t) => html('span', {}, measure.format(scale.value(t))));
  figure.replaceChildren(html('figcaption', {}, html('b', {}, measure.label), measure.about),
    ...(scale.known ? [low, bar, high, measure.log ? html('i', {}, 'middle ', middle) : ''] : [html('i', {}, `not recorded at level “${page.level}”`)]));
}
