// Makes src/api/schema.d.ts of a server's OpenAPI document: node schema.mjs URL [FILE]. Only what src/api/types.ts names: the
// operations whose answers have no schema of their own, and the schemas.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const [url, out = 'src/api/schema.d.ts'] = process.argv.slice(2)
const OPERATIONS = ['getStore', 'listLoras', 'listProjects', 'plan']
const SCHEMAS = ['Asset', 'ImagesResult', 'Job', 'JobError', 'JobPreview', 'Layer', 'LayersResult', 'Model', 'Problem', 'Project', 'Queue', 'Telemetry']
const doc = await (await fetch(`${url}/openapi.json`)).json()

const isWanted = (o) => OPERATIONS.includes(o.operationId)
doc.paths = Object.fromEntries(Object.entries(doc.paths)
  .map(([path, methods]) => [path, Object.fromEntries(Object.entries(methods).filter(([, o]) => isWanted(o)))])
  .filter(([, methods]) => Object.keys(methods).length > 0))
const wanted = new Set()
const collect = (node) => {
  if (Array.isArray(node)) node.forEach(collect)
  else if (node && typeof node === 'object') {
    for (const [key, value] of Object.entries(node)) {
      if (key !== '$ref') collect(value)
      else if (!wanted.has(value)) {
        wanted.add(value)
        collect(value.slice(2).split('/').reduce((at, name) => at[name], doc))
      }
    }
  }
}
collect(doc.paths)
for (const name of SCHEMAS) collect({ $ref: `#/components/schemas/${name}` })
for (const kind of Object.keys(doc.components)) {
  doc.components[kind] = Object.fromEntries(Object.entries(doc.components[kind]).filter(([name]) => wanted.has(`#/components/${kind}/${name}`)))
}

const dir = mkdtempSync(join(tmpdir(), 'veetance-schema-'))
writeFileSync(join(dir, 'api.json'), JSON.stringify(doc))
const { status, stderr, error } = spawnSync('node_modules/.bin/openapi-typescript', [join(dir, 'api.json'), '--default-non-nullable=false', '-o', out], { encoding: 'utf8' })
rmSync(dir, { recursive: true })
if (status !== 0) process.stderr.write(`${stderr ?? error}\n`)
process.exitCode = status ?? 1
