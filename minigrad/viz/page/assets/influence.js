// The units that matter most: their ranks over steps, and the ranking at the slider's step.

const FOLLOWED = 16, LISTED = 16;

SECTIONS.push({
  id: 'influence',
  rows: [],
  wire() { byId('influence-method').addEventListener('change', () => this.draw()); },
  async draw() {
    const methods = [...new Set(RUNS.flatMap(run => run.structure.influence ?? []))];
    fill(byId('influence-method'), methods.map(method => [method, method.replaceAll('_', ' ')]));
    const box = byId('influence-rows'), method = byId('influence-method').value;
    if (!methods.length) { box.replaceChildren(missing('No influence was recorded.')); this.rows = []; this.shown = ''; return; }
    if (!this.rows.length) {
      this.rows = RUNS.map(run => ({run, chart: element('div', {class: 'chart ranks'}), list: element('div', {class: 'ranking'}), told: element('span'), agreement: element('p')}));
      box.replaceChildren(...this.rows.map(row => element('div', {class: 'card'}, element('div', {class: 'row wide-left'},
        element('div', {}, title(row.run, 'rank by step'), row.chart), element('div', {}, element('div', {class: 'plot-title'}, row.told), row.list)), row.agreement)));
    }
    for (const row of this.rows) {
      row.data = (row.run.structure.influence ?? []).includes(method) ? await this.load(row.run, method) : {missing: 'It was not recorded.'};
      if (row.data.missing) { say(row.chart, row.data.missing); row.list.replaceChildren(); row.told.replaceChildren(); continue; }
      await this.ranks(row);
    }
    this.at(true);
  },
  async load(run, method) {
    const known = run.known.get(`influence ${method}`);
    if (known && known.upTo === run.state.influence) return known;
    const answer = {...await ask('influence', run, {method}), upTo: run.state.influence};
    run.known.set(`influence ${method}`, answer);
    return answer;
  },
  async ranks(row) {
    const {steps: at, layers, ranks} = row.data;
    const weight = new Map();
    for (const list of ranks) list.slice(0, LISTED).forEach(([layer, unit], i) => weight.set(`${layer} ${unit}`, (weight.get(`${layer} ${unit}`) ?? 0) + LISTED - i));
    const chosen = [...weight].sort((a, b) => b[1] - a[1]).slice(0, FOLLOWED).map(([key]) => key);
    const line = new Map(chosen.map(key => [key, new Array(at.length).fill(null)]));
    ranks.forEach((list, i) => list.slice(0, LISTED).forEach(([layer, unit], rank) => { const own = line.get(`${layer} ${unit}`); if (own) own[i] = rank + 1; }));
    const names = chosen.map(key => { const [layer, unit] = key.split(' '); return `${layers[layer]} · ${unit}`; });
    await draw(place(row.chart, 'chart ranks'), [{
      type: 'heatmap', x: at, y: names, z: [...line.values()], zmin: 1, zmax: LISTED, colorscale: ranked(), hoverongaps: false, ygap: 1,
      colorbar: {thickness: 12, outlinewidth: 0, len: 1, title: {text: 'rank', side: 'top'}, tickvals: [1, 4, 8, 12, 16]}, hovertemplate: '%{y}<br>step %{x}: rank %{z}<extra></extra>',
    }], {xaxis: {...steps(), showgrid: false}, yaxis: {type: 'category', autorange: 'reversed', showgrid: false}, margin: {l: 60, r: 4, t: 6, b: 38}}, true);
  },
  at(again = false) {
    for (const row of this.rows) {
      if (!row.data || row.data.missing) continue;
      const place = placeAt(row.data.steps, clock.step);
      if (!again && row.place === place) continue;
      row.place = place;
      const {steps: at, layers, ranks} = row.data, list = ranks[place].slice(0, LISTED);
      const most = Math.max(...list.map(([, , score]) => Math.abs(score)), 1e-30);
      row.told.replaceChildren('estimated at step ', element('b', {}, shown(at[place])));
      row.list.replaceChildren(...list.flatMap(([layer, unit, score], i) => [
        element('span', {class: 'n'}, i + 1), element('span', {}, `${layers[layer]} · ${unit}`),
        element('span', {class: 'bar-of', style: {width: `${100 * Math.abs(score) / most}%`, background: colour(row.run.colour)}}), element('span', {class: 'score'}, shown(score)),
      ]));
      const held = (row.run.structure.agreement ?? []).filter(([, method]) => method === byId('influence-method').value);
      const found = held.filter(([step]) => step <= clock.step).at(-1) ?? held[0];
      row.agreement.textContent = found ? `Held against the truth, removing ${found[3]} units one by one at step ${shown(found[0])}: rank correlation ${shown(found[2], 2)} (1 is perfect, 0 is chance).` : '';
    }
  },
});
