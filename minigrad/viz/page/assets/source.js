// Where data come from: the server, or what stands in an exported page.

const inside = byId('store');
const STORE = inside ? JSON.parse(inside.textContent) : null;
const RUNS = Array.from({length: Number(document.querySelector('meta[name=runs]').content)}, (_, index) => (
  {index, colour: index ? 'b' : 'a', known: new Map(), state: {}, structure: {}}
));

const address = (question, run, parameters) =>
  `api/${question}?run=${run.index}` + Object.entries(parameters).map(([name, value]) => `&${name}=${encodeURIComponent(value)}`).join('');

// An answer; {missing: why} for what there is not
async function ask(question, run, parameters = {}, more = {}) {
  if (STORE) return STORE.answers[address(question, run, parameters)] ?? {missing: 'It is not in this file; the served page has it.'};
  const response = await fetch(address(question, run, {...parameters, ...more}));
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ?? response.statusText);
  return answer;
}

// The same, for answers that grow: only what is new is asked for, and joined to what is known.
// `opened` makes an answer's parts of steps, which are kept: an object of arrays over steps, `steps` among them.
async function grown(question, run, parameters, opened) {
  const key = address(question, run, parameters);
  const old = run.known.get(key);
  if (STORE && old) return old;
  const since = old?.steps?.length ? {after: old.steps[old.steps.length - 1], [old.unit]: old[old.unit]} : {};
  const answer = await ask(question, run, parameters, since);
  if (answer.missing) return answer;
  const unit = 'every' in answer ? 'every' : 'width';
  const fresh = {...answer, ...opened(answer), unit};
  if (old && !old.missing && answer.from > 0 && old[unit] === answer[unit]) {
    const kept = old.steps.findIndex(step => step >= answer.from);
    const count = kept < 0 ? old.steps.length : kept;
    for (const name of Object.keys(opened(answer))) fresh[name] = old[name].slice(0, count).concat(fresh[name]);
  }
  run.known.set(key, fresh);
  return fresh;
}

const transposed = rows => rows.length ? rows[0].map((_, column) => rows.map(row => row[column])) : [];

const heat = (run, what, kind) => grown('heat', run, {what, kind}, answer => ({steps: answer.steps, columns: transposed(unpacked(answer.values))}));
const histograms = (run, kind, name) => grown('histograms', run, {kind, name}, answer => (
  {steps: answer.steps, lower: unpacked(answer.lower), upper: unpacked(answer.upper), counts: unpacked(answer.counts)}
));
const units = (run, kind, name, what) => grown('units', run, {kind, name, what}, answer => ({steps: answer.steps, rows: unpacked(answer.values)}));

// Lines have steps of their own, each
async function lines(run) {
  const old = run.known.get('lines');
  const last = old ? Math.max(-1, ...Object.values(old.series).map(([steps]) => steps[steps.length - 1])) : -1;
  if (STORE && old) return old;
  const answer = await ask('lines', run, {}, old ? {after: last, width: old.width} : {});
  if (old && answer.from > 0 && old.width === answer.width) {
    for (const [name, [steps, values]] of Object.entries(old.series)) {
      const count = steps.findIndex(step => step >= answer.from);
      const [more, others] = answer.series[name] ?? [[], []];
      answer.series[name] = count < 0 ? [steps.concat(more), values.concat(others)] : [steps.slice(0, count).concat(more), values.slice(0, count).concat(others)];
    }
  }
  run.known.set('lines', answer);
  return answer;
}

// Looks how far a run is; true if anything is new
async function look(run) {
  const before = run.state;
  const state = await ask('state', run);
  if (JSON.stringify(state) === JSON.stringify(before)) return false;
  if (state.generation !== before.generation) run.known.clear(); // training went back
  run.state = state;
  if (state.structure !== before.structure) run.structure = await ask('structure', run);
  return true;
}

function graphPage(run, step) {
  const name = `graph?run=${run.index}&step=${step}`;
  return STORE ? {srcdoc: STORE.graphs[name]} : {src: name};
}

const graphSteps = run => (run.structure.graphs ?? []).filter(step => !STORE || `graph?run=${run.index}&step=${step}` in STORE.graphs);
const offered = (run, what, kind) => !STORE || run.structure.heat.some(([w, k]) => w === what && k === kind);
