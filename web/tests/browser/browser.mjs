// Runs the browser tests: node browser.mjs PROGRAM [NAME]. A file exports tests by name; each gets a server of its own and a browser.
import { readdirSync } from 'node:fs'
import { launch, Server } from './support.mjs'

const [program, wanted = ''] = process.argv.slice(2)
const here = new URL('.', import.meta.url)
const files = readdirSync(here).filter((n) => n.endsWith('.spec.mjs')).sort()
let browser = await launch()
const failed = []
let passed = 0

async function runOne (name, test) {
  const server = await new Server(program).start()
  const pages = []
  const from = Date.now()
  let timer
  try {
    if (!browser.isConnected()) browser = await launch()
    const kept = { newContext: async (o) => { const c = await browser.newContext(o); c.on('page', (p) => pages.push(p)); return c } }
    const late = new Promise((_resolve, reject) => { timer = setTimeout(() => { reject(new Error('takes longer than 300 s')) }, 300000) })
    await Promise.race([test({ server, browser: kept }), late])
    const faults = pages.flatMap((p) => p.faults ?? [])
    if (faults.length > 0) throw new Error(`the page: ${faults.join('\n')}`)
    passed++
    console.log(`ok      ${name} (${((Date.now() - from) / 1000).toFixed(1)} s)`)
  } catch (e) {
    failed.push(name)
    const faults = pages.flatMap((p) => p.faults ?? [])
    console.log(`FAILED  ${name}\n${[e.stack ?? e, ...faults, server.log].filter(Boolean).join('\n')}`)
    const shots = process.env.VT_SCREENSHOTS
    if (shots) for (const [i, p] of pages.entries()) await p.screenshot({ path: `${shots}/${name.replaceAll(/\W+/g, '-')}-${i}.png` }).catch(() => {})
  } finally {
    clearTimeout(timer)
    for (const p of pages) await p.context().close().catch(() => {})
    await server.close()
  }
}

for (const file of files) {
  for (const [name, test] of Object.entries(await import(new URL(file, here)))) {
    const title = `${file.replace('.spec.mjs', '')}: ${name.replaceAll('_', ' ')}`
    if (title.startsWith(wanted)) await runOne(title, test)
  }
}
await browser.close()
console.log(`${passed} passed, ${failed.length} failed`)
process.exitCode = failed.length > 0 || passed === 0 ? 1 : 0
