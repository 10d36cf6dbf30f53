// Everyone: axe-core finds nothing serious on any page, panel, menu or dialog, dark or light; nothing is cut off at 1024 px; nothing moves
// for who asked for stillness.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { button, canvas, drawn, open, panel, prompt, queue, row, scene, staging, type, until } from './support.mjs'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

async function violations (page, rules) {
  const found = await page.evaluate(async (only) => {
    /* A row is called by its layer's name alone; what stands small below it are properties. */
    const rules = { 'label-content-name-mismatch': { enabled: false } }
    const r = await window.axe.run(document, { resultTypes: ['violations'], rules, ...(only ? { runOnly: { type: 'rule', values: only } } : {}) })
    return r.violations.filter((v) => ['serious', 'critical'].includes(v.impact))
      .map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.html.slice(0, 160)} ${n.any[0]?.message ?? ''}`).join('; ')}`)
  }, rules)
  return found
}

// Controls and headings that reach beyond the window or beyond a box that hides what reaches beyond it, and words that are cut without a sign.
function cutOff () {
  const scrolls = (e) => /auto|scroll/.test(getComputedStyle(e).overflow)
  const seen = (e) => e.checkVisibility({ checkVisibilityCSS: true, checkOpacity: true }) && e.getBoundingClientRect().width > 2
  const name = (e) => `${e.tagName.toLowerCase()} ${e.getAttribute('aria-label') ?? e.textContent.trim().slice(0, 40)}`
  const out = []
  if (document.scrollingElement.scrollWidth > innerWidth) out.push('the page scrolls sideways')
  for (const e of document.querySelectorAll('button, input, select, textarea, h1, h2, h3, [role=tab], [role=radio], label')) {
    if (!seen(e) || e.closest('.visually-hidden, .history-list, [role=tree]')) continue
    const r = e.getBoundingClientRect()
    let box = { left: 0, right: innerWidth }
    for (let p = e.parentElement; p; p = p.parentElement) {
      if (scrolls(p)) { box = null; break }
      if (getComputedStyle(p).overflowX === 'hidden') { box = p.getBoundingClientRect(); break }
    }
    if (box && (r.left < box.left - 1 || r.right > box.right + 1)) out.push(`${name(e)} reaches beyond its room`)
    const s = getComputedStyle(e)
    if (e.tagName === 'BUTTON' && e.scrollWidth > e.clientWidth + 1 && s.textOverflow !== 'ellipsis') out.push(`${name(e)} is wider than its button`)
  }
  return out
}

// In every state: all rules in the dark, contrast in the light, and the narrow window.
async function check (page, what, said) {
  const note = (list, where) => { for (const v of list) said.push(`${what}, ${where}: ${v}`) }
  note(await violations(page), 'dark')
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' })
  note(await violations(page, ['color-contrast']), 'light')
  await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' })
  await page.setViewportSize({ width: 1024, height: 768 })
  note(await page.evaluate(cutOff), '1024 px')
  await page.setViewportSize({ width: 1280, height: 800 })
}

async function opened (browser, server, path) {
  const page = await open(browser, server, { path, reducedMotion: 'reduce' })
  await page.evaluate(AXE)
  return { page, said: [] }
}

function nothing (said) {
  assert.equal(said.length, 0, said.join('\n'))
}

export async function home ({ server, browser }) {
  const { page, said } = await opened(browser, server, '/')
  await button(page, 'New project').waitFor()
  await check(page, 'empty home', said)
  await button(page, 'New project').click()
  const dialog = page.getByRole('dialog', { name: 'New project' })
  for (const tab of ['Prompt', 'Empty canvas', 'File']) {
    await dialog.getByRole('tab', { name: tab }).click()
    await check(page, `new project, ${tab}`, said)
  }
  await page.keyboard.press('Escape')
  await scene(server, [{ name: 'a' }], 'A name that is so long that it does not fit below the image of its project')
  await page.getByRole('button', { name: /^More for/ }).click()
  await page.getByRole('menu').waitFor()
  await check(page, 'home with a project and its menu', said)
  nothing(said)
}

export async function dialogs ({ server, browser }) {
  const p = await scene(server)
  const { page, said } = await opened(browser, server, `/#/p/${p.id}`)
  await drawn(page)
  const dialog = page.getByRole('dialog')
  for (const [key, name] of [['?', 'shortcuts'], ['Control+k', 'palette'], ['Control+Shift+S', 'export']]) {
    await page.keyboard.press(key)
    await dialog.waitFor()
    await check(page, name, said)
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
  }
  await button(page, 'Air gap').click()
  await dialog.waitFor()
  await check(page, 'air gap', said)
  await page.keyboard.press('Escape')
  await page.keyboard.press('Control+,')
  await dialog.waitFor()
  for (const tab of await dialog.getByRole('tab').all()) {
    await tab.click()
    await check(page, `settings, ${await tab.textContent()}`, said)
  }
  nothing(said)
}

export async function panels ({ server, browser }) {
  const p = await scene(server, [{ name: 'a' }, { name: 'b', parent: 'g' }, { name: 'g', id: 'g', kind: 'group', asset: null, warning: 'It covers everything.' }])
  const { page, said } = await opened(browser, server, `/#/p/${p.id}`)
  await row(page, 'a').click()
  await drawn(page)
  for (const name of ['Make', 'Change', 'Take apart']) {
    await panel(page, name).click()
    for (const more of await page.locator('#task-panel details').all()) await more.evaluate((d) => { d.open = true })
    await check(page, name, said)
  }
  for (const key of ['b', 'w', 'c', 'z']) {
    await canvas(page).focus()
    await page.keyboard.press(key)
    await check(page, `tool ${key}`, said)
  }
  await page.keyboard.press('v')
  nothing(said)
}

export async function results_queue_and_menus ({ server, browser }) {
  const p = await scene(server)
  const { page, said } = await opened(browser, server, `/#/p/${p.id}`)
  await drawn(page)
  await prompt(page).fill('a red star on a white background')
  await type(page, 'Steps', 1)
  await button(page, 'Generate').click()
  await staging(page).waitFor()
  await check(page, 'results', said)
  await type(page, 'Steps', 1000)
  await button(page, 'Generate').click()
  await button(page, 'Generate').click()
  await page.getByRole('progressbar').waitFor()
  await check(page, 'a job in the panel', said)
  await page.getByRole('button', { name: /^Queue/ }).click()
  await queue(page).getByRole('progressbar').waitFor()
  await check(page, 'queue', said)
  await button(queue(page), 'Cancel').last().click()
  await until('one is left', async () => await button(queue(page), 'Cancel').count() === 1)
  await button(queue(page), 'Cancel').click()
  await button(queue(page), 'Close').click()
  for (const name of [/^Menu of/, /^Zoom:/, /^Model:/, 'Layer actions', /^Memory:/]) {
    await page.getByRole('button', { name }).click()
    await page.locator('.menu, .popover').waitFor()
    await check(page, `menu ${name}`, said)
    await page.keyboard.press('Escape')
    await page.locator('.menu, .popover').waitFor({ state: 'detached' })
  }
  nothing(said)
}

export async function nothing_moves_for_who_asked_for_stillness ({ server, browser }) {
  const p = await scene(server)
  const { page } = await opened(browser, server, `/#/p/${p.id}`)
  await drawn(page)
  const moving = await page.evaluate(() => {
    const long = (v) => v.split(',').some((t) => parseFloat(t) * (t.trim().endsWith('ms') ? 1 : 1000) > 10)
    return [...document.querySelectorAll('*')].filter((e) => {
      const s = getComputedStyle(e)
      return long(s.transitionDuration) || (s.animationName !== 'none' && long(s.animationDuration))
    }).map((e) => e.className)
  })
  assert.deepEqual(moving, [])
}
