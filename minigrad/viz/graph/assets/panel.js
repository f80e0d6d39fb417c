// The panel beside the graph: all that was recorded of one operation or module, or an overview.

const FIELDS = ['count', 'nans', 'infs', 'zeros', 'minimum', 'maximum', 'mean', 'std', 'skewness', 'kurtosis', 'norm'];
const COUNTS = new Set(['count', 'nans', 'infs', 'zeros']);

const section = (title, ...content) => {
  const filled = content.flat(Infinity).filter(Boolean);
  return filled.length ? html('section', {}, html('h3', {}, title), ...filled) : null;
};
const rows = (pairs) => html('table', { class: 'pairs' }, pairs.filter((pair) => pair && pair[1] !== null && pair[1] !== undefined && pair[1] !== '')
  .map(([name, value]) => html('tr', {}, html('th', { scope: 'row' }, name), html('td', {}, value))));

const linkTo = (box, text) => html('button', { class: 'link', 'data-go': box.number }, text ?? nameOf(box));
const linkToRecord = (n) => linkTo(boxes[boxOf.get(n)], fullName(records[n]));
const nameOf = (box) => (box.record !== null ? fullName(records[box.record]) : box.path || box.title);
const fullName = (record) => (record.module ? `${record.module} · ${record.name}` : record.name);
const mono = (text) => html('code', {}, text);

function breadcrumbs(box) {
  const trail = [...around(box), ...(box.kind === 'module' ? [box] : [])];
  if (!trail.length) return html('nav', { class: 'trail' }, html('button', { class: 'link', 'data-go': ROOT }, 'overview'));
  return html('nav', { class: 'trail', 'aria-label': 'Modules around it' }, html('button', { class: 'link', 'data-go': ROOT }, 'overview'),
    trail.map((outer) => [' › ', linkTo(outer, outer.title)]));
}

function tensorRows(tensor, arrives) {
  if (!tensor.shape) return html('tr', { class: 'top' }, html('th', { scope: 'row' }, tensor.name), html('td', { colspan: 3 }, mono(tensor.value === null || tensor.value === undefined ? 'none' : String(tensor.value))));
  const origin = tensor.parent !== null && tensor.parent !== undefined ? ['from ', linkToRecord(tensor.parent)]
    : tensor.parameter ? ['parameter ', mono(tensor.parameter)] : arrives ? 'from outside' : null;
  return [html('tr', { class: 'top' }, html('th', { scope: 'row' }, tensor.name), html('td', {}, mono(shape(tensor.shape))),
    html('td', {}, tensor.dtype, html('small', {}, ` ${tensor.device}`)), html('td', { class: 'number' }, bytes(tensor.bytes))),
  html('tr', {}, html('td'), html('td', { colspan: 3 }, html('small', {}, origin ? [origin, ' · '] : null, 'strides ', (tensor.strides ?? []).join(', ') || '–')))];
}

function tensorTable(tensors, arrives) {
  return tensors.length ? html('table', { class: 'tensors' }, tensors.map((tensor) => tensorRows(tensor, arrives))) : null;
}

function statisticsTable(output, gradient) {
  if (!output && !gradient) return null;
  const cell = (s, field) => {
    if (!s || s[field] === undefined) return html('td', { class: 'number' }, '–');
    const value = COUNTS.has(field) ? whole(s[field]) : short(s[field]);
    const share = field === 'zeros' && s.count && s.zeros ? html('small', {}, ` ${percent(s.zeros / s.count)}`) : null;
    const bad = (field === 'nans' || field === 'infs') && s[field] > 0;
    return html('td', { class: `number${bad ? ' bad' : ''}` }, value, share);
  };
  const quantile = (s, q) => html('td', { class: 'number' }, s?.quantiles?.[q] === undefined ? '–' : short(s.quantiles[q]));
  const quantiles = Object.keys(output?.quantiles ?? gradient?.quantiles ?? {}).sort((a, b) => a - b);
  return html('table', { class: 'statistics' }, html('thead', {}, html('tr', {}, html('td'), html('th', { scope: 'col', class: 'output' }, 'output'), html('th', { scope: 'col', class: 'gradient' }, 'gradient'))),
    FIELDS.map((field) => html('tr', {}, html('th', { scope: 'row' }, field), cell(output, field), cell(gradient, field))),
    quantiles.map((q) => html('tr', {}, html('th', { scope: 'row' }, `${short(100 * q)} % quantile`), quantile(output, q), quantile(gradient, q))));
}

function outputSection(tensor, alone) {
  const { statistics, gradient } = tensor;
  if (!statistics && !gradient) return null;
  const drawings = [[statistics, 'output'], [gradient, 'gradient']].map(([s, kind]) => {
    const drawn = s && histogram(s, kind);
    return drawn ? html('figure', {}, html('figcaption', {}, `${kind} of ${tensor.name}`), drawn) : null;
  });
  return html('details', { open: alone }, html('summary', {}, `Values of ${tensor.name}`, html('small', {}, ` ${shape(tensor.shape)}`)), drawings, statisticsTable(statistics, gradient));
}

function updateSection(parameters) {
  const wanted = page.updates.filter((u) => parameters.has(u.parameter));
  if (!wanted.length) return null;
  const norm = (s) => number(s?.norm ?? null);
  const ratio = (u) => (norm(u.change) !== null && norm(u.weight) ? norm(u.change) / norm(u.weight) : null);
  return section('Updates', html('table', { class: 'updates' }, html('thead', {}, html('tr', {}, ['parameter', '‖weight‖', '‖gradient‖', '‖change‖ / ‖weight‖'].map((h) => html('th', { scope: 'col' }, h)))),
    wanted.slice(0, 200).map((u) => html('tr', {}, html('th', { scope: 'row' }, mono(u.parameter)), [norm(u.weight), norm(u.gradient), ratio(u)].map((v) => html('td', { class: 'number' }, short(v)))))),
  wanted.length > 200 ? html('p', { class: 'muted' }, `and ${wanted.length - 200} more`) : null);
}

function recordPanel(box) {
  const r = records[box.record];
  const { source } = r;
  const time = (r.forward_seconds ?? 0) + (r.gradient_seconds ?? 0);
  const rate = r.forward_seconds > 0 && r.flops > 0 ? `${scaled(r.flops / r.forward_seconds, 1000, ['', 'k', 'M', 'G', 'T'])}FLOP/s` : null;
  const parts = records.filter((other) => other.inside === r.number);
  const linksOf = (numbers) => (numbers.length ? html('ul', { class: 'links' }, numbers.map((n) => html('li', {}, linkToRecord(n)))) : null);
  const parameters = new Set(r.inputs.map((x) => x.parameter).filter(Boolean));
  return [breadcrumbs(box), html('h2', {}, r.name, box.title !== r.op && box.title !== r.name ? html('small', {}, ` ${box.title}`) : null),
    html('p', { class: 'kind' }, 'operation ', mono(r.op), r.module !== null ? [' in ', mono(r.module || '(root)')] : ' outside of any module', page.classes[r.module] ? ` (${page.classes[r.module]})` : null,
      r.modules.length > 1 ? [', with ', r.modules.slice(1).map((m, i) => [i ? ', ' : '', mono(m)])] : null, r.random ? ', random' : null),
    parts.length ? html('p', {}, html('button', { class: 'small', 'data-parts': box.number }, isOpen.has(box.number) ? 'Hide its parts' : `Show its ${parts.length} parts`)) : null,
    source ? html('div', { class: 'source' }, html('div', {}, `${source.file}:${source.line}`, source.function ? ` in ${source.function}` : null), html('pre', {}, source.text)) : null,
    section('Mathematics', rows([['forward', r.formula && html('code', { class: 'formula' }, r.formula)], ['gradient', r.gradient_formula && html('code', { class: 'formula' }, r.gradient_formula)], ['source', r.reference]])),
    section('Cost', rows([['forward', seconds(r.forward_seconds)], ['gradient', r.gradient_seconds === null ? 'none ran' : seconds(r.gradient_seconds)],
      ['share of the time', html('span', { class: 'share' }, meter(total.time ? time / total.time : 0), percent(total.time ? time / total.time : 0))],
      ['FLOPs, forward', flops(r.flops)], ['speed, forward', rate], ['intensity', r.intensity === null ? null : `${short(r.intensity, 3)} FLOP per byte`],
      ['allocated', bytes(r.bytes_allocated)], ['kept for the gradient', bytes(r.bytes_saved)], ['freed', bytes(r.bytes_freed)], ['batch number', r.batch]])),
    section('Inputs', tensorTable(r.inputs, true)), section('Outputs', tensorTable(r.outputs, false)),
    section('Options', rows(Object.entries(r.params).map(([name, value]) => [name, mono(JSON.stringify(value))]))),
    section('Values', r.outputs.map((y, i) => outputSection(y, i === 0))),
    updateSection(parameters),
    section('Reads from', linksOf(parentsOf(r))), section('Is read by', linksOf([...new Set(r.children)])), section('Parts', linksOf(parts.map((p) => p.number)))];
}

const total = { time: 0 };

function ranking(title, list, of, format, share) {
  const ranked = list.map((r) => [r, of(r)]).filter(([, v]) => v > 0).sort((a, b) => b[1] - a[1]).slice(0, 8);
  return ranked.length ? section(title, html('table', { class: 'ranking' }, ranked.map(([r, v]) => html('tr', {}, html('td', {}, linkToRecord(r.number)), html('td', { class: 'number' }, format(v)), html('td', {}, meter(share(v, ranked[0][1]))))))) : null;
}

function modulePanel(box) {
  const list = recordsIn(box), overview = box.number === ROOT;
  const forward = sum(list.map((r) => r.forward_seconds ?? 0)), gradient = sum(list.map((r) => r.gradient_seconds ?? 0));
  const under = (name) => overview || box.path === '' || name.startsWith(`${box.path}.`);
  const parameters = new Set(page.updates.map((u) => u.parameter).filter(under));
  return [overview ? null : breadcrumbs(box), html('h2', {}, overview ? 'Overview' : box.path || box.title, box.subtitle ? html('small', {}, ` ${box.subtitle}`) : null),
    rows([['operations', whole(list.length)], ['forward', seconds(forward)], ['gradient', seconds(gradient)],
      ['share of the time', overview ? null : html('span', { class: 'share' }, meter((forward + gradient) / (total.time || 1)), percent((forward + gradient) / (total.time || 1)))],
      ['FLOPs, forward', flops(sum(list.map((r) => r.flops ?? 0)))], ['allocated', bytes(sum(list.map((r) => r.bytes_allocated ?? 0)))],
      ['kept for the gradient', bytes(sum(list.map((r) => r.bytes_saved ?? 0)))], ['put out', box.detail], ['recorded at level', overview ? page.level : null]]),
    ranking('Not finite', list, nonFinite, (v) => `${whole(v)} values`, (v, most) => v / most),
    ranking('Slowest operations', list, MEASURES.time.of, seconds, (v, most) => v / most),
    ranking('Most zeros', list.filter((r) => MEASURES.dead.pair(r)?.[1]), (r) => { const [zeros, count] = MEASURES.dead.pair(r); return zeros / count; }, percent, (v) => v),
    updateSection(parameters),
    overview ? section('How to read it', html('p', {}, 'Data flow from top to bottom. A box is an operation; a stack of boxes is a module that is closed. A click on the triangle or a header opens and closes it, a click on a box shows its record here. Drag or scroll to move, Ctrl and scroll to zoom. Arrow keys go from box to box, Enter opens, / searches.')) : null];
}

function inputPanel(box) {
  return [breadcrumbs(box), html('h2', {}, box.title, html('small', {}, ' from outside')), rows([['shape', mono(box.detail)], ['dtype', box.subtitle]]),
    section('Is read by', html('ul', { class: 'links' }, box.reads.map((n) => html('li', {}, linkToRecord(n)))))];
}

function showPanel(panel, box) {
  const make = box.kind === 'input' ? inputPanel : box.kind === 'op' ? recordPanel : modulePanel;
  panel.replaceChildren(...make(box).flat(Infinity).filter(Boolean));
  panel.scrollTop = 0;
}
