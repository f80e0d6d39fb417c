// A drawing in layers that is too tall for a screen, folded into columns. The same steps as folding.py.

const SEPARATION = 26, GAP = 22, LANE = 9, TALL = 760, ASPECT = 1.35, CROSSING = 3, LITTLE = 0.8, MOST_COLUMNS = 40;

// The column of each layer
function fold(layers, tops, bottoms, x, widths, steps, rank) {
  const count = layers.length, height = bottoms.at(-1) ?? 0;
  let best = new Array(count).fill(0);
  if (height <= TALL) return best;
  const sources = layers.map(() => new Set());
  for (const [u, fromX] of steps) sources[rank[u]].add(`${u} ${fromX}`);
  let left = Infinity, right = -Infinity;
  x.forEach((value, v) => { left = Math.min(left, value - widths[v] / 2); right = Math.max(right, value + widths[v] / 2); });
  const width = right - left, crossing = sources.map((set) => set.size);
  let heaviest = 0;
  tops.forEach((y, r) => { heaviest = Math.max(heaviest, bottoms[r] - y); });
  let least = LITTLE * Math.max(width / ASPECT, height);
  const most = Math.min(MOST_COLUMNS, Math.round(height / heaviest) + 1);
  for (let columns = 2; columns <= most; columns += 1) {
    for (const slack of [1, 1.12, 1.25]) {
      const { column, tallest } = filled(tops, bottoms, crossing, Math.max(heaviest, (slack * height) / columns));
      const size = Math.max(((column[count - 1] + 1) * (width + SEPARATION + 4 * LANE)) / ASPECT, tallest + 2 * GAP);
      if (size < least) { best = column; least = size; }
    }
  }
  return best;
}

// Columns filled up to a height, one after the other, and the height of the tallest
function filled(tops, bottoms, crossing, share) {
  const column = [0];
  let since = 0, tallest = 0;
  for (let r = 1; r < tops.length; r += 1) {
    const cut = bottoms[r - 1] > tops[r - 1] && bottoms[r] > tops[r] && crossing[r - 1] > 0 && crossing[r - 1] <= CROSSING && bottoms[r] - since > share;
    column.push(column[r - 1] + (cut ? 1 : 0));
    tallest = Math.max(tallest, bottoms[r - 1] - since);
    if (cut) since = tops[r];
  }
  return { column, tallest: Math.max(tallest, bottoms.at(-1) - since) };
}

// Set the columns side by side; the left of each, and the width of all
function apart(layers, column, tops, bottoms, x, widths, real) {
  const lefts = [];
  let reach = 0, width = 0, start = 0;
  while (start < layers.length) {
    const c = column[start];
    let end = start;
    while (end < layers.length && column[end] === c) end += 1;
    const members = layers.slice(start, end).flat(), some = members.filter((v) => v < real), boxes = some.length && !c ? some : members;
    let left = Infinity;
    for (const v of boxes) left = Math.min(left, x[v] - widths[v] / 2);
    const shift = reach - left, down = c ? GAP - tops[start] : 0;
    for (let r = start; r < end; r += 1) { tops[r] += down; bottoms[r] += down; }
    lefts.push(reach);
    for (const v of members) { x[v] += shift; width = Math.max(width, x[v] + widths[v] / 2); }
    reach = width + SEPARATION + 4 * LANE;
    start = end;
  }
  return { lefts, width };
}
