/* routes_pages.c - the document of the API, and a page that shows it. The page is ours, small, and asks nobody but
 * this server. */
#include <stdio.h>

#include "server/api/openapi.h"
#include "server/routes.h"

static void set_etag(struct http_reply *re)
{
    (void)snprintf(re->etag, sizeof re->etag, "%016llx",
                   (unsigned long long)str_hash(buf_str(&re->body)));
    re->cache = "no-cache";
}

static enum err_code run_document(struct http_request *rq, struct http_reply *re, struct err *e)
{
    (void)rq;
    (void)e;
    openapi_write(&re->body);
    set_etag(re);
    return ERR_OK;
}

static const char page[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>Veetance API</title><link rel=\"stylesheet\" href=\"/docs/viewer.css\">\n"
    "<script src=\"/docs/viewer.js\" defer></script></head>\n"
    "<body><header><h1>Veetance API</h1><p><a href=\"/openapi.json\">openapi.json</a></p>\n"
    "<label>Find <input id=\"find\" type=\"search\"></label></header>\n"
    "<main id=\"operations\"><p>Loading</p></main>"
    "<noscript>This page needs JavaScript; openapi.json does not.</noscript></body></html>\n";

static const char style[] =
    ":root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}"
    "body{max-width:60rem;margin:0 auto;padding:1rem}"
    "details{border:1px solid #8886;border-radius:.4rem;margin:.5rem 0;padding:.4rem .8rem}"
    "summary{cursor:pointer}"
    "summary code{font-weight:600}"
    ".method{display:inline-block;min-width:4.5rem;font:600 .85rem ui-monospace,monospace}"
    "table{border-collapse:collapse;width:100%;font-size:.9rem}"
    "td,th{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0;"
    "border-top:1px solid #8884}"
    "h2{text-transform:capitalize;margin:1.5rem 0 .3rem}"
    "input{font:inherit;padding:.2rem .5rem}";

static const char script[] =
    "'use strict';\n"
    "const make = (tag, text, cls) => {\n"
    "  const e = document.createElement(tag);\n"
    "  if (text !== undefined) e.textContent = text;\n"
    "  if (cls) e.className = cls;\n"
    "  return e;\n"
    "};\n"
    "let doc;\n"
    "const deref = (s) => s && s.$ref\n"
    "  ? s.$ref.slice(2).split('/').reduce((at, name) => at[name], doc) : s;\n"
    "const typeOf = (s) => {\n"
    "  if (!s) return '';\n"
    "  if (s.$ref) return s.$ref.split('/').pop();\n"
    "  if (s.anyOf) return s.anyOf.map(typeOf).join(' or ');\n"
    "  let t = [].concat(s.type || 'any').join(' or ');\n"
    "  if (s.items) t += ' of ' + typeOf(s.items);\n"
    "  if (s.enum) t += ': ' + s.enum.join(', ');\n"
    "  if (s.minimum !== undefined) t += ' ' + s.minimum + ' to ' + s.maximum;\n"
    "  if (s.default !== undefined) t += ', default ' + JSON.stringify(s.default);\n"
    "  return t;\n"
    "};\n"
    "const table = (title, rows) => {\n"
    "  const box = make('div');\n"
    "  if (!rows.length) return box;\n"
    "  box.append(make('h3', title));\n"
    "  const t = make('table');\n"
    "  for (const r of rows) {\n"
    "    const tr = make('tr');\n"
    "    const name = make('td');\n"
    "    name.append(make('code', r[0]));\n"
    "    tr.append(name, make('td', r[1]), make('td', r[2]));\n"
    "    t.append(tr);\n"
    "  }\n"
    "  box.append(t);\n"
    "  return box;\n"
    "};\n"
    "const members = (r) => Object.entries((deref(r) && deref(r).properties) || {}).map(([k, v]) "
    "=>\n"
    "  [k + ((deref(r).required || []).includes(k) ? ' *' : ''), typeOf(v), v.description || "
    "'']);\n"
    "const operation = (path, method, o) => {\n"
    "  const d = make('details');\n"
    "  const s = make('summary');\n"
    "  s.append(make('span', method.toUpperCase(), 'method'), make('code', path),\n"
    "    make('span', ' ' + o.summary));\n"
    "  d.append(s);\n"
    "  d.append(table('Parameters', (o.parameters || []).map(deref).map((p) =>\n"
    "    [p.name + (p.required ? ' *' : ''), p.in + ', ' + typeOf(p.schema),\n"
    "     p.description || ''])));\n"
    "  const body = o.requestBody && o.requestBody.content;\n"
    "  if (body) {\n"
    "    const types = Object.keys(body);\n"
    "    d.append(table('Body: ' + types.join(', '), members(body[types[0]].schema)));\n"
    "  }\n"
    "  for (const [status, ref] of Object.entries(o.responses)) {\n"
    "    const r = deref(ref);\n"
    "    const c = r.content && Object.entries(r.content)[0];\n"
    "    if (c) d.append(table(status + ' ' + c[0], members(c[1].schema)));\n"
    "  }\n"
    "  d.dataset.text = (path + ' ' + o.summary).toLowerCase();\n"
    "  return d;\n"
    "};\n"
    "const show = async () => {\n"
    "  doc = await (await fetch('/openapi.json')).json();\n"
    "  const main = document.getElementById('operations');\n"
    "  const groups = new Map();\n"
    "  for (const [path, ops] of Object.entries(doc.paths))\n"
    "    for (const [method, o] of Object.entries(ops)) {\n"
    "      const tag = o.tags[0];\n"
    "      if (!groups.has(tag)) groups.set(tag, []);\n"
    "      groups.get(tag).push(operation(path, method, o));\n"
    "    }\n"
    "  main.replaceChildren();\n"
    "  for (const [tag, list] of groups) main.append(make('h2', tag), ...list);\n"
    "  document.getElementById('find').addEventListener('input', (ev) => {\n"
    "    const q = ev.target.value.toLowerCase();\n"
    "    for (const d of main.querySelectorAll('details'))\n"
    "      d.hidden = !d.dataset.text.includes(q);\n"
    "  });\n"
    "};\n"
    "show().catch((e) => {\n"
    "  document.getElementById('operations').textContent = String(e);\n"
    "});\n";

static enum err_code run_page(struct http_request *rq, struct http_reply *re, struct err *e)
{
    (void)rq;
    (void)e;
    buf_add_z(&re->body, page);
    set_etag(re);
    return ERR_OK;
}

static enum err_code run_style(struct http_request *rq, struct http_reply *re, struct err *e)
{
    (void)rq;
    (void)e;
    buf_add_z(&re->body, style);
    set_etag(re);
    return ERR_OK;
}

static enum err_code run_script(struct http_request *rq, struct http_reply *re, struct err *e)
{
    (void)rq;
    (void)e;
    buf_add_z(&re->body, script);
    set_etag(re);
    return ERR_OK;
}

static enum err_code run_root(struct http_request *rq, struct http_reply *re, struct err *e)
{
    (void)rq;
    (void)e;
    (void)snprintf(re->location, sizeof re->location, "/docs");
    return ERR_OK;
}

const struct http_route routes_pages[] = {
    {HTTP_GET, "/", "root", "To the first page", "pages", run_root,
     .type = "text/html; charset=utf-8", .status = 302},
    {HTTP_GET, "/openapi.json", "document", "This document", "pages", run_document,
     .type = "application/json"},
    {HTTP_GET, "/docs", "docs", "This document for people", "pages", run_page,
     .type = "text/html; charset=utf-8"},
    {HTTP_GET, "/docs/viewer.css", "docsStyle", "Its style", "pages", run_style,
     .type = "text/css; charset=utf-8"},
    {HTTP_GET, "/docs/viewer.js", "docsScript", "Its script", "pages", run_script,
     .type = "text/javascript; charset=utf-8"},
    {0}};
