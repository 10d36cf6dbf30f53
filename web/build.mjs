// Makes dist/ from src/: files without hashes in their names, the same bytes on every machine.
//   node build.mjs            minified, for the program
//   node build.mjs --watch    with source maps, again after every change
//   node build.mjs --out DIR  into another folder
import { copyFile, mkdir, readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import * as esbuild from 'esbuild'

const watch = process.argv.includes('--watch')
const out = process.argv.includes('--out') ? process.argv[process.argv.indexOf('--out') + 1] : 'dist'
// Shaders as text, without what only people read. Lines are kept: those of the preprocessor end with theirs.
const shaders = {
  name: 'shaders',
  setup (build) {
    build.onLoad({ filter: /\.glsl$/ }, async ({ path }) => {
      const text = (await readFile(path, 'utf8')).replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, '')
      return { contents: text.split('\n').map((line) => line.trim()).filter(Boolean).join('\n') + '\n', loader: 'text' }
    })
  }
}
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
  plugins: [shaders],
  logLevel: 'info'
}

await mkdir(out, { recursive: true })
for (const from of ['index.html', 'icon.svg', 'docs/docs.html', 'docs/docs.css', 'docs/docs.js']) {
  await copyFile(`src/${from}`, `${out}/${basename(from)}`)
}
if (watch) await (await esbuild.context(options)).watch()
else await esbuild.build(options)
