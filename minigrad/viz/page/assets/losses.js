// Loss, learning rates, metrics by epoch, seconds.

const LOSSY = /loss/i;
const isMetric = name => !/^(epoch|step|lr|rate)$|loss|seconds|time|memory|per_second|learning_rate/i.test(name);

// A mean that forgets exponentially, over a sixtieth of the run
function smoothed(at, values) {
  const reach = Math.max(1, (clock.last - clock.first) / 60);
  let mean = null, weight = 0, before = at[0];
  return values.map((value, i) => {
    if (value == null) return mean == null ? null : mean / weight;
    const kept = Math.exp(-(at[i] - before) / reach);
    before = at[i];
    mean = (mean ?? 0) * kept + value;
    weight = weight * kept + 1;
    return mean / weight;
  });
}

SECTIONS.push({
  id: 'loss',
  wire() { byId('log-loss').addEventListener('change', () => this.draw()); },
  async draw() {
    for (const run of RUNS) await lines(run);
    const named = (run, text) => RUNS.length > 1 ? `${run.state.name}: ${text}` : text;
    const loss = [], rates = [], metrics = [], seconds = [];
    for (const run of RUNS) {
      const {series} = run.known.get('lines');
      const own = colour(run.colour);
      if (series.loss) {
        const [at, values] = series.loss;
        loss.push({x: at, y: values, name: named(run, 'each step'), mode: 'lines', line: {color: own, width: 1}, opacity: .35, hoverinfo: 'skip'});
        loss.push({x: at, y: smoothed(at, values), name: named(run, 'mean of the last steps'), mode: 'lines', line: {color: own, width: 2.6}, hovertemplate: 'step %{x}: %{y:.4g}<extra></extra>'});
      }
      const epochs = run.structure.epochs ?? [];
      const at = epochs.map(epoch => epoch.step);
      const dashes = ['dot', 'dash', 'longdash', 'dashdot'];
      const names = [...new Set(epochs.flatMap(Object.keys))];
      names.filter(name => LOSSY.test(name) && !/train/i.test(name)).forEach((name, i) => loss.push({
        x: at, y: epochs.map(epoch => epoch[name] ?? null), name: named(run, name.replaceAll('_', ' ')), mode: 'lines+markers', line: {color: own, width: 1.6, dash: dashes[i % 4]}, marker: {size: 7, color: own}, hovertemplate: `${name}, step %{x}: %{y:.4g}<extra></extra>`,
      }));
      names.filter(isMetric).forEach((name, i) => metrics.push({
        x: at, y: epochs.map(epoch => epoch[name] ?? null), name: named(run, name.replaceAll('_', ' ')), mode: 'lines+markers', line: {color: own, width: 2, dash: i ? dashes[(i - 1) % 4] : 'solid'}, marker: {size: 6, color: own}, hovertemplate: `${name}, step %{x}: %{y:.4g}<extra></extra>`,
      }));
      Object.keys(series).filter(name => name.startsWith('rate ')).forEach((name, i) => rates.push({
        x: series[name][0], y: series[name][1], name: named(run, `group ${name.slice(5)}`), mode: 'lines', line: {color: own, width: 2, dash: i ? dashes[(i - 1) % 4] : 'solid'}, hovertemplate: 'step %{x}: %{y:.4g}<extra></extra>',
      }));
      if (series.seconds) seconds.push({x: series.seconds[0], y: series.seconds[1], name: run.state.name, mode: 'lines', line: {color: own, width: 1}, hovertemplate: 'step %{x}: %{y:.3g} s<extra></extra>'});
    }
    const type = byId('log-loss').checked ? 'log' : 'linear';
    const chart = (id, traces, text, extra, kind) => traces.length
      ? draw(place(byId(id), kind), traces, {xaxis: steps(), ...extra, showlegend: extra.showlegend ?? traces.length > 1}, true)
      : say(byId(id), text);
    await chart('loss-chart', loss, 'No loss has been recorded yet.', {yaxis: {title: {text: 'loss'}, type}, showlegend: true}, 'chart tall');
    const groups = rates.length > RUNS.length;
    await chart('rate-chart', rates, 'No learning rates were recorded: the recorder was not given the optimiser.', {yaxis: {title: {text: 'rate'}, rangemode: 'tozero'}, showlegend: groups}, 'chart');
    await chart('metric-chart', metrics, 'No metrics have been recorded: an epoch has to end first.', {yaxis: metrics.length === 1 ? {title: {text: metrics[0].name}} : {}}, 'chart');
    const highest = Math.max(...seconds.map(trace => quantile(finite(trace.y).sort((a, b) => a - b), .98)));
    await chart('time-chart', seconds, 'No times were recorded.', {yaxis: {title: {text: 'seconds'}, range: [0, 1.6 * highest]}, showlegend: false}, 'chart');
    SECTIONS.find(section => section.id === 'overview').at();
  },
});
