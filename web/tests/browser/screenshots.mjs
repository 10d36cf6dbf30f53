// docs/screenshots anew: node screenshots.mjs PROGRAM. Every panel with something in it, dark and light, from a laptop's window to 4K.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  button, canvas, drag, drawn, launch, open, panel, prompt, queue, ROOT, row, saved, SCENE, screenOf, Server, staging, type, until
} from './support.mjs'

const OUT = join(ROOT, 'docs/screenshots')
const QUALITY = 0.6
const SIZES = {
  1280: { width: 1280, height: 800 },
  1920: { width: 1920, height: 1080 },
  '4k': { width: 1920, height: 1080, deviceScaleFactor: 2 }
}
const STAR = 'a red star on a white background'
const SIDE = 768

/* ---- a session worth looking at ----------------------------------------------------------------------- */

// The layers of a poster, drawn by the browser: bottom first.
function poster (side) {
  const draw = (paint) => {
    const c = new OffscreenCanvas(side, side)
    const g = c.getContext('2d')
    paint(g)
    return c.convertToBlob({ type: 'image/png' })
  }
  const fade = (g, y0, y1, ...stops) => {
    const f = g.createLinearGradient(0, y0, 0, y1)
    stops.forEach((s, i) => f.addColorStop(i / (stops.length - 1), s))
    return f
  }
  const glow = (g, x, y, r, colour) => {
    const f = g.createRadialGradient(x, y, 0, x, y, r)
    f.addColorStop(0, colour)
    f.addColorStop(1, 'transparent')
    g.fillStyle = f
    g.fillRect(0, 0, side, side)
  }
  const shape = (g, fill, points) => {
    g.fillStyle = fill
    g.beginPath()
    points.forEach(([x, y], i) => i ? g.lineTo(x, y) : g.moveTo(x, y))
    g.fill()
  }
  const hills = (g, fill, base, height, wave) => {
    const points = Array.from({ length: 65 }, (_, i) => [i * 12, base - height * (0.5 + 0.3 * Math.sin(i * wave) + 0.2 * Math.sin(i * wave * 2.7 + 1))])
    shape(g, fill, [[0, side], ...points, [side, side]])
  }
  return Promise.all([
    draw((g) => { g.fillStyle = fade(g, 0, 560, '#1d2b5c', '#63477f', '#d9736f', '#ffc27a'); g.fillRect(0, 0, side, side) }),
    draw((g) => { glow(g, 520, 470, 300, 'rgba(255,220,150,.9)'); g.fillStyle = '#fff0c2'; g.beginPath(); g.arc(520, 470, 62, 0, 7); g.fill() }),
    draw((g) => { hills(g, '#7a4b78', 540, 150, 0.16) }),
    draw((g) => { g.fillStyle = fade(g, 530, side, '#c2716f', '#3b3a6b', '#171c40'); g.fillRect(0, 530, side, 238); for (let i = 0; i < 26; i++) { g.fillStyle = 'rgba(255,226,170,.5)'; g.fillRect(520 - 60 + (i * 37) % 70 - i, 540 + i * 8, 50 - i, 2) } }),
    draw((g) => { hills(g, '#15172f', 740, 140, 0.055) }),
    draw((g) => {
      shape(g, '#f2ece0', [[196, 300], [254, 300], [276, 640], [174, 640]])
      shape(g, '#c8443c', [[193, 350], [257, 350], [262, 420], [188, 420]])
      shape(g, '#c8443c', [[184, 490], [266, 490], [271, 560], [179, 560]])
      g.fillStyle = '#23263f'; g.fillRect(186, 288, 78, 14); g.fillRect(202, 244, 46, 44)
      g.fillStyle = '#ffd98a'; g.fillRect(208, 250, 34, 34)
      shape(g, '#c8443c', [[194, 246], [225, 212], [256, 246]])
    }),
    draw((g) => { const f = g.createLinearGradient(225, 0, 768, 0); f.addColorStop(0, 'rgba(255,232,170,.85)'); f.addColorStop(1, 'rgba(255,232,170,0)'); shape(g, f, [[240, 262], [768, 150], [768, 330], [240, 272]]) })
  ]).then((blobs) => Promise.all(blobs.map(async (b) => {
    const r = await fetch('/v1/assets', { method: 'POST', body: b, headers: { 'X-Veetance': '1', 'Content-Type': 'image/png' } })
    return (await r.json()).assets[0].id
  })))
}

async function finished (server, path, request) {
  const { id } = await server.call('POST', path, request)
  return await until('it is made', async () => { const j = await server.call('GET', `/v1/jobs/${id}`); return j.state === 'done' && j })
}

async function images (server) {
  const words = ['a red star on a white background', 'a blue circle on a yellow background', 'a green square on a black background', 'two yellow stars on a blue background',
    'a purple triangle on a white background', 'a red circle and a blue square on a gray background']
  const made = []
  for (const [i, w] of words.entries()) {
    const job = await finished(server, '/v1/generate', { prompt: w, width: 128, height: 128, seed: 10 + i })
    made.push({ name: w, asset: job.result.images[0].asset })
  }
  return made
}

async function takenApart (server) {
  const asset = await server.upload(SCENE)
  const p = await server.call('POST', '/v1/projects', { name: 'Star and circle', width: 128, height: 128, layers: [{ name: 'Star and circle', asset: asset.id }] })
  const job = await finished(server, `/v1/layers?project=${p.id}&layer=${p.layers[0].id}`, { image: asset.id, seed: 2, layers: 3, full_size: true })
  await server.call('POST', `/v1/projects/${p.id}/import`, { job: job.id, replace: p.layers[0].id, group: true })
  await server.call('PATCH', `/v1/jobs/${job.id}`, { candidate: 'accepted' })
  return p.id
}

async function lighthouse (server, page) {
  const [sky, sun, far, sea, shore, tower, light] = await page.evaluate(poster, SIDE)
  return await server.call('POST', '/v1/projects', {
    name: 'Lighthouse', width: SIDE, height: SIDE,
    layers: [
      { name: 'sky', asset: sky }, { name: 'sun', asset: sun, parent: 'dusk', blend_mode: 'screen' }, { name: 'far hills', asset: far, parent: 'dusk', opacity: 0.85 },
      { name: 'dusk', id: 'dusk', kind: 'group', asset: null }, { name: 'sea', asset: sea, locked: true }, { name: 'shore', asset: shore },
      { name: 'lighthouse', id: 'tower', asset: tower }, { name: 'beam of light', asset: light, blend_mode: 'screen', opacity: 0.8 }
    ]
  })
}

async function session (server, browser) {
  const page = await open(browser, server)
  await button(page, 'New project').waitFor()
  const made = await images(server)
  for (const [i, m] of made.slice(0, 5).entries()) {
    await server.call('POST', '/v1/projects', { name: ['Badge', 'Coin', 'Tile', 'Night', 'Sign'][i], width: 128, height: 128, layers: [m] })
  }
  const apart = await takenApart(server)
  const { id } = await lighthouse(server, page)
  await page.context().close()
  return { apart, lighthouse: id }
}

/* ---- what is shown ----------------------------------------------------------------------------------- */

const escape = async (page) => { await page.keyboard.press('Escape') }
const dialog = async (page) => { await page.getByRole('dialog').waitFor() }

async function project (page, server, id) {
  await page.goto(`${server.url}/#/p/${id}`)
  await row(page, /./).first().waitFor()
  await drawn(page)
  await page.locator('.history-item').first().waitFor()
}

// Each leaves the page as the next one wants it.
const SHOTS = {
  async home (page, server) {
    await page.goto(`${server.url}/#/`)
    await until('all cards', async () => await page.locator('.card').count() === 7)
  },
  async new (page) { await button(page, 'New project').click(); await prompt(page).fill('A lighthouse at dusk, seen from the sea') },
  async make (page, server, ids) {
    await escape(page)
    await project(page, server, ids.lighthouse)
    await row(page, 'lighthouse').click()
    await panel(page, 'Make').click()
    await prompt(page).fill('A lighthouse at dusk, seen from the sea')
  },
  async change (page, server) {
    await panel(page, 'Change').click()
    await prompt(page).fill('A sailing ship on the horizon')
    const at = await screenOf(page, { width: SIDE, height: SIDE })
    await page.keyboard.press('b')
    for (let i = 0; i < 5; i++) await page.keyboard.press(']')
    await drag(page, [at(410, 520), at(520, 470), at(640, 520)])
    await page.getByRole('img', { name: /^The mask/ }).waitFor()
    await saved(page)
    await page.mouse.move(...at(600, 400))
  },
  async queue (page, server, ids) {
    await page.keyboard.press('Control+d')
    await page.keyboard.press('v')
    await server.call('PATCH', '/v1/queue', { paused: true })
    for (const words of ['A lighthouse in fog', 'A lighthouse in the snow', 'A lighthouse by day']) {
      await server.call('POST', `/v1/generate?project=${ids.lighthouse}`, { prompt: words, width: 128, height: 128, count: 2 })
    }
    await page.getByRole('button', { name: /^Queue/ }).click()
    await until('three wait', async () => await queue(page).getByRole('listitem').count() === 3)
  },
  async export (page, server) {
    for (const j of (await server.call('GET', '/v1/queue')).queued) await server.call('DELETE', `/v1/jobs/${j}`)
    await server.call('PATCH', '/v1/queue', { paused: false })
    await button(queue(page), 'Close').click()
    await button(page, 'Export').click()
    await page.getByRole('radio', { name: 'PSD' }).check({ force: true })
    await page.getByRole('img', { name: 'Preview of the file' }).waitFor()
    await until('the preview is of this choice', async () => await page.locator('.export-stage.old').count() === 0)
  },
  async settings (page) { await escape(page); await page.keyboard.press('Control+,'); await dialog(page) },
  async shortcuts (page) { await escape(page); await page.keyboard.press('?'); await dialog(page) },
  async commands (page) { await escape(page); await page.keyboard.press('Control+k'); await dialog(page); await page.keyboard.type('la') },
  async airgap (page) { await escape(page); await button(page, 'Air gap').click(); await dialog(page) },
  async apart (page, server, ids) {
    await escape(page)
    await project(page, server, ids.apart)
    await panel(page, 'Take apart').click()
    await row(page, 'Star and circle').click()
  },
  async results (page) {
    await panel(page, 'Make').click()
    await prompt(page).fill(STAR)
    await type(page, 'Images', 2)
    await button(page, 'Generate').click()
    await staging(page).waitFor()
    await canvas(page).focus()
    await page.keyboard.press('c')
    await page.mouse.move(640, 400)
  }
}
const WIDE = ['home', 'make', 'change', 'export', 'apart', 'results']
const LARGE = ['home', 'change', 'apart']
const SHOWN = { 1280: Object.keys(SHOTS), 1920: WIDE, '4k': LARGE }

/* ---- files -------------------------------------------------------------------------------------------- */

async function webp (page, png) {
  const data = await page.evaluate(async ({ data, quality }) => {
    const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${data}`)).blob())
    const c = new OffscreenCanvas(bitmap.width, bitmap.height)
    c.getContext('2d').drawImage(bitmap, 0, 0)
    const bytes = new Uint8Array(await (await c.convertToBlob({ type: 'image/webp', quality })).arrayBuffer())
    let s = ''
    for (let i = 0; i < bytes.length; i += 8192) s += String.fromCharCode(...bytes.subarray(i, i + 8192))
    return btoa(s)
  }, { data: png.toString('base64'), quality: QUALITY })
  return Buffer.from(data, 'base64')
}

// No result waits, and the history is again as the first series had it.
async function forget (server) {
  for (const j of (await server.call('GET', '/v1/jobs?candidate=open')).jobs) {
    await server.call('PATCH', `/v1/jobs/${j.id}`, { candidate: 'discarded' })
    for (const i of j.result?.images ?? []) await server.call('PATCH', `/v1/assets/${i.asset}`, { trashed: true })
  }
}

async function series (server, browser, encoder, ids, size, scheme) {
  const page = await open(browser, server, { ...SIZES[size], scheme, reducedMotion: 'reduce' })
  for (const [name, show] of Object.entries(SHOTS)) {
    await show(page, server, ids)
    if (!SHOWN[size].includes(name)) continue
    await until('the plan has answered', async () => await page.locator('.plan.stale, .plan:has-text("Asking")').count() === 0)
    await until('all images are there', async () => await page.evaluate(() => [...document.images].every((i) => i.complete)))
    await page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => { requestAnimationFrame(resolve) }) }))
    const file = `${name}-${size}-${scheme}.webp`
    writeFileSync(join(OUT, file), await webp(encoder, await page.screenshot()))
    console.log(file)
  }
  await forget(server)
  await page.context().close()
}

const server = await new Server(process.argv[2]).start()
const browser = await launch()
try {
  mkdirSync(OUT, { recursive: true })
  for (const f of readdirSync(OUT)) if (f.endsWith('.webp')) rmSync(join(OUT, f))
  const ids = await session(server, browser)
  const encoder = await (await browser.newContext()).newPage()
  for (const size of Object.keys(SIZES)) for (const scheme of ['dark', 'light']) await series(server, browser, encoder, ids, size, scheme)
} finally {
  await browser.close()
  await server.close()
}
