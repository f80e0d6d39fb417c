// Histograms: all steps as columns of a picture, and the one at the slider's step.

const LEVELS = 96;  // rows of the picture

// From the lowest to the highest value that columns of the picture reach, but for a few
function reach(all) {
  const low = finite(all.flatMap(data => data.lower)).sort((a, b) => a - b), high = finite(all.flatMap(data => data.upper)).sort((a, b) => a - b);
  const [first, last] = [quantile(low, .02), quantile(high, .98)];
  return last > first ? [first, last] : [first - .5, first + .5];
}

// A few elements make a comb of many bins: neighbours are joined
function joined(data) {
  const group = data.missing || data.elements >= 2048 ? 1 : data.elements >= 512 ? 2 : data.elements >= 100 ? 4 : 8;
  if (group === 1 || data.counts[0].length % group) return data;
  const counts = data.counts.map(row => Array.from({length: row.length / group}, (_, i) => row.slice(i * group, (i + 1) * group).reduce((a, b) => a + b, 0)));
  return {...data, counts};
}

// The counts of one histogram over rows of equal height; within a bin values count as spread evenly
function spread(lower, upper, counts, low, high) {
  const rows = new Array(LEVELS).fill(0), height = (high - low) / LEVELS, width = (upper - lower) / counts.length;
  counts.forEach((count, bin) => {
    if (!count) return;
    const first = (lower + bin * width - low) / height, last = (lower + (bin + 1) * width - low) / height;
    const from = Math.max(0, Math.floor(first)), to = Math.min(LEVELS - 1, Math.floor(last));
    if (last - first < 1e-9) { if (from <= to) rows[from] += count; return; }
    for (let row = from; row <= to; row++) rows[row] += count * Math.max(0, Math.min(row + 1, last) - Math.max(row, first)) / (last - first);
  });
  return rows.map(Math.log1p);
}

function density(data, at) {
  const counts = data.counts[at], lower = data.lower[at], width = (data.upper[at] - lower) / counts.length || 1e-12;
  const total = counts.reduce((sum, count) => sum + count, 0) || 1;
  return {x: counts.map((_, bin) => lower + (bin + .5) * width), y: counts.map(count => count / total / width), width};
}

SECTIONS.push({
  id: 'distributions',
  rows: [], shown: '',
  wire() {
    byId('dist-kind').addEventListener('change', () => this.draw());
    byId('dist-layer').addEventListener('change', () => this.draw());
    byId('dist-same').addEventListener('change', () => this.at(true));
    const turn = by => { const select = byId('dist-layer'); select.selectedIndex = (select.selectedIndex + by + select.length) % select.length; this.draw(); };
    byId('dist-back').addEventListener('click', () => turn(-1));
    byId('dist-next').addEventListener('click', () => turn(1));
  },
  options() {
    const there = kind => [...new Set(RUNS.flatMap(run => (run.structure.kinds?.[kind] ?? []).filter(signal => signal.histogram).map(signal => signal.name)))];
    const kinds = Object.keys(KINDS).filter(kind => there(kind).length);
    fill(byId('dist-kind'), kinds.map(kind => [kind, kind === 'weight' ? 'weights and biases' : KINDS[kind]]), byId('dist-kind').value || 'weight');
    this.kind = byId('dist-kind').value;
    const names = this.kind ? there(this.kind) : [];
    fill(byId('dist-layer'), [...new Set(names.map(name => layerOf(name, this.kind)))].map(layer => [layer, layer || '(the model itself)']));
    return names.filter(name => layerOf(name, this.kind) === byId('dist-layer').value);
  },
  async draw() {
    const names = this.options().slice(0, 4), box = byId('dist-rows');
    if (!names.length) { box.replaceChildren(missing('No histograms were recorded.')); this.rows = []; this.shown = ''; return; }
    const key = `${this.kind} ${names.join()}`;
    if (key !== this.shown) {
      this.shown = key;
      this.rows = names.map(name => ({name, pictures: RUNS.map(() => element('div', {class: 'chart middle'})), picture: element('div', {class: 'chart middle'}), told: element('span')}));
      box.replaceChildren(...this.rows.map(row => element('div', {class: 'card'}, element('h3', {}, row.name), element('div', {class: RUNS.length > 1 ? 'row thirds' : 'row wide-left'},
        ...RUNS.map(run => element('div', {}, title(run, RUNS.length > 1 ? '' : 'all steps'), row.pictures[run.index])),
        element('div', {}, element('div', {class: 'plot-title'}, row.told), row.picture)))));
    }
    const wanted = this.shown;
    for (const row of this.rows) {
      row.data = await Promise.all(RUNS.map(run => (run.structure.kinds?.[this.kind] ?? []).some(signal => signal.name === row.name && signal.histogram) ? histograms(run, this.kind, row.name) : {missing: 'It was not recorded.'}));
      if (wanted !== this.shown) return;
      row.data = row.data.map(joined);
      const all = row.data.filter(data => !data.missing);
      if (!all.length) continue;
      row.range = reach(all);
      for (const run of RUNS) await this.columns(row, run);
    }
    this.at(true);
  },
  async columns(row, run) {
    const data = row.data[run.index], chart = row.pictures[run.index];
    if (data.missing) return say(chart, data.missing);
    const [low, high] = row.range, height = (high - low) / LEVELS;
    const columns = data.counts.map((counts, i) => spread(data.lower[i], data.upper[i], counts, low, high));
    await draw(place(chart, 'chart middle'), [{
      type: 'heatmap', x: data.steps, y: Array.from({length: LEVELS}, (_, i) => low + (i + .5) * height), z: transposed(columns), colorscale: SEQUENTIAL, showscale: false,
      hovertemplate: 'step %{x}, value %{y:.3g}<br>log(1 + count) = %{z:.2f}<extra></extra>',
    }], {xaxis: {...steps(), showgrid: false}, yaxis: {title: {text: 'value'}, showgrid: false, range: row.range}, margin: {l: 60, r: 4, t: 6, b: 38}, plot_bgcolor: '#440154'}, true);
  },
  at(again = false) {
    for (const row of this.rows) {
      if (!row.data || row.data.every(data => data.missing)) continue;
      const places = row.data.map(data => data.missing ? -1 : placeAt(data.steps, clock.step));
      const key = places.join();
      if (!again && row.at === key) continue;
      row.at = key;
      const traces = [];
      row.data.forEach((data, index) => {
        if (data.missing) return;
        const run = RUNS[index];
        if (!index || row.data[0].missing) {
          const {x, y} = density(data, 0);
          traces.push({x, y, mode: 'lines', line: {color: colour('ghost'), width: 1.6, shape: 'hvh'}, name: `step ${data.steps[0]}`, hoverinfo: 'skip'});
        }
        const {x, y, width} = density(data, places[index]);
        traces.push(index && !row.data[0].missing
          ? {x, y, mode: 'lines', line: {color: colour(run.colour), width: 2, shape: 'hvh'}, name: run.state.name, hovertemplate: '%{x:.3g}: %{y:.3g}<extra></extra>'}
          : {type: 'bar', x, y, width, marker: {color: colour(run.colour), line: {width: 0}}, opacity: .8, name: RUNS.length > 1 ? run.state.name : `step ${data.steps[places[index]]}`, hovertemplate: '%{x:.3g}: %{y:.3g}<extra></extra>'});
      });
      const kept = row.data.find(data => !data.missing), at = [...new Set(row.data.map((data, i) => data.missing ? null : data.steps[places[i]]).filter(step => step != null))];
      const source = kept.source === 'samples' ? `from ${shown(kept.counts[0].reduce((a, b) => a + b, 0))} recorded elements` : `${shown(kept.elements)} elements`;
      row.told.replaceChildren('recorded at step ', element('b', {}, at.map(step => shown(step)).join(' and ')), `, ${source}`);
      const same = byId('dist-same').checked;
      draw(row.picture, traces, {xaxis: {title: {text: 'value', standoff: 4}, ...(same ? {range: row.range} : {autorange: true})}, yaxis: {title: {text: 'density'}, rangemode: 'tozero', nticks: 5}, showlegend: true, uirevision: same ? 'same' : clock.step, margin: {l: 56, r: 8, t: 6, b: 40}});
    }
  },
});
