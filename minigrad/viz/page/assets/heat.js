// Layer by step heat maps.

const KINDS = {weight: 'weights', gradient: 'gradients', change: 'changes by a step', input: "layers' inputs", output: "layers' outputs", input_gradient: "gradients by layers' inputs", output_gradient: "gradients by layers' outputs"};
const WHATS = {norm: 'norm', mean: 'mean', std: 'standard deviation', minimum: 'smallest', maximum: 'largest', skewness: 'skewness', kurtosis: 'kurtosis', update_ratio: 'update ratio', dead: 'share of dead units', zero_share: 'share of zeros', not_finite: 'not finite'};
const LOGARITHMIC = new Set(['norm', 'std', 'update_ratio', 'not_finite', 'kurtosis']);
const PICTURES = [
  {what: 'norm', kind: 'gradient', title: 'Gradient norm', text: 'How strongly the loss pulls at each parameter. **Good:** rows of similar colour. **Bad:** rows that darken towards the input (the gradient vanishes) or a column that flares up (it explodes).'},
  {what: 'update_ratio', kind: 'weight', title: 'Update ratio: ‖change‖ / ‖weight‖ of a step', text: '**Around 10⁻³ is healthy** (pale). **Blue:** the tensor hardly moves. **Orange:** it is rewritten faster than it can settle; biases, which are small, often are.'},
  {what: 'dead', kind: 'output', title: 'Share of dead units', text: 'Units that gave nothing but zeros for a whole batch. **Bad:** a layer that turns red has lost them, often for ever; a lower rate or another initialisation helps. Only what ends in ReLU can be dead in this sense.'},
  {what: 'std', kind: 'output', title: 'Spread of the activations', text: 'The standard deviation of what each layer gives. **Good:** the same order of magnitude from layer to layer. **Bad:** it grows or shrinks on the way.'},
];

async function heatChart(chart, run, what, kind, range) {
  const data = await heat(run, what, kind);
  if (data.missing || !data.steps.length) return say(chart, `Not recorded: ${WHATS[what] ?? what} of ${KINDS[kind] ?? kind}.`);
  const rows = transposed(data.columns).map(row => row.map(value => Number.isFinite(value) ? value : null));
  const log = LOGARITHMIC.has(what);
  const z = log ? rows.map(row => row.map(value => value === 0 ? -300 : log10(value))) : rows;
  const centre = data.steps.map(step => step + (data.width - 1) / 2);
  const [low, high] = range(log);
  const ratio = what === 'update_ratio', share = what === 'dead' || what === 'zero_share';
  const signed = !log && !share && low < 0;
  const most = Math.max(Math.abs(low), Math.abs(high));
  const limits = ratio ? [-6, 0] : share ? [0, 1] : signed ? [-most, most] : [low, high];
  const bar = {thickness: 12, outlinewidth: 0, len: 1, ...(log ? powers(...limits) : share ? {tickformat: '.0%'} : {})};
  chart.className = chart.className === 'chart-none' ? 'chart' : chart.className;
  chart.style.height = `${Math.min(760, 62 + data.names.length * Math.max(11, Math.min(24, 320 / data.names.length)))}px`;
  await draw(chart, [{
    type: 'heatmap', x: centre, y: data.names, z, customdata: rows, zmin: limits[0], zmax: limits[1], colorbar: bar, hoverongaps: false,
    colorscale: ratio || signed ? diverging() : share || what === 'not_finite' ? bad() : SEQUENTIAL, hovertemplate: '%{y}<br>step %{x}: %{customdata:.3g}<extra></extra>',
  }], {xaxis: {...steps(), showgrid: false}, yaxis: {type: 'category', autorange: 'reversed', showgrid: false, tickfont: {size: data.names.length > 40 ? 10 : 13}}, margin: {l: 60, r: 4, t: 6, b: 38}, plot_bgcolor: colour('grid')}, true);
}

// The range of all runs, so that colours mean the same
async function heatCard(card, what, kind) {
  const all = [];
  for (const run of RUNS) {
    const data = await heat(run, what, kind);
    if (!data.missing) all.push(...finite(data.columns.flat()));
  }
  const range = log => {
    const values = finite(log ? all.map(log10).filter(value => value != null) : all).sort((a, b) => a - b);
    const [low, high] = values.length ? [quantile(values, .005), quantile(values, .995)] : [0, 1];
    return high > low ? [low, high] : [low - .5, low + .5];
  };
  const row = card.querySelector('.row');
  if (!row.children.length) row.append(...RUNS.map(run => element('div', {}, title(run), element('div', {class: 'chart'}))));
  for (const run of RUNS) await heatChart(row.children[run.index].querySelector('.chart, .chart-none'), run, what, kind, range);
}

SECTIONS.push({
  id: 'layers',
  wire() {
    const body = () => element('div', {class: RUNS.length > 1 ? 'row two' : 'row'});
    this.cards = PICTURES.map(({what, kind, title: name, text}) => ({what, kind, node: element('div', {class: 'card', 'data-what': what}, element('h3', {}, name), element('p', {}, ...rich(text)), body())}));
    this.what = element('select', {id: 'heat-what', 'aria-label': 'Quantity'});
    this.kind = element('select', {id: 'heat-kind', 'aria-label': 'Of what'});
    const choice = element('div', {class: 'card', 'data-what': 'choice'}, element('div', {class: 'choices'}, element('h3', {}, 'Any other:'), this.what, element('label', {}, 'of ', this.kind)), body());
    this.choice = choice;
    for (const select of [this.what, this.kind]) select.addEventListener('change', () => { this.options(); this.chosen(); });
    byId('heat-cards').append(...this.cards.map(card => card.node), choice);
  },
  options() {
    const has = kind => RUNS.some(run => (run.structure.kinds?.[kind] ?? []).some(signal => signal.statistics));
    const kinds = Object.keys(KINDS).filter(kind => has(kind) && (!STORE || RUNS[0].structure.heat.some(([, other]) => other === kind)));
    fill(this.kind, kinds.map(kind => [kind, KINDS[kind]]), this.kind.value || 'output');
    const whats = Object.keys(WHATS).filter(what => offered(RUNS[0], what, this.kind.value) && (what !== 'update_ratio' || this.kind.value === 'weight') && (what !== 'dead' || this.kind.value === 'output'));
    fill(this.what, whats.map(what => [what, WHATS[what]]), this.what.value || 'mean');
  },
  async chosen() {
    if (!this.kind.value) { this.choice.hidden = true; return; }
    this.choice.hidden = false;
    await heatCard(this.choice, this.what.value, this.kind.value);
  },
  async draw() {
    this.options();
    for (const {what, kind, node} of this.cards) await heatCard(node, what, kind);
    await this.chosen();
  },
});
