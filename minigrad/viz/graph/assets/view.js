// What part of the graph is seen, and how large: panning, zooming, and the small map.

const SMALLEST = 0.03, LARGEST = 3, READABLE = 0.75, ENOUGH = 0.55;

function newView(stage, graph, world, map, draw) {
  const view = { x: 0, y: 0, k: 1 };
  let drawing = { width: 1, height: 1, rectangles: new Map() };
  const size = () => [graph.clientWidth || 1, graph.clientHeight || 1];

  function show() {
    world.setAttribute('transform', `translate(${view.x.toFixed(2)} ${view.y.toFixed(2)}) scale(${view.k.toFixed(4)})`);
    const [width, height] = size();
    const whole = drawing.width * view.k <= width && drawing.height * view.k <= height && view.x >= 0 && view.y >= 0;
    map.classList.toggle('hidden', whole);
    const frame = map.querySelector('.frame');
    if (frame) {
      for (const [name, value] of Object.entries({ x: -view.x / view.k, y: -view.y / view.k, width: width / view.k, height: height / view.k })) frame.setAttribute(name, value);
    }
  }

  // Keep some of the graph in sight
  function hold() {
    const [width, height] = size(), edge = 80;
    view.x = Math.min(width - edge, Math.max(edge - drawing.width * view.k, view.x));
    view.y = Math.min(height - edge, Math.max(edge - drawing.height * view.k, view.y));
    show();
  }

  function zoom(factor, at = size().map((v) => v / 2)) {
    const k = Math.min(LARGEST, Math.max(SMALLEST, view.k * factor));
    view.x = at[0] - ((at[0] - view.x) * k) / view.k;
    view.y = at[1] - ((at[1] - view.y) * k) / view.k;
    view.k = k;
    hold();
  }

  // All of it; unless `all`, no smaller than can be read, beginning at the top
  function fit(all = true) {
    const [width, height] = size(), margin = 28;
    const k = Math.min(1.15, (width - 2 * margin) / drawing.width, (height - 2 * margin) / drawing.height);
    view.k = Math.max(SMALLEST, all || k >= ENOUGH ? k : READABLE);
    view.x = (width - drawing.width * view.k) / 2;
    view.y = Math.max(margin, (height - drawing.height * view.k) / 2);
    if (drawing.width * view.k > width) view.x = margin;
    show();
  }

  function centre(number) {
    const at = drawing.rectangles.get(number);
    if (!at) return;
    const [width, height] = size();
    if (view.k < 0.5) view.k = 0.9;
    view.x = width / 2 - (at[0] + at[2] / 2) * view.k;
    view.y = Math.max(40 - at[1] * view.k, height / 2 - (at[1] + at[3] / 2) * view.k);
    hold();
  }

  function drawMap(state) {
    drawing = state.drawing;
    const [width, height] = [Math.max(drawing.width, 1), Math.max(drawing.height, 1)];
    const scale = Math.min(150 / width, 210 / height);
    map.setAttribute('viewBox', `0 0 ${width} ${height}`);
    map.setAttribute('width', Math.max(14, width * scale));
    map.setAttribute('height', Math.max(14, height * scale));
    const rects = [...drawing.rectangles].filter(([number]) => !drawing.openedSet.has(number)).map(([number, at]) => {
      const value = state.values.get(number), known = value !== null && value !== undefined;
      return svg('rect', { x: at[0], y: at[1], width: at[2], height: at[3], class: known ? null : 'plain', fill: known ? `rgb(${mixed(state.stops, state.scale.at(value))})` : null });
    });
    const sheets = drawing.opened.map((number) => { const at = drawing.rectangles.get(number); return svg('rect', { class: 'sheet', x: at[0], y: at[1], width: at[2], height: at[3] }); });
    map.replaceChildren(...sheets, ...rects, svg('rect', { class: 'frame' }));
    show();
  }

  const point = (event) => { const box = graph.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  graph.addEventListener('wheel', (event) => {
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) return zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.004)), point(event));
    const step = event.deltaMode ? 30 : 1;
    view.x -= (event.shiftKey ? event.deltaY : event.deltaX) * step;
    view.y -= (event.shiftKey ? 0 : event.deltaY) * step;
    hold();
  }, { passive: false });

  let held = null; // where the pointer went down, to tell a drag from a click
  graph.addEventListener('pointerdown', (event) => { if (event.button === 0) held = { at: point(event), x: view.x, y: view.y, moved: false }; });
  graph.addEventListener('pointermove', (event) => {
    if (!held) return;
    const at = point(event), move = [at[0] - held.at[0], at[1] - held.at[1]];
    if (!held.moved && Math.hypot(...move) > 4) { held.moved = true; graph.setPointerCapture(event.pointerId); graph.classList.add('held'); }
    if (held.moved) { view.x = held.x + move[0]; view.y = held.y + move[1]; hold(); }
  });
  const letGo = () => { graph.classList.remove('held'); setTimeout(() => { held = null; }); };
  graph.addEventListener('pointerup', letGo);
  graph.addEventListener('pointercancel', letGo);
  graph.addEventListener('click', (event) => { if (held?.moved) event.stopImmediatePropagation(); }, true);

  const go = (event) => {
    if (!(event.buttons & 1) && event.type !== 'click') return;
    const box = map.getBoundingClientRect(), [width, height] = size();
    view.x = width / 2 - ((event.clientX - box.left) / box.width) * drawing.width * view.k;
    view.y = height / 2 - ((event.clientY - box.top) / box.height) * drawing.height * view.k;
    hold();
  };
  map.addEventListener('pointerdown', go);
  map.addEventListener('pointermove', go);

  return { view, show, zoom, fit, centre, drawMap, hold };
}
