/* The rooms of src/ and what each may import: ui <- panels, canvas <- state <- api. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join, normalize } from 'node:path'
import test from 'node:test'

const SRC = 'src' // node test.mjs runs them in web/
const MAY: Record<string, string[]> = {
  api: [], ui: [], state: ['api', 'text.ts'], canvas: ['api', 'state', 'ui', 'text.ts'], panels: ['api', 'state', 'ui', 'canvas', 'text.ts'], 'text.ts': []
}
const IMPORTED = /\b(?:from |import |import\()'(\.[^']+)'/g

const filesOf = (dir: string): string[] => readdirSync(dir, { withFileTypes: true })
  .flatMap((e) => e.isDirectory() ? filesOf(join(dir, e.name)) : /\.tsx?$/.test(e.name) ? [join(dir, e.name)] : [])

const roomOf = (path: string): string => path.split('/')[1] ?? ''

function imports (file: string): string[] {
  return [...readFileSync(file, 'utf8').matchAll(IMPORTED)].map((m) => normalize(join(file, '..', m[1] ?? '')))
}

test('rooms import only what lies below them', () => {
  const files = filesOf(SRC).filter((f) => roomOf(f) in MAY)
  const wrong = files.flatMap((f) => imports(f).filter((to) => roomOf(to) !== roomOf(f) && !MAY[roomOf(f)]?.includes(roomOf(to))).map((to) => `${f} imports ${to}`))
  assert.ok(files.length > 100)
  assert.deepEqual(wrong, [])
})
