// A server with the embedded models in a folder of its own, Chromium in front of it, and what tests ask of both.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import { chromium } from 'playwright-core'

export const ROOT = new URL('../../../', import.meta.url).pathname
export const SCENE = join(ROOT, 'tests/data/micro/layered/scene-00-input.png')

export class Server {
  constructor (program) {
    this.program = program
    this.dir = mkdtempSync(join(tmpdir(), 'veetance-browser-'))
    this.port = 0
  }

  async start () {
    this.process = spawn(this.program, ['serve', '--listen', `127.0.0.1:${this.port}`, '--store', join(this.dir, 'store'), '--threads', '1', '--device', 'cpu'], {
      env: { ...process.env, VEETANCE_HOME: join(this.dir, 'home'), VEETANCE_MODELS: join(ROOT, 'models') }, stdio: ['ignore', 'pipe', 'pipe']
    })
    this.log = ''
    this.process.stderr.on('data', (d) => { this.log += d })
    this.url = await new Promise((resolve, reject) => {
      this.process.stdout.once('data', (d) => { resolve(String(d).trim().replace(/\/$/, '')) })
      this.process.once('exit', () => { reject(new Error(`the server ended: ${this.log}`)) })
    })
    this.port = Number(new URL(this.url).port) // the same one after a restart
    return this
  }

  async end (signal = 'SIGTERM') {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const gone = new Promise((resolve) => this.process.once('exit', resolve))
    this.process.kill(signal)
    const late = setTimeout(() => this.process.kill('SIGKILL'), 20000)
    await gone
    clearTimeout(late)
  }

  async close () {
    await this.end()
    rmSync(this.dir, { recursive: true, force: true })
  }

  async call (method, path, body, type) {
    const r = await fetch(this.url + path, {
      method, headers: { 'X-Veetance': '1', ...(body === undefined ? {} : { 'Content-Type': type ?? 'application/json' }) },
      body: type || body === undefined ? body : JSON.stringify(body)
    })
    if (!r.ok) throw new Error(`${method} ${path}: ${r.status} ${await r.text()}`)
    return (r.headers.get('content-type') ?? '').includes('json') ? await r.json() : Buffer.from(await r.arrayBuffer())
  }

  async upload (file) {
    return (await this.call('POST', '/v1/assets', readFileSync(file), 'image/png')).assets[0]
  }
}

export async function launch () {
  return await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist']
  })
}

// A page whose errors fail the test: an exception in it, an error in its console, a request to anyone but the server.
export async function open (browser, server, { width = 1280, height = 800, scheme = 'dark', path = '/', allow = [], ...context } = {}) {
  const c = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, acceptDownloads: true, ...context })
  const page = await c.newPage()
  page.setDefaultTimeout(90000)
  page.faults = []
  page.on('pageerror', (e) => page.faults.push(String(e.stack ?? e)))
  page.on('console', (m) => {
    const said = `${m.text()} ${m.location().url}`
    if (m.type() === 'error' && !allow.some((a) => said.includes(a))) page.faults.push(said)
  })
  page.on('request', (r) => { if (!/^(blob|data):/.test(r.url()) && !r.url().startsWith(server.url)) page.faults.push(`asked for ${r.url()}`) })
  await page.goto(server.url + path)
  return page
}

/* ---- the contract of names ------------------------------------------------------------------------- */

export const button = (page, name) => page.getByRole('button', { name, exact: true })
export const tree = (page) => page.getByRole('tree', { name: 'Layers' })
export const rows = (page) => tree(page).getByRole('treeitem')
export const canvas = (page) => page.getByRole('application', { name: 'Canvas' })

export const prompt = (page) => page.getByRole('textbox', { name: 'Prompt', exact: true })
export const row = (page, name) => tree(page).getByRole('treeitem', { name })
export const staging = (page) => page.getByRole('toolbar', { name: 'Results' })
export const queue = (page) => page.getByRole('region', { name: 'Queue' })
export const panel = (page, name) => page.getByRole('tab', { name, exact: true })

// Names of the rows from the top, as the server has them, with the depth as dots.
export async function stack (server, id) {
  const { layers } = await server.call('GET', `/v1/projects/${id}`)
  const depth = (l) => l.parent ? 1 + depth(layers.find((p) => p.id === l.parent)) : 0
  return [...layers].reverse().map((l) => '.'.repeat(depth(l)) + l.name).join(' ')
}

export async function until (what, test, seconds = 90) {
  const end = Date.now() + 1000 * seconds
  for (;;) {
    const got = await test()
    if (got) return got
    if (Date.now() > end) throw new Error(`waited ${seconds} s for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 60))
  }
}

export const projectId = async (page) => await until('a project is open', () => /#\/p\/(.+)$/.exec(page.url())?.[1])

// The server has every change.
export async function saved (page) {
  await page.locator('[data-saving=saved]').waitFor()
}

export async function revision (page) {
  return Number(await canvas(page).getAttribute('data-revision'))
}

// The composed image as the canvas shows it: width, height, and RGBA with straight alpha.
export async function pixels (page) {
  const read = async () => await canvas(page).evaluate((el) => {
    const p = el.readPixels()
    return p && { width: p.width, height: p.height, data: Array.from(p.data) }
  })
  const { width, height, data } = await until('the canvas is drawn', read)
  return { width, height, data: Uint8Array.from(data) }
}

// An image of the server as RGBA, decoded by the browser without touching its numbers.
export async function decoded (page, url) {
  const { width, height, data } = await page.evaluate(async (u) => {
    const blob = await (await fetch(u)).blob()
    const bitmap = await createImageBitmap(blob, { premultiplyAlpha: 'none', colorSpaceConversion: 'none' })
    const gl = new OffscreenCanvas(1, 1).getContext('webgl2')
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false)
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture())
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, bitmap)
    gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer())
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, gl.getParameter(gl.TEXTURE_BINDING_2D), 0)
    const out = new Uint8Array(4 * bitmap.width * bitmap.height)
    gl.readPixels(0, 0, bitmap.width, bitmap.height, gl.RGBA, gl.UNSIGNED_BYTE, out)
    gl.getExtension('WEBGL_lose_context')?.loseContext() // a page has only 16
    return { width: bitmap.width, height: bitmap.height, data: Array.from(out) }
  }, url)
  return { width, height, data: Uint8Array.from(data) }
}

// The largest difference of two images, and where.
export function farthest (a, b) {
  if (a.width !== b.width || a.height !== b.height) throw new Error(`${a.width} x ${a.height} and ${b.width} x ${b.height}`)
  let most = 0
  let at = 0
  for (let i = 0; i < a.data.length; i++) {
    if (a.data[4 * (i >> 2) + 3] === 0 && b.data[4 * (i >> 2) + 3] === 0) continue // colours under alpha 0
    const d = Math.abs(a.data[i] - b.data[i])
    if (d > most) { most = d; at = i }
  }
  return { most, x: (at >> 2) % a.width, y: Math.floor((at >> 2) / a.width), channel: at & 3 }
}

// What differs between two images of one size: how many of the pixels that `where` asks about.
export function differing (a, b, where = () => true) {
  let n = 0
  for (let i = 0; i < a.width * a.height; i++) {
    if (where(i) && [0, 1, 2, 3].some((c) => a.data[4 * i + c] !== b.data[4 * i + c])) n++
  }
  return n
}

// A number's field, typed and left.
export async function type (page, label, value) {
  const field = page.getByRole('spinbutton', { name: label, exact: true })
  await field.fill(String(value))
  await field.press('Tab')
}

/* ---- projects, and where they are on the screen ----------------------------------------------------- */

// A project of the scene, as large as it, with these layers of it.
export async function scene (server, layers = [{ name: 'scene' }], name = 'scene') {
  const asset = await server.upload(SCENE)
  return await server.call('POST', '/v1/projects', { name, width: asset.width, height: asset.height, layers: layers.map((l) => ({ asset: asset.id, ...l })) })
}

export const projectOf = async (server, page) => await server.call('GET', `/v1/projects/${await projectId(page)}`)

// Every image of the open project is drawn.
export async function drawn (page) {
  await until('the canvas is drawn', async () => await revision(page) > 0 && await canvas(page).getAttribute('aria-busy') === 'false')
}

// Points of the project as points of the screen, with the whole of it in view.
export async function screenOf (page, { width, height }) {
  await canvas(page).focus()
  await page.keyboard.press('0')
  const zoom = await until('the zoom is told', async () => Number(/([\d.]+) %/.exec(await page.getByRole('button', { name: /^Zoom:/ }).textContent())?.[1]) / 100)
  const box = await canvas(page).boundingBox()
  return (x, y) => [box.x + box.width / 2 + (x - width / 2) * zoom, box.y + box.height / 2 + (y - height / 2) * zoom]
}

// A drag of the left button along points of the screen.
export async function drag (page, [first, ...rest]) {
  await page.mouse.move(...first)
  await page.mouse.down()
  for (const p of rest) await page.mouse.move(...p, { steps: 4 })
  await page.mouse.up()
}

// Files as if they were dropped on the middle of an element.
export async function drop (page, on, files) {
  const box = await on.boundingBox()
  const data = await page.evaluateHandle((list) => {
    const d = new DataTransfer()
    for (const f of list) d.items.add(new File([Uint8Array.from(atob(f.data), (c) => c.charCodeAt(0))], f.name, { type: f.type }))
    return d
  }, files.map((f) => ({ ...f, data: Buffer.from(f.data).toString('base64') })))
  const at = { dataTransfer: data, clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 }
  for (const name of ['dragenter', 'dragover', 'drop']) await on.dispatchEvent(name, at)
}

/* ---- images ------------------------------------------------------------------------------------------ */

function crc (bytes) {
  let c = ~0
  for (const b of bytes) {
    c ^= b
    for (let k = 0; k < 8; k++) c = (c >>> 1) ^ (c & 1 ? 0xedb88320 : 0)
  }
  return ~c >>> 0
}

function chunk (type, data) {
  const out = Buffer.alloc(12 + data.length)
  out.writeUInt32BE(data.length)
  out.write(type, 4, 'latin1')
  data.copy(out, 8)
  out.writeUInt32BE(crc(out.subarray(4, 8 + data.length)), 8 + data.length)
  return out
}

// A PNG of the colours that at(x, y) gives: [r, g, b, a].
export function png (w, h, at) {
  const raw = Buffer.alloc(h * (4 * w + 1))
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) raw.set(at(x, y), y * (4 * w + 1) + 1 + 4 * x)
  const head = Buffer.alloc(13)
  head.writeUInt32BE(w)
  head.writeUInt32BE(h, 4)
  head.set([8, 6], 8)
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head), chunk('IDAT', deflateSync(raw)), chunk('IEND', Buffer.alloc(0))])
}
