// The tree of layers: what a person drags, hides, blends, groups and renames, and that undo goes back to the beginning.
import assert from 'node:assert/strict'
import { button, open, rows, SCENE, stack, tree, until } from './support.mjs'

async function project (server, layers) {
  const asset = await server.upload(SCENE)
  return await server.call('POST', '/v1/projects', {
    name: 'scene', width: asset.width, height: asset.height, layers: layers.map((l) => ({ asset: asset.id, ...l }))
  })
}

const row = (page, name) => tree(page).getByRole('treeitem', { name })

async function drag (page, from, to, part) {
  const a = await from.boundingBox()
  const b = await to.boundingBox()
  await page.mouse.move(a.x + 120, a.y + a.height / 2)
  await page.mouse.down()
  await page.mouse.move(a.x + 120, a.y + a.height / 2 + 8, { steps: 2 })
  await page.mouse.move(b.x + 120, b.y + b.height * part, { steps: 4 })
  await page.mouse.up()
}

export async function order_by_drag_and_keys ({ server, browser }) {
  const p = await project(server, [{ name: 'a' }, { name: 'b' }, { name: 'c' }])
  const page = await open(browser, server, { path: `/#/p/${p.id}` })
  await row(page, 'c').waitFor()
  assert.deepEqual(await rows(page).evaluateAll((l) => l.map((r) => r.getAttribute('aria-label'))), ['c', 'b', 'a'])
  await drag(page, row(page, 'a'), row(page, 'c'), 0.1)
  await until('a is on top', async () => await stack(server, p.id) === 'a c b')
  await row(page, 'a').click()
  await page.keyboard.press('Control+[')
  await until('a is lower', async () => await stack(server, p.id) === 'c a b')
  await page.keyboard.press('Control+z')
  await page.keyboard.press('Control+z')
  await until('undone', async () => await stack(server, p.id) === 'c b a')
  await page.keyboard.press('Control+Shift+z')
  await until('redone', async () => await stack(server, p.id) === 'a c b')
  await page.reload()
  await row(page, 'a').waitFor()
  assert.equal(await rows(page).first().getAttribute('aria-label'), 'a')
}

export async function groups ({ server, browser }) {
  const p = await project(server, [{ name: 'a' }, { name: 'b' }, { name: 'c' }])
  const page = await open(browser, server, { path: `/#/p/${p.id}` })
  await row(page, 'c').click()
  await row(page, 'b').click({ modifiers: ['Shift'] })
  await page.keyboard.press('Control+g')
  await until('grouped', async () => await stack(server, p.id) === 'Group .c .b a')
  await drag(page, row(page, 'a'), row(page, 'Group'), 0.5)
  await until('a went into the group', async () => await stack(server, p.id) === 'Group .a .c .b')
  await row(page, 'Group').click()
  await page.keyboard.press('ArrowLeft')
  await until('folded', async () => await rows(page).count() === 1)
  await page.keyboard.press('Control+j')
  await until('copied whole', async () => await stack(server, p.id) === 'Group copy .a .c .b Group .a .c .b')
  await page.keyboard.press('Delete')
  await row(page, 'Group').click()
  await page.keyboard.press('Control+Shift+g')
  await until('ungrouped', async () => await stack(server, p.id) === 'a c b')
}

export async function properties ({ server, browser }) {
  const p = await project(server, [{ name: 'a' }, { name: 'b' }])
  const page = await open(browser, server, { path: `/#/p/${p.id}` })
  const top = async () => (await server.call('GET', `/v1/projects/${p.id}`)).layers[1]
  await row(page, 'b').click()
  await page.getByLabel('Blend mode').selectOption({ label: 'Multiply' })
  await until('multiply', async () => (await top()).blend_mode === 'multiply')
  const opacity = page.getByLabel('Opacity')
  await opacity.focus()
  await page.keyboard.press('Home')
  await until('transparent', async () => (await top()).opacity === 0)
  await row(page, 'b').getByRole('button', { name: 'Hide' }).click()
  await until('hidden', async () => !(await top()).visible)
  await row(page, 'b').getByRole('button', { name: 'Lock' }).click()
  await until('locked', async () => (await top()).locked)
  await row(page, 'b').press('F2')
  await page.getByLabel('Name of the layer').fill('<b>name</b>')
  await page.keyboard.press('Enter')
  await until('renamed', async () => (await top()).name === '<b>name</b>')
  assert.equal(await tree(page).locator('b').count(), 0)
  for (let i = 0; i < 5; i++) await button(page, 'Undo').click()
  await until('as at first', async () => {
    const l = await top()
    return l.name === 'b' && l.visible && !l.locked && l.opacity === 1 && l.blend_mode === 'normal'
  })
  await until('there is nothing to undo', async () => await button(page, 'Undo').isDisabled())
}

export async function many_rows_scroll ({ server, browser }) {
  const p = await project(server, Array.from({ length: 200 }, (_, i) => ({ name: `layer ${i}`, visible: i === 0 })))
  const page = await open(browser, server, { path: `/#/p/${p.id}` })
  await row(page, 'layer 199').waitFor()
  assert.ok(await rows(page).count() < 80)
  await row(page, 'layer 199').click()
  await page.keyboard.press('End')
  await until('the last row is seen and chosen', async () => await row(page, 'layer 0').first().getAttribute('aria-selected') === 'true')
}
