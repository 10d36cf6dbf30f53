// Making: from a prompt to a layer, several in a row, refused, cancelled, and found again after a reload.
import assert from 'node:assert/strict'
import { button, canvas, open, panel, projectId, projectOf, prompt, queue, row, rows, stack, staging, type, until } from './support.mjs'

const STAR = 'a red star on a white background'
const FEW_STEPS = 2
const MANY_STEPS = 1000 // runs until it is cancelled

async function empty (server, browser) {
  const p = await server.call('POST', '/v1/projects', { name: 'empty', width: 128, height: 128, layers: [] })
  const page = await open(browser, server, { path: `/#/p/${p.id}` })
  await prompt(page).fill(STAR)
  await type(page, 'Steps', FEW_STEPS)
  return { page, id: p.id }
}

const jobs = async (server, id, state) => (await server.call('GET', `/v1/jobs?project=${id}&state=${state}`)).jobs

export async function a_project_from_a_prompt ({ server, browser }) {
  const page = await open(browser, server)
  await button(page, 'New project').click()
  const dialog = page.getByRole('dialog', { name: 'New project' })
  await prompt(dialog).fill(STAR)
  await button(dialog, 'Generate').click()
  const id = await projectId(page)
  await until('the prompt goes with it', async () => await prompt(page).inputValue() === STAR)
  await button(staging(page), 'Accept').click()
  await row(page, STAR).waitFor()
  await until('the layer is on the server', async () => await stack(server, id) === STAR)
  await staging(page).waitFor({ state: 'detached' })
  await button(page, 'Undo').click()
  await until('one step back there is nothing', async () => await stack(server, id) === '')
  await until('there is nothing to undo', async () => await button(page, 'Undo').isDisabled())
  await button(page, 'Redo').click()
  await row(page, STAR).waitFor()
  await page.getByRole('list', { name: 'History' }).getByRole('button', { name: STAR }).waitFor()
}

export async function a_refused_result_leaves_nothing ({ server, browser }) {
  const { page, id } = await empty(server, browser)
  await button(page, 'Generate').click()
  await button(staging(page), 'Discard').click()
  await staging(page).waitFor({ state: 'detached' })
  await until('it is discarded', async () => (await jobs(server, id, 'done'))[0].candidate === 'discarded')
  assert.equal(await stack(server, id), '')
  await until('there is nothing to undo', async () => await button(page, 'Undo').isDisabled())
  await button(page, 'Bring back').click()
  await staging(page).waitFor()
}

export async function several_in_a_row ({ server, browser }) {
  const { page, id } = await empty(server, browser)
  for (let i = 0; i < 3; i++) await button(page, 'Generate').click()
  await until('all are asked', async () => (await jobs(server, id, 'queued,running,done')).length === 3)
  await until('all are made', async () => (await jobs(server, id, 'done')).length === 3)
  await staging(page).getByText('2 more results wait').waitFor()
  for (let left = 3; left > 0; left--) {
    await button(staging(page), 'Accept').click()
    await until('it is a layer', async () => await rows(page).count() === 4 - left)
  }
  const layers = await until('all are kept', async () => { const p = await projectOf(server, page); return p.layers.length === 3 && p.layers })
  assert.equal(new Set(layers.map((l) => l.asset)).size, 3, 'each has a seed of its own')
}

export async function one_of_two ({ server, browser }) {
  const { page, id } = await empty(server, browser)
  await page.getByLabel('Images', { exact: true }).fill('2')
  await button(page, 'Generate').click()
  await staging(page).getByText('1 of 2', { exact: true }).waitFor()
  await canvas(page).focus()
  await page.keyboard.press('ArrowRight')
  await staging(page).getByText('2 of 2', { exact: true }).waitFor()
  await page.keyboard.press('Enter')
  await row(page, STAR).waitFor()
  const [job] = await jobs(server, id, 'done')
  const [layer] = await until('it is kept', async () => { const { layers } = await projectOf(server, page); return layers.length > 0 && layers })
  assert.equal(layer.asset, job.result.images[1].asset)
}

export async function cancelled_while_it_runs ({ server, browser }) {
  const { page, id } = await empty(server, browser)
  await type(page, 'Steps', MANY_STEPS)
  await button(page, 'Generate').click()
  await page.getByText(/^Step \d+ of 1000/).waitFor()
  await page.getByRole('progressbar').waitFor()
  await canvas(page).locator('image').waitFor({ state: 'attached' })
  await button(queue(page), 'Cancel').click() // its drawer is closed
  await until('it is cancelled', async () => (await jobs(server, id, 'cancelled')).length === 1)
  await page.getByRole('progressbar').waitFor({ state: 'detached' })
  await page.getByRole('button', { name: /^Queue/ }).click()
  await button(queue(page), 'Try again').waitFor()
  await button(queue(page), 'Close').click()
  await type(page, 'Steps', FEW_STEPS)
  await button(page, 'Generate').click()
  await button(staging(page), 'Accept').click()
  await row(page, STAR).waitFor()
}

export async function found_again_after_a_reload ({ server, browser }) {
  const { page, id } = await empty(server, browser)
  await type(page, 'Steps', MANY_STEPS)
  await button(page, 'Generate').click()
  await page.getByText(/^Step \d+ of 1000/).waitFor()
  await type(page, 'Steps', FEW_STEPS)
  await page.keyboard.press('Control+Enter')
  await page.getByText('1 more waiting').waitFor()
  await page.reload()
  await page.getByText(/^Step \d+ of 1000/).waitFor()
  await until('the prompt is still there', async () => await prompt(page).inputValue() === STAR)
  await page.getByRole('button', { name: /^Queue/ }).click()
  await until('both are there', async () => await queue(page).getByRole('listitem').count() === 2)
  await button(queue(page).getByRole('listitem').first(), 'Cancel').click()
  await button(staging(page), 'Accept').click()
  await until('the second was made', async () => await stack(server, id) === STAR)
}

export async function what_is_wrong_stands_at_its_field ({ server, browser }) {
  const { page } = await empty(server, browser)
  await prompt(page).fill(' ')
  await button(page, 'Generate').click()
  await page.getByText('Say what the image should show.').waitFor()
  assert.equal(await prompt(page).getAttribute('aria-invalid'), 'true')
  await panel(page, 'Change').click()
  await page.getByText(/There is nothing to change yet/).waitFor()
}
