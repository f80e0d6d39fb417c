// The one step that the slider, the keys and playing move, and all charts follow.

const clock = {
  step: 0, first: 0, last: 0, playing: false, follow: !STORE, at: 0, waiting: false,
  go(step) {
    this.follow = this.follow && step >= this.last;
    byId('follow').checked = this.follow;
    this.set(step);
  },
  set(step) {
    this.step = Math.min(this.last, Math.max(this.first, Math.round(step) || 0));
    byId('slider').value = this.step;
    if (document.activeElement !== byId('step')) byId('step').value = this.step;
    if (!this.waiting) {
      this.waiting = true;
      requestAnimationFrame(() => { this.waiting = false; moveLines(); for (const section of SECTIONS) section.at?.(); });
    }
  },
  span(first, last) {
    [this.first, this.last] = [first, last];
    for (const input of [byId('slider'), byId('step')]) { input.min = first; input.max = last; }
    this.set(this.follow ? last : this.step);
  },
  play(wanted = !this.playing) {
    this.playing = wanted;
    byId('play').textContent = wanted ? '❚❚' : '▶';
    byId('play').setAttribute('aria-label', wanted ? 'Pause' : 'Play');
    if (!wanted) { for (const section of SECTIONS) section.at?.(); return; }
    this.follow = false;
    byId('follow').checked = false;
    this.at = this.step >= this.last ? this.first : this.step;
    let before = performance.now();
    const tick = now => {
      if (!this.playing) return;
      this.at += (now - before) / 1000 * Number(byId('speed').value) * Math.max(2, (this.last - this.first) / 24); // the whole run in 24 seconds
      before = now;
      if (Math.round(this.at) !== this.step) this.set(this.at);
      if (this.at >= this.last) this.play(false);
      else setTimeout(() => requestAnimationFrame(tick), 50);
    };
    requestAnimationFrame(tick);
  },
};

function wireClock() {
  byId('slider').addEventListener('input', event => clock.go(Number(event.target.value)));
  byId('step').addEventListener('change', event => clock.go(Number(event.target.value)));
  byId('play').addEventListener('click', () => clock.play());
  byId('follow').addEventListener('change', event => { clock.follow = event.target.checked; if (clock.follow) { clock.play(false); clock.set(clock.last); } });
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest('select, input[type=number], summary, a, button') && event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
    if (event.target.closest('select, input[type=number]')) return;
    const tenth = Math.max(1, Math.round((clock.last - clock.first) / 20));
    const moves = {ArrowLeft: event.shiftKey ? -10 : -1, ArrowRight: event.shiftKey ? 10 : 1, PageUp: -tenth, PageDown: tenth};
    const slider = event.target === byId('slider');
    if (event.key === ' ') clock.play();
    else if (event.key.startsWith('Page') && !slider) return; // they scroll
    else if (event.key in moves) clock.go(clock.step + moves[event.key]);
    else return;
    event.preventDefault();
  });
}
