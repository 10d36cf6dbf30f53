// Files: what is exported is what is seen, what comes back is what went out, and what is broken loses nothing.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import {
  button, canvas, differing, drawn, drop, farthest, open, pixels, projectId, projectOf, prompt, queue, row, rows, saved, SCENE, scene, stack, staging, type, until
} from './support.mjs'

const STACK = [
  { name: 'ground' }, { name: 'inner', parent: 'g', x: 9, y: 20, blend_mode: 'multiply', id: 'i' },
  { name: 'outer', parent: 'g', opacity: 0.5, x: -30, id: 'o' }, { name: 'both', kind: 'group', asset: null, id: 'g', opacity: 0.75 }, { name: 'unseen', visible: false }
]
const UNREADABLE = { allow: ['status of 4'] }

async function exported (page, format) {
  await button(page, 'Export').click()
  const dialog = page.getByRole('dialog', { name: 'Export' })
  await dialog.getByRole('radio', { name: format, exact: true }).check({ force: true })
  const [file] = await Promise.all([page.waitForEvent('download'), button(dialog, 'Download').click()])
  await dialog.waitFor({ state: 'detached' })
  return { name: file.suggestedFilename(), path: await file.path() }
}

// The image that the PSD holds for programs that do not read layers, as ImageMagick reads it. Null where that is not here.
function flattened (path, { width, height }) {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', 'command -p convert "$1" -depth 8 rgba:-', 'sh', `psd:${path}[0]`], { maxBuffer: 1 << 26 })
  if (status === 127) return null
  assert.equal(status, 0, String(stderr))
  return { width, height, data: stdout }
}

export async function a_psd_holds_what_is_seen_and_comes_back ({ server, browser }) {
  const p = await scene(server, STACK, 'There and back')
  const page = await open(browser, server, { path: `/#/p/${p.id}` })
  await row(page, 'unseen').waitFor()
  await drawn(page)
  const seen = await pixels(page)
  const psd = await exported(page, 'PSD')
  assert.equal(psd.name, 'There and back.psd')
  const flat = flattened(psd.path, seen)
  if (flat) assert.ok(farthest(flat, seen).most <= 1, JSON.stringify(farthest(flat, seen)))
  await page.goto(`${server.url}/#/`)
  await button(page, 'New project').waitFor()
  await drop(page, page.locator('main'), [{ name: psd.name, type: 'image/vnd.adobe.photoshop', data: readFileSync(psd.path) }])
  const id = await projectId(page)
  assert.notEqual(id, p.id)
  await row(page, 'unseen').waitFor()
  assert.equal(await stack(server, id), await stack(server, p.id))
  await drawn(page)
  await until('it looks the same', async () => farthest(await pixels(page), seen).most <= 1)
}

export async function every_format_is_written ({ server, browser }) {
  const p = await scene(server, STACK, 'All')
  const page = await open(browser, server, { path: `/#/p/${p.id}` })
  await row(page, 'unseen').waitFor()
  const begins = { PNG: '\x89PNG', JPEG: '\xff\xd8\xff', WebP: 'RIFF', OpenRaster: 'PK', PPTX: 'PK', ZIP: 'PK' }
  for (const [format, begin] of Object.entries(begins)) {
    const { path } = await exported(page, format)
    assert.equal(readFileSync(path).subarray(0, begin.length).toString('latin1'), begin, format)
  }
}

export async function an_image_dropped_on_the_canvas_is_a_layer ({ server, browser }) {
  const p = await scene(server)
  const page = await open(browser, server, { path: `/#/p/${p.id}` })
  await drawn(page)
  await drop(page, canvas(page), [{ name: 'dropped.png', type: 'image/png', data: readFileSync(SCENE) }])
  await row(page, 'dropped').waitFor()
  await until('it is kept', async () => await stack(server, p.id) === 'dropped scene')
  await button(page, 'Undo').click()
  await until('undone', async () => await stack(server, p.id) === 'scene')
}

export async function a_broken_file_says_so_and_loses_nothing ({ server, browser }) {
  const p = await scene(server)
  const page = await open(browser, server, { path: `/#/p/${p.id}`, ...UNREADABLE })
  await drawn(page)
  const before = await projectOf(server, page)
  const seen = await pixels(page)
  const half = readFileSync(SCENE).subarray(0, 300)
  for (const f of [{ name: 'half.png', type: 'image/png', data: half }, { name: 'none.psd', type: '', data: Buffer.from('8BPSno') }]) {
    await drop(page, canvas(page), [f])
    const said = page.locator('.toast.error').filter({ hasText: /PNG|PSD/ })
    await said.waitFor()
    await button(said, 'Close').click()
    await said.waitFor({ state: 'detached' })
  }
  assert.deepEqual(await projectOf(server, page), before)
  assert.equal(await rows(page).count(), 1)
  assert.equal(differing(await pixels(page), seen), 0)
  await page.goto(`${server.url}/#/`)
  await drop(page, page.locator('main'), [{ name: 'half.png', type: 'image/png', data: half }])
  await page.locator('.toast.error').filter({ hasText: 'PNG' }).waitFor()
  assert.equal((await server.call('GET', '/v1/projects')).projects.length, 1)
}

const MARKUP = '<img src=x onerror="window.broken = 1"><b>bold</b>'

export async function names_with_markup_stay_text ({ server, browser }) {
  const p = await scene(server, [{ name: MARKUP }], MARKUP)
  const page = await open(browser, server)
  await page.getByText('<img src=x').first().waitFor()
  await page.locator('.card-link').click()
  await row(page, MARKUP).waitFor()
  await prompt(page).fill(MARKUP)
  await type(page, 'Steps', 1)
  await button(page, 'Generate').click()
  await page.getByRole('button', { name: /^Queue/ }).click()
  await queue(page).getByText('<img src=x').first().waitFor()
  await button(staging(page), 'Accept').click()
  await until('two layers', async () => await rows(page).count() === 2)
  await page.getByRole('list', { name: 'History' }).getByRole('button').first().hover()
  await page.locator('.history-card').waitFor()
  await page.keyboard.press('Control+k')
  await page.getByRole('dialog').waitFor()
  await page.keyboard.type('img')
  await page.keyboard.press('Escape')
  await saved(page)
  assert.equal(await page.locator('[onerror], b:text-is("bold")').count(), 0)
  assert.equal(await page.evaluate(() => window.broken), undefined)
  assert.equal((await server.call('GET', `/v1/projects/${p.id}`)).layers[1].name, MARKUP)
}
