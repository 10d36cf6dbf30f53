// Bundles tests/*.test.ts (Node.js 18 reads no TypeScript) and runs them with Node's own runner.
import { spawnSync } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as esbuild from 'esbuild'

const web = new URL('.', import.meta.url).pathname
const here = join(web, 'tests')
const names = (await readdir(here)).filter((n) => n.endsWith('.test.ts'))
const out = await mkdtemp(join(tmpdir(), 'veetance-web-'))
await esbuild.build({
  entryPoints: names.map((n) => join(here, n)), outdir: out, outExtension: { '.js': '.mjs' }, bundle: true, format: 'esm', platform: 'node',
  target: 'node18', jsx: 'automatic', jsxImportSource: 'preact', loader: { '.glsl': 'text' }, logLevel: 'warning'
})
const files = (await readdir(out)).filter((n) => n.endsWith('.mjs')).map((n) => join(out, n))
const { status } = spawnSync(process.execPath, ['--test', ...files], { stdio: 'inherit', cwd: web })
await rm(out, { recursive: true, force: true })
process.exitCode = status ?? 1
