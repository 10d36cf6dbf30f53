// What the canvas shows is what the server exports: every blend mode, groups, masks and opacity.
import assert from 'node:assert/strict'
import { canvas, decoded, farthest, open, pixels, png, rows, saved, until } from './support.mjs'

const SIDE = 48

// All sorts of colours and alphas, the same every time.
function noise (seed) {
  let s = seed
  const next = () => { s = (Math.imul(s, 1664525) + 1013904223) >>> 0; return s >>> 24 }
  return png(SIDE, SIDE, (x, y) => [next(), next(), next(), x < 8 ? 0 : x < 16 ? 255 : next() & (y < 8 ? 3 : 255)])
}

const put = async (server, bytes) => (await server.call('POST', '/v1/assets', bytes, 'image/png')).assets[0].id

async function compare (server, browser, layers, most = 1) {
  const p = await server.call('POST', '/v1/projects', { name: 'blend', width: SIDE, height: SIDE, layers })
  const page = await open(browser, server, { path: `/#/p/${p.id}` })
  await rows(page).first().waitFor()
  await until('all images are drawn', async () => await canvas(page).getAttribute('aria-busy') === 'false' && Number(await canvas(page).getAttribute('data-revision')) > 0)
  const theirs = await decoded(page, `/v1/projects/${p.id}/export?format=png`)
  let d
  await until('the canvas is what the server exports', async () => { d = farthest(await pixels(page), theirs); return d.most <= most }, 8)
    .catch((e) => { throw new Error(`${e.message}: ${JSON.stringify(d)}`) })
  await page.context().close()
}

const MODES = ['normal', 'multiply', 'screen', 'overlay', 'darken', 'lighten', 'color-dodge', 'color-burn', 'hard-light', 'soft-light', 'difference',
  'exclusion', 'add', 'hue', 'saturation', 'color', 'luminosity']

export async function blend_modes_equal_the_server ({ server, browser }) {
  const [below, above] = [await put(server, noise(1)), await put(server, noise(2))]
  const p = await server.call('POST', '/v1/projects', { width: SIDE, height: SIDE, layers: [{ asset: below }, { asset: above, id: 'top', name: 'top', opacity: 0.7 }] })
  const page = await open(browser, server, { path: `/#/p/${p.id}` })
  await rows(page).getByText('top').click()
  for (const mode of MODES) {
    await page.getByLabel('Blend mode').selectOption(mode)
    await until(mode, async () => (await server.call('GET', `/v1/projects/${p.id}`)).layers[1].blend_mode === mode)
    const theirs = await decoded(page, `/v1/projects/${p.id}/export?format=png`)
    let d
    await until(`${mode} is drawn as the server has it`, async () => { d = farthest(await pixels(page), theirs); return d.most <= 1 }, 8)
      .catch((e) => { throw new Error(`${e.message}: ${JSON.stringify(d)}`) })
  }
}

export async function groups_masks_and_places_equal_the_server ({ server, browser }) {
  const [a, b, c] = [await put(server, noise(3)), await put(server, noise(4)), await put(server, noise(5))]
  const mask = await put(server, png(SIDE, SIDE, (x) => [5 * x, 5 * x, 5 * x, 255]))
  await compare(server, browser, [
    { asset: a, id: 'a' },
    { asset: b, id: 'b', parent: 'g', x: 7, y: -5, mask },
    { asset: c, id: 'c', parent: 'g', blend_mode: 'multiply', opacity: 0.6, x: -9, y: 11 },
    { id: 'g', kind: 'group', blend_mode: 'screen', opacity: 0.8 },
    { asset: c, id: 'hidden', visible: false },
    { asset: b, id: 'd', parent: 'h' },
    { id: 'h', kind: 'group', visible: false }
  ], 2)
}

export async function moving_and_nudging ({ server, browser }) {
  const a = await put(server, png(16, 16, () => [200, 30, 30, 255]))
  const p = await server.call('POST', '/v1/projects', { width: SIDE, height: SIDE, layers: [{ asset: a, id: 'a', name: 'a', x: 4, y: 4 }] })
  const page = await open(browser, server, { path: `/#/p/${p.id}` })
  const layer = async () => (await server.call('GET', `/v1/projects/${p.id}`)).layers[0]
  await rows(page).first().click()
  await canvas(page).focus()
  await page.keyboard.press('ArrowRight')
  await page.keyboard.press('Shift+ArrowDown')
  await until('nudged', async () => { const l = await layer(); return l.x === 5 && l.y === 14 })
  await page.keyboard.press('Control+z')
  await until('a burst is one step', async () => { const l = await layer(); return l.x === 4 && l.y === 4 })
  await saved(page) // the page has it, too
  const box = await canvas(page).boundingBox()
  const before = Number(await canvas(page).getAttribute('data-revision'))
  await page.keyboard.press('0')
  await page.keyboard.press('v')
  // The layer's middle: the canvas of 48 px is shown in the middle of the area.
  const zoom = await page.evaluate(() => Number(/([\d.,]+) %/.exec(document.body.innerText)?.[1]) / 100)
  const at = (x, y) => [box.x + box.width / 2 + (x - SIDE / 2) * zoom, box.y + box.height / 2 + (y - SIDE / 2) * zoom]
  await page.mouse.move(...at(12, 12))
  await page.mouse.down()
  await page.mouse.move(...at(20, 14), { steps: 5 })
  await page.keyboard.down('Control') // no snapping
  await page.mouse.move(...at(26, 20), { steps: 5 })
  await page.mouse.up()
  await page.keyboard.up('Control')
  await until('dragged', async () => { const l = await layer(); return Math.abs(l.x - 18) <= 1 && Math.abs(l.y - 12) <= 1 })
  assert.ok(Number(await canvas(page).getAttribute('data-revision')) > before)
  await saved(page)
}
