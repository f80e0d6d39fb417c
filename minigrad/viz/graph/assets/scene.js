// The boxes, which of them are open, and the flow of data between those that can be seen.

const page = JSON.parse(document.getElementById('data').textContent);
const { boxes, records } = page;
const ROOT = 0;
const boxOf = new Map(); // by record
boxes.forEach((box, i) => { box.number = i; box.children = []; });
for (const box of boxes) {
  if (box.parent !== null) boxes[box.parent].children.push(box.number);
  if (box.record !== null) boxOf.set(box.record, box.number);
}

const isOpen = new Set([ROOT, ...page.opened]);
const canOpen = (box) => box.number !== ROOT && box.children.length > 0;
const recordsIn = (box) => (box.record !== null ? [records[box.record]] : box.calls.map((i) => records[i]));
const parentsOf = (record) => [...new Set(record.inputs.map((x) => x.parent).filter((p) => p !== null && p !== undefined))];

// For each record, the number of the box that stands for it; for a composite that is open, null
function standIns() {
  const closed = new Array(boxes.length).fill(null);
  const shown = new Array(records.length).fill(null);
  for (const box of boxes) { // outer boxes come first
    closed[box.number] = box.number === ROOT ? null : closed[box.parent] ?? (isOpen.has(box.number) ? null : box.number);
    if (box.record !== null) shown[box.record] = closed[box.number];
  }
  return { shown, closed };
}

function visibleEdges() {
  const { shown, closed } = standIns();
  const partsOf = (record) => boxes[boxOf.get(record)].children.map((child) => boxes[child].record);
  const source = (record) => { // data leave an open composite from its last part
    while (shown[record] === null) record = partsOf(record).at(-1);
    return shown[record];
  };
  const edges = new Map();
  const add = (from, to) => { if (from !== to) edges.set(from * boxes.length + to, [from, to]); };
  for (const box of boxes) {
    if (box.kind === 'input') for (const record of box.reads) add(box.number, shown[record] ?? shown[partsOf(record)[0]]);
  }
  for (const record of records) {
    for (const parent of parentsOf(record)) {
      if (parent === record.inside) continue;
      let target = record.number;
      if (shown[target] === null) { // its parts read for it, the first of them if none says so
        const parts = partsOf(target);
        if (parts.some((part) => parentsOf(records[part]).includes(parent))) continue;
        while (shown[target] === null) [target] = partsOf(target);
      }
      add(source(parent), shown[target]);
    }
  }
  return { edges: [...edges.values()], closed };
}

// All boxes around a box, from the outermost in
function around(box) {
  const result = [];
  for (let at = box.parent; at !== null && at !== ROOT; at = boxes[at].parent) result.unshift(boxes[at]);
  return result;
}

const reveal = (box) => around(box).forEach((outer) => isOpen.add(outer.number));
const openModules = (wanted) => {
  isOpen.clear();
  isOpen.add(ROOT);
  for (const box of boxes) if (box.kind === 'module' && wanted(box)) isOpen.add(box.number);
};

function words(box) {
  const record = box.record === null ? null : records[box.record];
  const own = [box.title, box.path ?? '', box.subtitle, ...(record ? [record.name, record.op, ...record.modules] : [])];
  return own.join(' ').toLowerCase();
}

// Boxes that a search finds: each word must occur
function found(text) {
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!wanted.length) return [];
  return boxes.filter((box) => box.number !== ROOT && wanted.every((word) => (box.words ??= words(box)).includes(word)));
}
