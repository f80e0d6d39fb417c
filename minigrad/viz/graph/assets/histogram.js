// Small drawings for the panel.

// Bars of a histogram; edges may be given by their ends alone
function histogram(statistics, kind) {
  const { edges, counts } = statistics.histogram ?? {};
  if (!counts?.length || !edges?.length) return null;
  const width = 340, height = 74, base = height - 14, n = counts.length;
  const even = edges.length === n + 1 && n > 1 ? null : [number(edges[0]), number(edges.at(-1))];
  const edge = (i) => (even ? even[0] + ((even[1] - even[0]) * i) / n : number(edges[i]));
  const [low, high] = [edge(0), edge(n)], most = Math.max(...counts.map(number), 1e-30);
  const place = (v) => (high > low ? ((v - low) / (high - low)) * width : width / 2);
  const drawn = svg('svg', { viewBox: `0 0 ${width} ${height}`, class: `histogram ${kind}`, role: 'img', 'aria-label': `Histogram from ${short(low)} to ${short(high)}` });
  counts.forEach((count, i) => {
    const tall = (number(count) / most) * (base - 4);
    const x = high > low ? place(edge(i)) : (i * width) / n;
    const wide = high > low ? place(edge(i + 1)) - x : width / n;
    if (tall > 0) drawn.append(svg('rect', { x: x.toFixed(2), y: (base - Math.max(tall, 0.8)).toFixed(2), width: Math.max(0.5, wide - 0.6).toFixed(2), height: Math.max(tall, 0.8).toFixed(2) }, svg('title', {}, `${short(edge(i))} to ${short(edge(i + 1))}: ${whole(number(count))}`)));
  });
  drawn.append(svg('line', { x1: 0, x2: width, y1: base, y2: base, class: 'axis' }));
  if (low < 0 && high > 0) drawn.append(svg('line', { x1: place(0), x2: place(0), y1: 2, y2: base, class: 'zero' }), svg('text', { x: Math.min(width - 40, Math.max(40, place(0))), y: height - 3, 'text-anchor': 'middle' }, '0'));
  drawn.append(svg('text', { x: 0, y: height - 3 }, short(low, 3)), svg('text', { x: width, y: height - 3, 'text-anchor': 'end' }, short(high, 3)));
  return drawn;
}

// A share of the whole as a bar
function meter(share) {
  return svg('svg', { viewBox: '0 0 100 6', class: 'meter', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    svg('rect', { class: 'track', width: 100, height: 6, rx: 3 }), svg('rect', { width: Math.max(0.5, 100 * Math.min(1, share)), height: 6, rx: 3 }));
}
