// Taking apart: an image becomes a group, a member of it another one; all of it goes back and forth by undo and survives a reload.
import assert from 'node:assert/strict'
import { button, drag, open, panel, projectOf, row, rows, saved, scene, stack, staging, type, until } from './support.mjs'

const tree = async (server, page) => (await projectOf(server, page)).layers
const members = (layers, parent) => layers.filter((l) => l.parent === parent)

async function takeApart (page) {
  await panel(page, 'Take apart').click()
  await type(page, 'Layers', 2)
  await type(page, 'Steps', 2)
  await type(page, 'Seed', 1)
  await button(page, 'Take apart').click()
  await button(staging(page), 'Accept').click()
  await staging(page).waitFor({ state: 'detached' })
}

async function opened (server, browser) {
  const p = await scene(server)
  const page = await open(browser, server, { path: `/#/p/${p.id}` })
  await row(page, 'scene').waitFor()
  return { page, id: p.id }
}

async function group (server, page) {
  return await until('it is a group', async () => {
    const layers = await tree(server, page)
    return layers.some((l) => l.name === 'scene' && l.kind === 'group') && layers
  })
}

async function command (page, name) {
  await page.keyboard.press('Control+k')
  await page.getByRole('dialog').waitFor()
  await page.keyboard.type(name)
  await page.keyboard.press('Enter')
}

export async function one_layer_becomes_a_group_and_one_again ({ server, browser }) {
  const { page, id } = await opened(server, browser)
  const [before] = await tree(server, page)
  await takeApart(page)
  const layers = await group(server, page)
  const [top] = layers.filter((l) => l.kind === 'group')
  assert.equal(top.asset, before.asset, 'it remembers what it was')
  assert.equal(members(layers, top.id).length, layers.length - 1)
  await until('the rows are there', async () => await rows(page).count() === layers.length)
  await row(page, 'scene').first().click()
  await command(page, 'Make one layer again')
  await until('one layer again', async () => { const [l, more] = await tree(server, page); return !more && l.kind === 'image' && l.asset === before.asset })
  await button(page, 'Undo').click()
  await button(page, 'Undo').click()
  await until('as at first', async () => await stack(server, id) === 'scene')
  await until('there is nothing to undo', async () => await button(page, 'Undo').isDisabled())
}

export async function worked_on_then_undone_to_the_beginning ({ server, browser }) {
  const { page } = await opened(server, browser)
  const first = await tree(server, page)
  await takeApart(page)
  const names = members(await group(server, page), first[0].id).map((l) => l.name)
  const member = (n) => page.locator(`[role=treeitem][aria-level="2"]`).nth(n)
  const at = async (n, part) => { const b = await member(n).boundingBox(); return [b.x + 120, b.y + b.height * part] }
  await drag(page, [await at(1, 0.5), await at(1, 0.3), await at(0, 0.1)])
  await until('reordered', async () => members(await tree(server, page), first[0].id).map((l) => l.name).join() === [...names].reverse().join())
  await member(0).getByRole('button', { name: 'Hide' }).click()
  await member(1).click()
  await page.getByLabel('Blend mode').selectOption('multiply')
  await page.keyboard.press('Escape')
  await member(1).press('Control+g')
  await until('grouped', async () => (await tree(server, page)).length === first.length + names.length + 1)
  await saved(page)
  const last = await tree(server, page)
  assert.equal(last.filter((l) => !l.visible).length, 1)
  assert.equal(last.filter((l) => l.blend_mode === 'multiply').length, 1)
  const steps = await walk(page, 'Undo')
  assert.equal(steps, 5)
  assert.deepEqual(await tree(server, page), first)
  assert.equal(await walk(page, 'Redo'), steps)
  assert.deepEqual(await tree(server, page), last)
  await page.reload()
  await until('all rows are there again', async () => await rows(page).count() === last.length)
  await until('it can be undone', async () => await button(page, 'Undo').isEnabled())
}

// Presses it until it can no longer be pressed.
async function walk (page, name) {
  for (let n = 0; ; n++) {
    await saved(page)
    if (await button(page, name).isDisabled()) return n
    const before = await until('the revision', async () => await page.evaluate(() => fetch(`/v1/projects/${location.hash.slice(4)}`).then((r) => r.json())))
    await button(page, name).click()
    await until(`${name} ${n + 1}`, async () => (await page.evaluate(() => fetch(`/v1/projects/${location.hash.slice(4)}`).then((r) => r.json()))).revision > before.revision)
  }
}

export async function a_member_is_taken_apart_in_turn ({ server, browser }) {
  const { page } = await opened(server, browser)
  await takeApart(page)
  const [, member] = await group(server, page)
  await page.locator(`[data-layer="${member.id}"]`).click()
  await takeApart(page)
  const layers = await until('a group in a group', async () => {
    const now = await tree(server, page)
    return now.some((l) => l.id === member.id && l.kind === 'group') && now
  })
  assert.ok(members(layers, member.id).length > 0)
  assert.equal(layers.find((l) => l.id === member.id).parent, layers.find((l) => l.name === 'scene' && l.parent === null).id)
}

export async function merged_down ({ server, browser }) {
  const { page, id } = await opened(server, browser)
  await takeApart(page)
  const layers = await group(server, page)
  const inside = members(layers, layers.find((l) => l.kind === 'group').id)
  await page.locator(`[data-layer="${inside.at(-1).id}"]`).click()
  await page.keyboard.press('Control+e')
  await until('one less', async () => (await tree(server, page)).length === layers.length - 1)
  await page.keyboard.press('Control+z')
  await until('as before', async () => (await tree(server, page)).length === layers.length)
  assert.match(await stack(server, id), /^scene \./)
}
