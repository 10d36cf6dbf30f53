// Makes dist/ from src/: files without hashes in their names, the same bytes on every machine.
//   node build.mjs            minified, for the program
//   node build.mjs --watch    with source maps, again after every change
//   node build.mjs --out DIR  into another folder
import { copyFile, mkdir } from 'node:fs/promises'
import { basename } from 'node:path'
import * as esbuild from 'esbuild'

const watch = process.argv.includes('--watch')
const out = process.argv.includes('--out') ? process.argv[process.argv.indexOf('--out') + 1] : 'dist'
const options = {
  entryPoints: { app: 'src/main.tsx' },
  outdir: out,
  bundle: true,
  format: 'esm',
  target: ['chrome109', 'firefox115', 'safari16'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  minify: !watch,
  sourcemap: watch ? 'inline' : false,
  legalComments: 'none',
  charset: 'utf8',
  loader: { '.glsl': 'text' },
  logLevel: 'info'
}

await mkdir(out, { recursive: true })
for (const from of ['index.html', 'icon.svg', 'docs/docs.html', 'docs/docs.css', 'docs/docs.js']) {
  await copyFile(`src/${from}`, `${out}/${basename(from)}`)
}
if (watch) await (await esbuild.context(options)).watch()
else await esbuild.build(options)
