// The head of the page, the few numbers that tell how far a run is, and its settings.

const SECTIONS = [];

function standing({state}) {
  if (state.count === 0) return state.finished ? 'finished without a step' : 'no step yet';
  if (state.finished) return `finished, ${shown(state.last)} steps`;
  const silent = Date.now() / 1000 - (state.last_time ?? 0);
  if (STORE) return `recorded up to step ${shown(state.last)}`;
  return silent < Math.max(30, 20 * (state.seconds ?? 0)) ? `training, step ${shown(state.last)}` : `stopped at step ${shown(state.last)}, ${duration(silent)} ago`;
}

const flat = (settings, prefix = '') => Object.entries(settings ?? {}).flatMap(([name, value]) =>
  value && typeof value === 'object' && !Array.isArray(value) && Object.keys(value).length ? flat(value, `${prefix}${name}.`) : [[prefix + name, value]]);

SECTIONS.push({
  id: 'overview',
  stand() { // what is told by the time that passes, too
    byId('names').replaceChildren(...RUNS.map(run => element('div', {class: 'run'},
      element('span', {class: `dot ${run.colour}`}), element('b', {title: run.state.name}, run.state.name), element('small', {}, standing(run)))));
  },
  draw() {
    this.stand();
    byId('overview').replaceChildren(...RUNS.map(run => {
      const {state, structure} = run;
      const tile = (value, text) => element('div', {class: 'tile'}, element('b', {}, value), element('small', {}, text));
      const weights = structure.kinds?.weight ?? [];
      const count = weights.reduce((sum, {shape}) => sum + shape.reduce((a, b) => a * b, 1), 0);
      const tiles = [tile(shown(state.count), 'steps recorded'), tile(shown(state.loss), 'last loss')];
      const last = (structure.epochs ?? []).at(-1) ?? {};
      for (const name of Object.keys(last).filter(isMetric).slice(0, 3)) tiles.push(tile(shown(last[name], 4), `${name.replaceAll('_', ' ')}, epoch ${last.epoch}`));
      if (weights.length) tiles.push(tile(count >= 1e6 ? `${shown(count / 1e6)} M` : shown(count), `parameters in ${weights.length} tensors`));
      if (state.seconds != null) tiles.push(tile(state.seconds < 1 ? `${shown(1000 * state.seconds, 2)} ms` : `${shown(state.seconds, 2)} s`, 'per step (median)'));
      const notes = structure.notes ?? [];
      tiles.push(tile(shown(notes.length), notes.length === 1 ? 'note' : 'notes'));
      if (RUNS.length > 1) tiles.unshift(element('span', {class: `dot ${run.colour}`}));
      return element('div', {class: 'tiles'}, ...tiles);
    }));
    this.at();
    settings();
  },
  at() {
    const texts = RUNS.map(run => {
      const series = run.known.get('lines')?.series ?? {};
      const value = name => { const [at, values] = series[name] ?? [[], []]; return at.length && at[0] <= clock.step ? values[placeAt(at, clock.step)] : null; };
      const epoch = value('epoch');
      return element('span', {}, RUNS.length > 1 ? element('i', {class: `dot ${run.colour}`}) : null, `${epoch == null ? '' : ` epoch ${epoch} ·`} loss ${shown(value('loss'))}`);
    });
    byId('readout').replaceChildren(...texts);
  },
});

function settings() {
  const tables = RUNS.map(run => new Map(flat(run.structure.configuration)));
  const names = [...new Set(tables.flatMap(table => [...table.keys()]))];
  const text = value => value === undefined ? '–' : typeof value === 'string' ? value : JSON.stringify(value);
  const differ = name => RUNS.length > 1 && text(tables[0].get(name)) !== text(tables[1].get(name));
  const table = chosen => element('table', {}, element('tr', {}, element('th', {}, 'setting'), ...RUNS.map(run => element('th', {}, run.state.name))),
    ...chosen.map(name => element('tr', {}, element('td', {}, name), ...tables.map(table => element('td', {}, text(table.get(name)))))));
  const recorder = name => name.startsWith('recorder.');
  const different = names.filter(differ), same = names.filter(name => !differ(name) && !recorder(name)), cadence = names.filter(name => !differ(name) && recorder(name));
  const parts = [];
  if (RUNS.length > 1) parts.push(different.length ? table(different) : missing('The two runs were recorded with the same settings.'));
  if (same.length) parts.push(RUNS.length > 1 ? element('details', {}, element('summary', {}, `${same.length} settings that are the same`), table(same)) : table(same));
  if (cadence.length) parts.push(element('details', {}, element('summary', {}, 'What was recorded, and how often'), table(cadence)));
  for (const run of RUNS) {
    if (run.structure.model) parts.push(element('details', {}, element('summary', {}, RUNS.length > 1 ? `The model of ${run.state.name}` : 'The model'), element('pre', {}, run.structure.model)));
  }
  const versions = Object.entries(RUNS[0].structure.versions ?? {}).map(([name, version]) => `${name} ${version}`).join(', ');
  const open = [...byId('setting-table').querySelectorAll('details')].map(part => part.open);
  byId('setting-table').replaceChildren(...(parts.length ? parts : [missing('No settings were recorded.')]));
  [...byId('setting-table').querySelectorAll('details')].forEach((part, i) => { part.open = open[i] ?? false; });
  byId('footer').textContent = `Drag in a chart to zoom, double-click to go back; a click goes to that step. Keys: ← →, with Shift by ten, space plays. Recorded ${(RUNS[0].state.started ?? '').slice(0, 16).replace('T', ' ')} UTC${versions ? ` with ${versions}` : ''}.`;
}
