// Plotly's charts in the page's colours; those over steps carry the slider's line.

const CONFIG = {displaylogo: false, responsive: true, displayModeBar: false};
const overSteps = new Set();  // charts with the line
const inSight = new Set();
const watcher = new IntersectionObserver(entries => {
  for (const {target, isIntersecting} of entries) {
    if (isIntersecting) { inSight.add(target); moveLine(target); }
    else inSight.delete(target);
  }
});

const colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const isDark = () => document.documentElement.dataset.theme === 'dark';
const cursor = () => ({type: 'line', xref: 'x', yref: 'paper', x0: clock.step, x1: clock.step, y0: 0, y1: 1, line: {color: colour('ink'), width: 1.4, dash: 'solid'}, opacity: .75});

function layout(extra = {}) {
  const axis = {gridcolor: colour('grid'), linecolor: colour('line'), zerolinecolor: colour('line'), tickcolor: colour('line'), automargin: true, zeroline: false};
  const {xaxis = {}, yaxis = {}, ...rest} = extra;
  return {
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
    font: {family: 'system-ui, "Segoe UI", "Liberation Sans", Arial, sans-serif', size: 13.5, color: colour('ink')},
    margin: {l: 58, r: 14, t: 10, b: 40}, showlegend: false, hovermode: 'closest', uirevision: 'kept', separators: '. ',
    legend: {orientation: 'h', y: 1.02, yanchor: 'bottom', x: 0}, bargap: 0,
    hoverlabel: {bgcolor: colour('paper'), bordercolor: colour('line'), font: {color: colour('ink')}},
    xaxis: {...axis, ...xaxis}, yaxis: {...axis, ...yaxis}, ...rest,
  };
}

const steps = (extra = {}) => ({title: {text: 'step', standoff: 4}, range: [clock.first - .5, Math.max(clock.last, clock.first + 1) + .5], ...extra});

async function draw(chart, traces, given, withLine = false) {
  const wanted = layout(given);
  if (withLine) wanted.shapes = [cursor(), ...(given.shapes ?? [])];
  const fresh = !chart.classList.contains('js-plotly-plot');
  if (fresh) chart.replaceChildren();
  await Plotly.react(chart, traces, wanted, CONFIG);
  chart.lineAt = withLine ? clock.step : null;
  if (fresh && withLine) {
    overSteps.add(chart);
    watcher.observe(chart);
    chart.on('plotly_click', event => clock.go(Math.round(event.points[0].x)));
  }
}

function moveLine(chart) {
  if (!chart.isConnected) { overSteps.delete(chart); watcher.unobserve(chart); inSight.delete(chart); return; }
  if (chart.lineAt === clock.step || !chart.layout?.shapes?.length) return;
  chart.lineAt = clock.step;
  Plotly.relayout(chart, {'shapes[0].x0': clock.step, 'shapes[0].x1': clock.step});
}

const moveLines = () => inSight.forEach(moveLine);

function say(chart, text) {
  if (chart.classList.contains('js-plotly-plot')) Plotly.purge(chart);
  overSteps.delete(chart);
  chart.className = 'chart-none';
  chart.replaceChildren(missing(text));
}

// A chart's place may have held a sentence before there was anything to draw
function place(chart, kind = 'chart') {
  if (chart.className === 'chart-none') chart.className = kind;
  return chart;
}

function title(run, ...words) {
  const dot = RUNS.length > 1 ? element('span', {class: `dot ${run.colour}`}) : null;
  const name = RUNS.length > 1 ? element('b', {}, run.state.name) : null;
  return element('div', {class: 'plot-title'}, dot, name, ...words);
}

const powers = (low, high) => {
  const first = Math.ceil(low), count = Math.max(1, Math.floor(high) - first + 1), every = Math.ceil(count / 6);
  const values = Array.from({length: count}, (_, i) => first + i).filter((_, i) => i % every === 0);
  return {tickvals: values, ticktext: values.map(value => `10<sup>${value}</sup>`)};
};
const SEQUENTIAL = 'Viridis';
const diverging = () => isDark() ? [[0, '#4f8fe0'], [.5, '#343a42'], [1, '#f0894a']] : [[0, '#2b6cb8'], [.5, '#f1f1ee'], [1, '#c94f12']];
const bad = () => isDark() ? [[0, '#262c34'], [1, '#ff8f7a']] : [[0, '#eef0f2'], [1, '#b3261e']];
const ranked = () => isDark() ? [[0, '#ffe08a'], [.3, '#7fb0ff'], [1, '#2a3a50']] : [[0, '#7a1f5c'], [.3, '#3f6fb5'], [1, '#d9e5f3']];
