// Changing: inside a painted mask and nowhere else, one layer alone, with references.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import {
  button, decoded, differing, drag, drawn, open, panel, pixels, projectOf, prompt, row, rows, SCENE, scene, screenOf, staging, type, until
} from './support.mjs'

const RED = 'change the color of the yellow star to red'

async function changing (server, browser, layers) {
  const p = await scene(server, layers)
  const page = await open(browser, server, { path: `/#/p/${p.id}` })
  await rows(page).first().waitFor()
  await panel(page, 'Change').click()
  await prompt(page).fill(RED)
  await type(page, 'Steps', 2)
  await type(page, 'Seed', 1)
  return { page, p }
}

const lastJob = async (server, p) => (await server.call('GET', `/v1/jobs?project=${p.id}`)).jobs[0]

export async function nothing_changes_outside_a_painted_mask ({ server, browser }) {
  const { page, p } = await changing(server, browser)
  await drawn(page)
  const before = await pixels(page)
  const at = await screenOf(page, p)
  await page.keyboard.press('b')
  await drag(page, [at(22, 60), at(38, 66)])
  const { selection } = await until('the mask is kept', async () => { const now = await projectOf(server, page); return now.selection && now })
  await page.getByRole('img', { name: /^The mask/ }).waitFor()
  const mask = await decoded(page, `/v1/assets/${selection}`)
  await button(page, 'Edit').click()
  await button(staging(page), 'Accept').click()
  await row(page, RED).waitFor()
  await staging(page).waitFor({ state: 'detached' })
  const inside = (i) => mask.data[4 * i] > 0
  const after = await until('the change is drawn', async () => { const now = await pixels(page); return differing(before, now) > 0 && now })
  assert.ok(differing(before, after, inside) > 100)
  assert.equal(differing(before, after, (i) => !inside(i)), 0)
  await button(page, 'Undo').click()
  await until('undone', async () => differing(before, await pixels(page)) === 0)
}

export async function the_part_around_a_mask_is_changed_and_nothing_else ({ server, browser }) {
  const { page, p } = await changing(server, browser)
  await page.getByText('Mask edge and finish').click()
  assert.equal(await page.getByLabel('Only the part around the mask').isDisabled(), true)
  await drawn(page)
  const before = await pixels(page)
  const at = await screenOf(page, p)
  await page.keyboard.press('m')
  await drag(page, [at(20, 50), at(40, 70)])
  await until('the mask is kept', async () => (await projectOf(server, page)).selection)
  await type(page, 'Grow the mask', 4)
  await type(page, 'Soften its edge', 2)
  await page.getByLabel('Only the part around the mask').check()
  await page.getByLabel('Undo a tint of the whole').check()
  await button(page, 'Edit').click()
  await button(staging(page), 'Accept').click()
  await row(page, RED).waitFor()
  const { request } = await lastJob(server, p)
  assert.deepEqual([request.mask_grow, request.mask_feather, request.crop_to_mask, request.match_colours, request.register], [4, 2, true, true, undefined])
  await staging(page).waitFor({ state: 'detached' })
  const after = await until('the change is drawn', async () => { const now = await pixels(page); return differing(before, now) > 0 && now })
  const near = (i) => { const x = i % before.width, y = Math.floor(i / before.width); return x >= 12 && x < 48 && y >= 42 && y < 78 }
  assert.equal(differing(before, after, (i) => !near(i)), 0)
}

export async function a_mask_is_undone_inverted_and_cleared ({ server, browser }) {
  const { page, p } = await changing(server, browser)
  const at = await screenOf(page, p)
  const kept = async () => (await projectOf(server, page)).selection
  const [x, y] = at(30, 30)
  const shown = async () => await page.screenshot({ clip: { x, y, width: 60, height: 60 } })
  await page.keyboard.press('m')
  await drawn(page)
  const bare = await shown()
  const veiled = async () => !bare.equals(await shown())
  await drag(page, [at(0, 0), at(64, 64)])
  const first = await until('a rectangle', kept)
  await until('the veil is seen', veiled)
  await page.keyboard.press('Control+Shift+I')
  const second = await until('inverted', async () => { const id = await kept(); return id !== first && id })
  const [a, b] = [await decoded(page, `/v1/assets/${first}`), await decoded(page, `/v1/assets/${second}`)]
  assert.ok(a.data.every((v, i) => i % 4 === 3 || v + b.data[i] === 255))
  await page.keyboard.press('Control+d')
  await until('cleared', async () => await kept() === null)
  await until('the veil is gone', async () => !await veiled())
  await page.keyboard.press('Control+z')
  await until('there again', async () => await kept() === second)
  await page.goto(`${server.url}/#/p/${(await scene(server, [{ name: 'other' }])).id}`)
  await row(page, 'other').waitFor()
  await until('another project has none', async () => !await veiled())
}

export async function one_layer ({ server, browser }) {
  const { page, p } = await changing(server, browser, [{ name: 'below' }, { name: 'above', x: 10 }])
  await row(page, 'below').click()
  await page.getByRole('radio', { name: 'Selected layer' }).click()
  await button(page, 'Edit').click()
  await button(staging(page), 'Accept').click()
  await until('it lies over its layer', async () => (await projectOf(server, page)).layers.map((l) => l.name).join() === `below,${RED},above`)
  const job = await lastJob(server, p)
  assert.equal(job.layer, p.layers[0].id)
  assert.deepEqual(job.request.images, [p.layers[0].asset])
}

export async function with_references ({ server, browser }) {
  const { page, p } = await changing(server, browser)
  const references = page.getByRole('group', { name: 'References' })
  await references.locator('input[type=file]').setInputFiles({ name: 'look.png', mimeType: 'image/png', buffer: readFileSync(SCENE) })
  await references.getByRole('listitem').waitFor()
  await button(page, 'Edit').click()
  await staging(page).waitFor()
  const job = await lastJob(server, p)
  assert.equal(job.request.images.length, 2)
  assert.equal(job.request.images[1], p.layers[0].asset)
  await button(references, 'Remove reference 1').click()
  await references.getByRole('listitem').waitFor({ state: 'detached' })
}
