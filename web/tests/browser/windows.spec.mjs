// Two windows of one project, and a server that goes away and comes back.
import assert from 'node:assert/strict'
import { button, open, row, rows, saved, scene, stack, until } from './support.mjs'

async function two (server, browser) {
  const p = await scene(server, [{ name: 'a' }, { name: 'b' }])
  const options = { path: `/#/p/${p.id}`, allow: ['status of 412', 'ERR_CONNECTION_RESET'] }
  const [one, other] = [await open(browser, server, options), await open(browser, server, options)]
  for (const page of [one, other]) await row(page, 'b').waitFor()
  return { id: p.id, one, other }
}

const names = async (page) => (await rows(page).evaluateAll((l) => l.map((r) => r.getAttribute('aria-label')))).join()

async function rename (page, from, to) {
  await row(page, from).click()
  await row(page, from).press('F2')
  await page.getByLabel('Name of the layer').fill(to)
  await page.keyboard.press('Enter')
}

export async function they_see_each_other ({ server, browser }) {
  const { one, other, id } = await two(server, browser)
  await rename(one, 'b', 'c')
  await until('the other sees the name', async () => await names(other) === 'c,a')
  await row(other, 'a').getByRole('button', { name: 'Hide' }).click()
  await until('the one sees it hidden', async () => await names(one) === 'c,a, hidden')
  await saved(other)
  await button(one, 'Undo').click()
  await until('undone in both', async () => await names(one) === 'c,a' && await names(other) === 'c,a')
  await button(other, 'Undo').click()
  await until('and the name', async () => await names(one) === 'b,a' && await stack(server, id) === 'b a')
}

export async function a_collision_is_said_and_loses_nothing_of_the_other ({ server, browser }) {
  const { one, other, id } = await two(server, browser)
  let release
  const held = new Promise((resolve) => { release = resolve })
  await one.route(`**/v1/projects/${id}?*`, async (route) => { await held; await route.continue() })
  const sent = one.waitForRequest((r) => r.method() === 'PATCH')
  await rename(one, 'a', 'mine')
  await sent
  await rename(other, 'b', 'theirs')
  await until('theirs is kept', async () => await stack(server, id) === 'theirs a')
  release()
  await one.getByText(/changed elsewhere at the same time/).waitFor()
  await until('both show what is kept', async () => await names(one) === 'theirs,a' && await names(other) === 'theirs,a')
  await rename(one, 'a', 'mine')
  await until('and go on', async () => await stack(server, id) === 'theirs mine' && await names(other) === 'theirs,mine')
}

export async function a_change_whose_answer_is_lost_is_made_once ({ server, browser }) {
  const { one, id } = await two(server, browser)
  let lost = 0
  await one.route(`**/v1/projects/${id}?*`, async (route) => {
    if (route.request().method() !== 'PATCH' || lost++ > 0) return await route.continue()
    await route.fetch()
    await route.abort('connectionreset')
  })
  await rename(one, 'a', 'mine')
  await until('it has arrived', () => lost === 1)
  await rename(one, 'b', 'next')
  await until('and what was done after it', async () => await stack(server, id) === 'next mine')
  await saved(one)
  assert.equal(await names(one), 'next,mine')
  assert.equal(await one.getByText(/changed elsewhere/).count(), 0)
  await button(one, 'Undo').click()
  await until('one step back', async () => await stack(server, id) === 'b mine')
}

export async function what_comes_while_a_change_is_on_its_way_is_not_missed ({ server, browser }) {
  const { one, other, id } = await two(server, browser)
  let release
  const held = new Promise((resolve) => { release = resolve })
  await one.route(`**/v1/projects/${id}?*`, async (route) => {
    const response = await route.fetch()
    await held
    await route.fulfill({ response })
  })
  await rename(one, 'a', 'mine')
  await until('the other sees it', async () => await names(other) === 'b,mine')
  await rename(other, 'b', 'theirs')
  await until('both are kept', async () => await stack(server, id) === 'theirs mine')
  release()
  await until('the one sees it too', async () => await names(one) === 'theirs,mine')
}

export async function a_killed_server_heals ({ server, browser }) {
  const p = await scene(server, [{ name: 'a' }, { name: 'b' }])
  const page = await open(browser, server, { path: `/#/p/${p.id}`, allow: ['net::ERR_'] })
  await row(page, 'b').waitFor()
  await rename(page, 'a', 'early')
  await until('kept', async () => await stack(server, p.id) === 'b early')
  await server.end('SIGKILL')
  await rename(page, 'b', 'meanwhile')
  await row(page, 'early').getByRole('button', { name: 'Hide' }).click()
  await page.getByText('The server does not answer.').waitFor()
  await page.locator('[data-saving=offline]').waitFor()
  assert.equal(await names(page), 'meanwhile,early, hidden')
  await server.start()
  await until('what was done meanwhile has arrived', async () => await stack(server, p.id) === 'meanwhile early')
  await saved(page)
  await page.getByText('The server does not answer.').waitFor({ state: 'detached' })
  const { layers } = await server.call('GET', `/v1/projects/${p.id}`)
  assert.equal(layers[0].visible, false)
  await rename(page, 'meanwhile', 'after')
  await until('it goes on', async () => await stack(server, p.id) === 'after early')
  await server.call('PATCH', `/v1/projects/${p.id}`, { name: 'from elsewhere' })
  await page.getByText('from elsewhere').first().waitFor()
}
