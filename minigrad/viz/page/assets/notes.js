// What rules noticed, up to the slider's step.

const MOST = 200;

SECTIONS.push({
  id: 'notes',
  draw() {
    const span = Math.max(1, clock.last - clock.first);
    byId('marks').replaceChildren(...RUNS.flatMap(run => (run.structure.notes ?? []).slice(-400).map(([step, severity]) =>
      element('i', {class: severity, style: {left: `${100 * (step - clock.first) / span}%`}}))));
    this.at(true);
  },
  at(again = false) {
    const all = RUNS.flatMap(run => (run.structure.notes ?? []).map(note => [run, ...note])).sort((a, b) => a[1] - b[1]);
    const past = all.filter(([, step]) => step <= clock.step), box = byId('note-list');
    const key = `${all.length} ${past.length}`;
    if (!again && key === this.shown) return;
    this.shown = key;
    if (!all.length) return box.replaceChildren(missing('Nothing was noticed: no rule spoke, or none was given to the recorder.'));
    const recent = past.slice(-MOST).reverse();
    box.replaceChildren(element('p', {class: 'how'}, `${shown(past.length)} of ${shown(all.length)} notes, the latest first${past.length > MOST ? `; the latest ${MOST} are shown` : ''}.`),
      element('div', {class: 'card'}, element('table', {}, element('tr', {}, ...(RUNS.length > 1 ? ['run'] : []).concat(['step', '', 'rule', 'about', 'what']).map(head => element('th', {}, head))),
        ...recent.map(([run, step, severity, rule, signal, unit, text]) => element('tr', {},
          RUNS.length > 1 ? element('td', {}, element('span', {class: `dot ${run.colour}`})) : null,
          element('td', {}, element('button', {type: 'button', onclick: () => clock.go(step)}, shown(step))), element('td', {class: `severity ${severity}`}, severity),
          element('td', {}, rule), element('td', {}, `${signal ?? ''}${unit == null ? '' : `, unit ${unit}`}`), element('td', {}, text))))));
  },
});
