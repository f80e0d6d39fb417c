// Putting it together: theme, first drawing, and looking for what is new.

const PAUSE = 2000; // milliseconds between two looks at a run that is being recorded

function theme(wanted) {
  document.documentElement.dataset.theme = wanted;
}

function wireTheme() {
  const system = matchMedia('(prefers-color-scheme: dark)');
  theme(system.matches ? 'dark' : 'light');
  system.addEventListener('change', () => { theme(system.matches ? 'dark' : 'light'); drawAll(); });
  byId('theme').addEventListener('click', () => { theme(isDark() ? 'light' : 'dark'); drawAll(); });
}

function span() {
  const known = RUNS.filter(run => run.state.last != null);
  clock.span(Math.min(...known.map(run => run.state.first), known.length ? Infinity : 0), Math.max(...known.map(run => run.state.last), 0));
}

const visible = section => { const {top, bottom} = byId(section.id).getBoundingClientRect(); return bottom > -200 && top < innerHeight + 200; };

let drawing = Promise.resolve();
// One after the other: a section is never drawn twice at once
function drawStale(which = visible) {
  drawing = drawing.then(async () => {
    for (const section of SECTIONS.filter(section => section.stale && which(section))) {
      section.stale = false;
      try { await section.draw(); } catch (error) { trouble(error); }
    }
  });
  return drawing;
}

function drawAll(which = () => true) {
  for (const section of SECTIONS) section.stale = true;
  return drawStale(which);
}

function trouble(error) {
  console.error(error);
  byId('footer').replaceChildren(element('span', {class: 'trouble'}, `Something went wrong: ${error.message}`));
}

// A run that is finished is looked at, too: it may be gone on with
async function watch() {
  for (;;) {
    await new Promise(done => setTimeout(done, document.hidden ? 5 * PAUSE : PAUSE));
    try {
      let fresh = false;
      for (const run of RUNS) fresh = await look(run) || fresh;
      if (!fresh) { SECTIONS[0].stand(); continue; }
      span();
      byId('following').hidden = RUNS.every(run => run.state.finished);
      // What is out of sight waits until it comes into sight; heads and lines are cheap
      await drawAll(section => visible(section) || ['overview', 'loss', 'notes'].includes(section.id));
    } catch (error) {
      byId('readout').textContent = 'the server does not answer';
    }
  }
}

async function begin() {
  wireTheme();
  wireClock();
  for (const section of SECTIONS) section.wire?.();
  for (const run of RUNS) await look(run);
  span();
  byId('following').hidden = !!STORE || RUNS.every(run => run.state.finished);
  clock.set(clock.last);
  await drawAll();
  document.documentElement.dataset.ready = 'yes';
  addEventListener('scroll', () => { if (SECTIONS.some(section => section.stale && visible(section))) drawStale(); }, {passive: true});
  if (!STORE) watch();
}

begin().catch(trouble);
