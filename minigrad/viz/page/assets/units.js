// A number for each unit of a layer: over steps, and at the slider's.

const BY_UNIT = {'unit_norms gradient': 'norm of the gradient', 'unit_norms change': 'norm of the change', 'dead output': 'share of zeros in the batch'};

SECTIONS.push({
  id: 'units',
  rows: [], shown: '',
  wire() {
    byId('unit-what').addEventListener('change', () => this.draw());
    byId('unit-name').addEventListener('change', () => this.draw());
  },
  options() {
    const found = new Map();
    for (const run of RUNS) {
      for (const [kind, signals] of Object.entries(run.structure.kinds ?? {})) {
        for (const {name, by_unit} of signals) for (const what of by_unit) {
          const key = `${what} ${kind}`;
          found.set(key, (found.get(key) ?? new Set()).add(name));
        }
      }
    }
    const text = key => BY_UNIT[key] ?? (key.startsWith('influence.') ? `influence (${key.split(' ')[0].slice(10).replaceAll('_', ' ')})` : key);
    const order = [...Object.keys(BY_UNIT).filter(key => found.has(key)), ...[...found.keys()].filter(key => !(key in BY_UNIT))];
    fill(byId('unit-what'), order.map(key => [key, text(key)]));
    const names = [...(found.get(byId('unit-what').value) ?? [])];
    fill(byId('unit-name'), names.map(name => [name, name]), byId('unit-name').value || names.find(name => !name.endsWith('bias')));
    return names.length > 0;
  },
  async draw() {
    const box = byId('unit-rows');
    if (!this.options()) { box.replaceChildren(missing('Nothing was recorded by unit.')); this.rows = []; this.shown = ''; return; }
    const [what, kind] = byId('unit-what').value.split(' '), name = byId('unit-name').value;
    const key = `${what} ${kind} ${name}`;
    if (key !== this.shown) {
      this.shown = key;
      this.rows = RUNS.map(run => ({run, picture: element('div', {class: 'chart'}), bars: element('div', {class: 'chart'}), told: element('span')}));
      box.replaceChildren(...this.rows.map(row => element('div', {class: 'card'}, element('div', {class: 'row wide-left'},
        element('div', {}, title(row.run, `${name}: unit by step`), row.picture), element('div', {}, element('div', {class: 'plot-title'}, row.told), row.bars)))));
    }
    for (const row of this.rows) {
      const signal = (row.run.structure.kinds?.[kind] ?? []).find(signal => signal.name === name);
      row.data = signal?.by_unit.includes(what) ? await units(row.run, kind, name, what) : {missing: 'It was not recorded.'};
      if (this.shown !== key) return;
    }
    const all = this.rows.flatMap(({data}) => data.missing ? [] : finite(data.rows.flat().map(Math.abs))).sort((a, b) => a - b);
    const share = what === 'dead';
    this.share = share;
    this.limit = share ? 1 : quantile(all, .998) || 1;
    for (const row of this.rows) {
      if (row.data.missing) { say(row.picture, row.data.missing); say(row.bars, ''); continue; }
      const {steps: at, rows} = row.data, count = rows[0].length;
      const height = `${Math.min(640, Math.max(230, 62 + 7 * count))}px`;
      place(row.picture).style.height = place(row.bars).style.height = height;
      const low = share ? 0 : Math.log10(quantile(all.filter(value => value > 0), .02) || this.limit / 1e3), high = share ? 1 : Math.log10(this.limit);
      const values = transposed(rows);
      await draw(row.picture, [{
        type: 'heatmap', x: at, y: values.map((_, i) => i), z: share ? values : values.map(line => line.map(value => value === 0 ? low : log10(Math.abs(value)))), customdata: values, zmin: low, zmax: high > low ? high : low + 1,
        colorscale: share ? bad() : SEQUENTIAL, colorbar: {thickness: 12, outlinewidth: 0, len: 1, ...(share ? {tickformat: '.0%'} : powers(low, high))}, hoverongaps: false, hovertemplate: 'unit %{y}, step %{x}: %{customdata:.3g}<extra></extra>',
      }], {xaxis: {...steps(), showgrid: false}, yaxis: {title: {text: 'unit'}, autorange: 'reversed', showgrid: false}, margin: {l: 56, r: 4, t: 6, b: 38}, plot_bgcolor: colour('grid')}, true);
    }
    this.at(true);
  },
  at(again = false) {
    for (const row of this.rows) {
      if (!row.data || row.data.missing) continue;
      const place = placeAt(row.data.steps, clock.step);
      if (!again && row.place === place) continue;
      row.place = place;
      const values = row.data.rows[place];
      row.told.replaceChildren('recorded at step ', element('b', {}, shown(row.data.steps[place])), row.data.units > values.length ? `, the first ${values.length} of ${shown(row.data.units)} units` : '');
      draw(row.bars, [{type: 'bar', orientation: 'h', x: values, y: values.map((_, i) => i), marker: {color: colour(row.run.colour), line: {width: 0}}, hovertemplate: 'unit %{y}: %{x:.3g}<extra></extra>'}],
        {xaxis: {title: {text: byId('unit-what').selectedOptions[0].textContent, standoff: 4}, range: this.share ? [0, 1] : [Math.min(0, ...values) < 0 ? -this.limit : 0, this.limit * 1.02], nticks: 6}, yaxis: {title: {text: 'unit'}, autorange: 'reversed', showgrid: false}, bargap: .15, margin: {l: 50, r: 10, t: 6, b: 38}});
    }
  },
});
