// Small tools: elements, numbers as text, packed arrays.

const byId = id => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'style') Object.assign(made.style, value);
    else if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter(child => child != null));
  return made;
}

// Words between ** are bold
const rich = text => text.split('**').map((part, i) => i % 2 ? element('b', {}, part) : part);

const missing = text => element('p', {class: 'missing'}, text);

function shown(value, digits = 3) {
  if (value == null || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return value.toLocaleString('en-US');
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(digits - 1) : String(Number(value.toPrecision(digits)));
}

function duration(seconds) {
  if (seconds < 90) return `${shown(seconds, 2)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${shown(seconds / 3600, 2)} h` : `${Math.round(seconds / 86400)} days`;
}

// {shape: [rows, ...], f32: text} to rows of numbers; a vector's rows are numbers
function unpacked({shape, f32}) {
  const bytes = Uint8Array.from(atob(f32), character => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const all = Array.from({length: bytes.length / 4}, (_, i) => view.getFloat32(4 * i, true));
  if (shape.length === 1) return all;
  const length = shape[1];
  return Array.from({length: shape[0]}, (_, row) => all.slice(row * length, (row + 1) * length));
}

// The place of the last of sorted steps that is not after `step`; the first if all are; -1 if there are none
function placeAt(steps, step) {
  let low = 0, high = steps.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] <= step) low = middle + 1;
    else high = middle;
  }
  return steps.length ? Math.max(0, low - 1) : -1;
}

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(q * (sorted.length - 1))))];
const finite = values => values.filter(Number.isFinite);
const log10 = value => value > 0 ? Math.log10(value) : null;
const layerOf = (name, kind) => ['weight', 'gradient', 'change'].includes(kind) ? name.split('.').slice(0, -1).join('.') || name : name;

function fill(select, options, wanted) {
  const before = wanted ?? select.value;
  select.replaceChildren(...options.map(([value, text]) => element('option', {value}, text)));
  if (options.some(([value]) => value === before)) select.value = before;
}
