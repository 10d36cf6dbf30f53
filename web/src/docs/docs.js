'use strict';
const make = (tag, text, cls) => {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  if (cls) e.className = cls;
  return e;
};
let doc;
const deref = (s) => s && s.$ref
  ? s.$ref.slice(2).split('/').reduce((at, name) => at[name], doc) : s;
const typeOf = (s) => {
  if (!s) return '';
  if (s.$ref) return s.$ref.split('/').pop();
  if (s.anyOf) return s.anyOf.map(typeOf).join(' or ');
  let t = [].concat(s.type || 'any').join(' or ');
  if (s.items) t += ' of ' + typeOf(s.items);
  if (s.enum) t += ': ' + s.enum.join(', ');
  if (s.minimum !== undefined) t += ' ' + s.minimum + ' to ' + s.maximum;
  if (s.default !== undefined) t += ', default ' + JSON.stringify(s.default);
  return t;
};
const table = (title, rows) => {
  const box = make('div');
  if (!rows.length) return box;
  box.append(make('h3', title));
  const t = make('table');
  for (const r of rows) {
    const tr = make('tr');
    const name = make('td');
    name.append(make('code', r[0]));
    tr.append(name, make('td', r[1]), make('td', r[2]));
    t.append(tr);
  }
  box.append(t);
  return box;
};
const members = (r) => Object.entries((deref(r) && deref(r).properties) || {}).map(([k, v]) =>
  [k + ((deref(r).required || []).includes(k) ? ' *' : ''), typeOf(v), v.description || '']);
const operation = (path, method, o) => {
  const d = make('details');
  const s = make('summary');
  s.append(make('span', method.toUpperCase(), 'method'), make('code', path),
    make('span', ' ' + o.summary));
  d.append(s);
  d.append(table('Parameters', (o.parameters || []).map(deref).map((p) =>
    [p.name + (p.required ? ' *' : ''), p.in + ', ' + typeOf(p.schema),
     p.description || ''])));
  const body = o.requestBody && o.requestBody.content;
  if (body) {
    const types = Object.keys(body);
    d.append(table('Body: ' + types.join(', '), members(body[types[0]].schema)));
  }
  for (const [status, ref] of Object.entries(o.responses)) {
    const r = deref(ref);
    const c = r.content && Object.entries(r.content)[0];
    if (c) d.append(table(status + ' ' + c[0], members(c[1].schema)));
  }
  d.dataset.text = (path + ' ' + o.summary).toLowerCase();
  return d;
};
const show = async () => {
  doc = await (await fetch('/openapi.json')).json();
  const main = document.getElementById('operations');
  const groups = new Map();
  for (const [path, ops] of Object.entries(doc.paths))
    for (const [method, o] of Object.entries(ops)) {
      const tag = o.tags[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operation(path, method, o));
    }
  main.replaceChildren();
  for (const [tag, list] of groups) main.append(make('h2', tag), ...list);
  document.getElementById('find').addEventListener('input', (ev) => {
    const q = ev.target.value.toLowerCase();
    for (const d of main.querySelectorAll('details'))
      d.hidden = !d.dataset.text.includes(q);
  });
};
show().catch((e) => {
  document.getElementById('operations').textContent = String(e);
});
