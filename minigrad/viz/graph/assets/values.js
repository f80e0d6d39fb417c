// Numbers as words, and the measures that boxes are coloured by.

const number = (value) => (typeof value === 'number' ? value : { nan: NaN, inf: Infinity, '-inf': -Infinity }[value] ?? null);

function scaled(value, base, units, digits = 3) {
  if (value === null || value === undefined) return '–';
  let unit = 0;
  while (Math.abs(value) >= base && unit < units.length - 1) { value /= base; unit += 1; }
  return `${short(value, digits)} ${units[unit]}`;
}

function short(value, digits = 4) {
  value = number(value);
  if (value === null) return '–';
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '∞' : '−∞';
  if (value === 0) return '0';
  const size = Math.abs(value);
  const text = size >= 1e6 || size < 1e-4 ? value.toExponential(digits - 1).replace('e+', 'e')
    : Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(digits)));
  return text.replace('-', '−').replace('e-', 'e−');
}

const whole = (value) => (value === null || value === undefined ? '–' : Math.round(value).toLocaleString('en'));
const bytes = (value) => scaled(value, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB']);
const flops = (value) => scaled(value, 1000, ['', 'k', 'M', 'G', 'T', 'P']).trimEnd() + (value == null ? '' : 'FLOP');
const shape = (lengths) => lengths.join('×') || 'scalar';
const percent = (value) => `${short(100 * value, 3)} %`;

function seconds(value) {
  if (value === null || value === undefined) return '–';
  if (value === 0) return '0';
  if (value >= 1) return `${short(value, 3)} s`;
  return value >= 1e-3 ? `${short(value * 1e3, 3)} ms` : `${short(value * 1e6, 3)} µs`;
}

const first = (record) => record.outputs[0];
const sum = (values) => values.reduce((total, value) => total + value, 0);
const largest = (values) => values.reduce((most, value) => (value > most || Number.isNaN(value) ? value : most), -Infinity);

// of:    a record's value, or null where it was not recorded
// join:  of the values of several records, for a module
// light, dark: colours from the smallest value to the largest
const MEASURES = {
  time: {
    label: 'time', about: 'forward and gradient; of a module, the sum', format: seconds, join: sum,
    of: (r) => (r.forward_seconds ?? 0) + (r.gradient_seconds ?? 0),
    light: ['#fffaf0', '#fdc57b', '#e8590c'], dark: ['#2b2a29', '#8f4a12', '#ffa94d'],
  },
  memory: {
    label: 'memory', about: 'bytes allocated by the forward; of a module, the sum', format: bytes, join: sum,
    of: (r) => r.bytes_allocated, light: ['#f3f8ff', '#8fbdf5', '#1d5fd0'], dark: ['#232c3a', '#2c5cab', '#8ec0ff'],
  },
  gradient: {
    label: 'gradient norm', about: 'L2 norm of the gradient of the output, logarithmic; of a module, the largest', format: short,
    join: largest, log: true, of: (r) => number(first(r)?.gradient?.norm ?? null),
    light: ['#f7f2fd', '#b692e4', '#5b21a8'], dark: ['#2a2536', '#6a3fb5', '#d3b8ff'],
  },
  dead: {
    label: 'dead share', about: 'share of zeros in the output; of a module, over all its outputs', format: percent, domain: [0, 1],
    pair: (r) => (first(r)?.statistics ? [first(r).statistics.zeros, first(r).statistics.count] : null),
    light: ['#f1f8f4', '#8fb5a6', '#1f4a3d'], dark: ['#222d2a', '#4c7d6d', '#c5efdf'],
  },
  nonfinite: {
    label: 'non-finite values', about: 'NaN and infinities in outputs and their gradients; of a module, the sum', format: whole, join: sum,
    of: (r) => nonFinite(r), light: ['#eef7ee', '#ff8787', '#c92a2a'], dark: ['#22302a', '#a52a2a', '#ff6b6b'], alarm: true,
  },
};

// NaN and infinities in all that was measured of a record; null where nothing was
function nonFinite(record) {
  const measured = record.outputs.flatMap((y) => [y.statistics, y.gradient]).filter(Boolean);
  return measured.length ? sum(measured.map((s) => s.nans + s.infs)) : null;
}

function measured(measure, records) {
  if (measure.pair) {
    const pairs = records.map(measure.pair).filter(Boolean);
    const count = sum(pairs.map((p) => p[1]));
    return count ? sum(pairs.map((p) => p[0])) / count : null;
  }
  const values = records.map(measure.of).filter((v) => v !== null && v !== undefined);
  return values.length ? measure.join(values) : null;
}

// Smallest and largest of what is seen, and where a value lies between them, from 0 to 1
function scaleOf(measure, values) {
  const finite = values.filter((v) => v !== null && Number.isFinite(v) && (!measure.log || v > 0));
  let [low, high] = measure.domain ?? [measure.log ? Math.min(...finite) : 0, Math.max(...finite)];
  if (!finite.length) [low, high] = measure.domain ?? (measure.log ? [1, 10] : [0, 1]);
  if (measure.log && low === high) low = high / 10;
  const place = measure.log ? (v) => Math.log(v / low) / Math.log(high / low) : (v) => (high > low ? (v - low) / (high - low) : 0);
  return {
    low, high, known: finite.length > 0,
    at: (v) => (Number.isNaN(v) || v === Infinity ? 1 : Math.min(1, Math.max(0, measure.alarm && v > 0 ? 0.5 + place(v) / 2 : place(v)))),
    value: (t) => (measure.log ? low * (high / low) ** t : low + t * (high - low)),
  };
}

const rgb = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));

function mixed(stops, t) {
  const place = t * (stops.length - 1);
  const i = Math.min(stops.length - 2, Math.floor(place));
  const [a, b] = [rgb(stops[i]), rgb(stops[i + 1])];
  return a.map((v, c) => Math.round(v + (place - i) * (b[c] - v)));
}

// Ink that can be read on a colour: the lighter or darker of two, by relative luminance (WCAG 2, section 1.4.3)
function ink(colour) {
  const [r, g, b] = colour.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.25 ? '#171d27' : '#ffffff';
}
