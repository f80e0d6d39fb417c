// The graph of the recorded step at or before the slider's, in a frame of its own, which can touch nothing here.

SECTIONS.push({
  id: 'graph',
  shown: '', near: false,
  wire() {
    byId('graph-run').addEventListener('change', () => this.at());
    byId('graph-back').addEventListener('click', () => this.turn(-1));
    byId('graph-next').addEventListener('click', () => this.turn(1));
    new IntersectionObserver(entries => { this.near = entries.at(-1).isIntersecting; if (this.near) this.at(); }, {rootMargin: '300px'}).observe(byId('graph'));
  },
  run() { return RUNS[Number(byId('graph-run').value) || 0]; },
  turn(by) {
    const at = graphSteps(this.run());
    clock.go(at[Math.min(at.length - 1, Math.max(0, placeAt(at, clock.step) + by))]);
  },
  draw() {
    fill(byId('graph-run'), RUNS.map(run => [String(run.index), run.state.name]));
    byId('graph-runs').hidden = RUNS.length < 2;
    this.at();
  },
  at() {
    const run = this.run(), at = graphSteps(run), place = placeAt(at, clock.step), box = byId('graph-frame');
    byId('graph-back').disabled = place <= 0;
    byId('graph-next').disabled = place < 0 || place >= at.length - 1;
    if (place < 0) {
      byId('graph-step').textContent = '';
      if (this.shown !== 'none') box.replaceChildren(missing('\u00a0 No graph of a step was recorded.'));
      this.shown = 'none';
      return;
    }
    byId('graph-step').replaceChildren('step ', element('b', {}, shown(at[place])), ` (${place + 1} of ${at.length} recorded)`);
    const key = `${run.index} ${at[place]}`;
    if (key === this.shown || clock.playing || !this.near) return;
    this.shown = key;
    box.replaceChildren(element('iframe', {sandbox: 'allow-scripts', title: `The operations of step ${at[place]}`, ...graphPage(run, at[place])}));
  },
});
