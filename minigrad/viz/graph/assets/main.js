// What the reader does, and what the page does then.

const $ = (id) => document.getElementById(id);
const world = $('world'), panel = $('panel'), night = matchMedia('(prefers-color-scheme: dark)');
const state = { measure: MEASURES.time, selected: ROOT, hits: [], hit: -1, drawing: null };
const view = newView($('stage'), $('graph'), world, $('map'));

// Lay out again what is open; `anchor`, a box's number, stays where it is on the screen
function arrange(anchor = null) {
  const before = anchor === null ? null : state.drawing?.rectangles.get(anchor);
  const { edges, closed } = visibleEdges();
  state.drawing = layoutOf(edges);
  state.drawing.openedSet = new Set(state.drawing.opened);
  state.closed = closed;
  paint();
  const after = anchor === null ? null : state.drawing.rectangles.get(anchor);
  if (before && after) {
    view.view.x += (before[0] - after[0]) * view.view.k;
    view.view.y += (before[1] - after[1]) * view.view.k;
    if (before[2] !== after[2]) view.view.x += ((before[2] - after[2]) / 2) * view.view.k;
    view.hold();
  }
}

// Colour again, by the measure that was chosen
function paint() {
  const { measure, drawing } = state;
  const seen = [...drawing.rectangles.keys()].map((n) => boxes[n]).filter((box) => box.kind !== 'input');
  state.values = new Map(seen.map((box) => [box.number, measured(measure, recordsIn(box))]));
  state.alarms = new Map(seen.map((box) => [box.number, measured(MEASURES.nonfinite, recordsIn(box))]));
  state.scale = scaleOf(measure, seen.filter((box) => !drawing.openedSet.has(box.number)).map((box) => state.values.get(box.number)));
  state.stops = night.matches ? measure.dark : measure.light;
  drawGraph(world, state);
  drawLegend($('legend'), state);
  view.drawMap(state);
  mark();
}

// Show what is selected, its edges, and what the search found
function mark() {
  const hits = new Set(state.hits.map((box) => state.closed[box.number] ?? box.number));
  const chosen = state.closed[state.selected] ?? state.selected;
  world.classList.toggle('searching', state.hits.length > 0);
  for (const [number, drawn] of state.drawing.elements) {
    drawn.classList.toggle('selected', number === chosen);
    drawn.classList.toggle('hit', hits.has(number));
  }
  const lit = [];
  for (const piece of state.drawing.routes) {
    const isLit = chosen !== ROOT && (piece.source === chosen || piece.ends.includes(chosen));
    piece.element.classList.toggle('lit', isLit);
    if (piece.arrives) piece.element.setAttribute('marker-end', isLit ? 'url(#head-lit)' : 'url(#head)');
    if (isLit) lit.push(piece.element);
  }
  lit.forEach((path) => path.parentNode.append(path)); // above the others
}

function select(number, { go = false } = {}) {
  state.selected = number;
  const box = boxes[number];
  showPanel(panel, box);
  if (go && number !== ROOT && !state.drawing.rectangles.has(number)) { reveal(box); arrange(); }
  mark();
  if (go) view.centre(number);
}

function toggle(number) {
  if (isOpen.has(number)) isOpen.delete(number); else isOpen.add(number);
  arrange(number);
  if (state.selected === number) showPanel(panel, boxes[number]);
  state.drawing.elements.get(number)?.focus({ preventScroll: true });
}

function search() {
  state.hits = found($('search').value);
  state.hit = -1;
  const wanted = $('search').value.trim();
  $('hits').textContent = wanted ? `${state.hits.length} found` : '';
  mark();
}

function nextHit(step) {
  if (!state.hits.length) return;
  state.hit = (state.hit + step + state.hits.length) % state.hits.length;
  $('hits').textContent = `${state.hit + 1} of ${state.hits.length}`;
  select(state.hits[state.hit].number, { go: true });
}

// The nearest box in the direction of an arrow key
function neighbour(number, key) {
  const [x, y, width, height] = state.drawing.rectangles.get(number);
  const middle = [x + width / 2, y + height / 2], [axis, sign] = { ArrowDown: [1, 1], ArrowUp: [1, -1], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[key];
  let best = null, least = Infinity;
  for (const [other, at] of state.drawing.rectangles) {
    if (other === number || state.drawing.openedSet.has(other)) continue;
    const away = [at[0] + at[2] / 2 - middle[0], at[1] + at[3] / 2 - middle[1]];
    const along = away[axis] * sign, aside = Math.abs(away[1 - axis]);
    if (along > 4 && along + 2 * aside < least) { least = along + 2 * aside; best = other; }
  }
  return best;
}

$('graph').addEventListener('click', (event) => {
  const drawn = event.target.closest('.box');
  if (!drawn) return select(ROOT);
  const numberOf = Number(drawn.dataset.box);
  if (event.target.closest('[data-toggle]') || drawn.classList.contains('open')) {
    select(numberOf);
    if (event.target.closest('[data-toggle]')) toggle(numberOf);
    return undefined;
  }
  return select(numberOf);
});
$('graph').addEventListener('dblclick', (event) => {
  const drawn = event.target.closest('.box');
  if (drawn && !event.target.closest('[data-toggle]') && canOpen(boxes[drawn.dataset.box])) toggle(Number(drawn.dataset.box));
});
$('graph').addEventListener('keydown', (event) => {
  const drawn = event.target.closest('.box');
  if (!drawn) return;
  const numberOf = Number(drawn.dataset.box);
  if (event.key === 'Enter' || event.key === ' ') {
    event.preventDefault();
    select(numberOf);
    if (canOpen(boxes[numberOf])) toggle(numberOf);
  } else if (event.key.startsWith('Arrow')) {
    event.preventDefault();
    const next = neighbour(numberOf, event.key);
    if (next !== null) { select(next, { go: true }); state.drawing.elements.get(next).focus({ preventScroll: true }); }
  }
});
panel.addEventListener('click', (event) => {
  const link = event.target.closest('[data-go]'), parts = event.target.closest('[data-parts]');
  if (link) select(Number(link.dataset.go), { go: Number(link.dataset.go) !== ROOT });
  if (parts) toggle(Number(parts.dataset.parts));
});
addEventListener('keydown', (event) => {
  if (event.target.closest('input, select') || event.ctrlKey || event.metaKey || event.altKey) return;
  const action = { '/': () => $('search').focus(), '+': () => view.zoom(1.25), '=': () => view.zoom(1.25), '-': () => view.zoom(0.8), 0: () => view.fit(), Escape: () => select(ROOT) }[event.key];
  if (action) { event.preventDefault(); action(); }
});

$('search').addEventListener('input', search);
$('search').addEventListener('keydown', (event) => {
  if (event.key === 'Enter') nextHit(event.shiftKey ? -1 : 1);
  if (event.key === 'Escape') { event.target.value = ''; search(); event.target.blur(); }
});
$('measure').append(...Object.entries(MEASURES).map(([key, { label: name }]) => html('option', { value: key }, name)));
$('measure').addEventListener('change', () => { state.measure = MEASURES[$('measure').value]; paint(); });
const reopen = (wanted) => () => { openModules(wanted); arrange(); view.fit(false); };
$('close-all').addEventListener('click', reopen((box) => box.path === ''));
$('open-some').addEventListener('click', reopen((box) => page.opened.includes(box.number)));
$('open-all').addEventListener('click', reopen(() => true));
const composites = boxes.filter((box) => box.kind === 'op' && canOpen(box));
$('open-parts').hidden = composites.length === 0;
$('open-parts').addEventListener('click', () => {
  const all = composites.every((box) => isOpen.has(box.number));
  composites.forEach((box) => (all ? isOpen.delete(box.number) : isOpen.add(box.number)));
  arrange();
  view.fit(false);
});
$('zoom-in').addEventListener('click', () => view.zoom(1.25));
$('zoom-out').addEventListener('click', () => view.zoom(0.8));
$('zoom-fit').addEventListener('click', () => view.fit());
night.addEventListener('change', paint);
addEventListener('resize', () => view.hold());
let kept = null;
addEventListener('beforeprint', () => { kept = { ...view.view }; view.fit(); });
addEventListener('afterprint', () => { Object.assign(view.view, kept); view.show(); });

$('title').textContent = page.title;
total.time = sum(boxes[ROOT].calls.map((i) => MEASURES.time.of(records[i])));
arrange();
view.fit(false);
select(ROOT);
