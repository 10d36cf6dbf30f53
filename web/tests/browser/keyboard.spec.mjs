// Without a pointer: from the empty home page to a file, and what the focus does on the way.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { open, panel, projectId, row, scene, stack, staging, until } from './support.mjs'

const STAR = 'a red star on a white background'

const focused = async (page) => await page.evaluate(() => {
  const e = document.activeElement
  return e ? (e.getAttribute('aria-label') ?? (e.labels?.[0] ?? e).textContent ?? '').trim() : ''
})

// Tab, until what has that name has the focus: it is reached by keys, and the focus is never lost on the way.
async function tabTo (page, name, key = 'Tab') {
  const seen = []
  for (let i = 0; i < 80; i++) {
    const now = await focused(page)
    if (now === name) return
    seen.push(now)
    await page.keyboard.press(key)
  }
  throw new Error(`Tab does not reach ${name}: ${[...new Set(seen)].join(' | ')}`)
}

export async function from_the_empty_page_to_a_file ({ server, browser }) {
  const page = await open(browser, server)
  await page.getByRole('button', { name: 'New project' }).waitFor()
  await tabTo(page, 'New project')
  await page.keyboard.press('Enter')
  await page.getByRole('dialog', { name: 'New project' }).waitFor()
  await tabTo(page, 'Prompt')
  await page.keyboard.type(STAR)
  await page.keyboard.press('Control+Enter')
  const id = await projectId(page)
  await staging(page).waitFor()
  await page.keyboard.press('Enter')
  await row(page, STAR).waitFor()
  await until('it is kept', async () => await stack(server, id) === STAR)
  await tabTo(page, STAR)
  await page.keyboard.press('F2')
  await page.keyboard.press('Control+a')
  await page.keyboard.type('star')
  await page.keyboard.press('Enter')
  await until('renamed', async () => await stack(server, id) === 'star')
  await tabTo(page, 'Export')
  await page.keyboard.press('Enter')
  const dialog = page.getByRole('dialog', { name: 'Export' })
  await dialog.waitFor()
  await tabTo(page, 'PNG')
  for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowRight')
  assert.ok(await dialog.getByRole('radio', { name: 'PSD' }).isChecked())
  await tabTo(page, 'Download')
  const [file] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')])
  assert.equal(readFileSync(await file.path()).subarray(0, 4).toString(), '8BPS')
  await dialog.waitFor({ state: 'detached' })
  assert.equal(await focused(page), 'Export', 'the focus is where it was')
}

export async function tabs_menus_and_the_palette ({ server, browser }) {
  const p = await scene(server, [{ name: 'a' }, { name: 'b' }])
  const page = await open(browser, server, { path: `/#/p/${p.id}` })
  await row(page, 'b').waitFor()
  await tabTo(page, 'Make')
  await page.keyboard.press('ArrowRight')
  await page.keyboard.press('ArrowRight')
  assert.equal(await panel(page, 'Take apart').getAttribute('aria-selected'), 'true')
  await tabTo(page, 'b')
  await page.keyboard.press('ArrowDown')
  await until('the row below is chosen', async () => await row(page, 'a').getAttribute('aria-selected') === 'true' && await focused(page) === 'a')
  await tabTo(page, 'Layer actions', 'Shift+Tab')
  await page.keyboard.press('Enter')
  await page.getByRole('menu', { name: 'Layer actions' }).waitFor()
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter')
  await until('duplicated from the menu', async () => await stack(server, p.id) === 'b a copy a')
  assert.equal(await focused(page), 'Layer actions', 'the focus is where the menu came from')
  await page.keyboard.press('Control+k')
  await page.getByRole('dialog').waitFor()
  await page.keyboard.type('undo')
  await page.keyboard.press('Enter')
  await until('undone from the palette', async () => await stack(server, p.id) === 'b a')
  await page.keyboard.press('?')
  await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
}
