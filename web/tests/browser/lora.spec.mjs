// LoRAs of the model store in the panels: shown where there are some for the task, sent with their strengths, and back again.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, button, open, panel, prompt, rows, scene, staging, type, until } from './support.mjs'

/* Of random numbers, for micro-klein. */
function addLora (server) {
  const dir = join(server.dir, 'loras')
  mkdirSync(dir)
  execFileSync('python3', [join(ROOT, 'tests/support/lora_files.py'), 'klein', join(dir, 'style.safetensors')])
  execFileSync(server.program, ['models', 'scan', dir, '--quiet'], { env: { ...process.env, VEETANCE_HOME: join(server.dir, 'home'), VEETANCE_MODELS: join(ROOT, 'models') } })
}

const chooser = (page) => page.getByLabel('LoRA', { exact: true })

async function opened (server, browser) {
  const p = await scene(server)
  const page = await open(browser, server, { path: `/#/p/${p.id}` })
  await rows(page).first().waitFor()
  await panel(page, 'Make').click()
  return { page, p }
}

export async function without_loras_nothing_speaks_of_them ({ server, browser }) {
  const { page } = await opened(server, browser)
  await prompt(page).waitFor()
  assert.equal(await chooser(page).count(), 0)
}

export async function a_lora_is_chosen_with_its_strength_and_sent ({ server, browser }) {
  addLora(server)
  const { page, p } = await opened(server, browser)
  await chooser(page).selectOption('style')
  const strength = page.getByRole('slider', { name: 'style' })
  assert.equal(await strength.inputValue(), '1')
  await strength.fill('0.5')
  await prompt(page).fill('a red star')
  await type(page, 'Steps', 2)
  await type(page, 'Width', 64)
  await type(page, 'Height', 64)
  if (process.env.VT_SCREENSHOTS) await page.screenshot({ path: join(process.env.VT_SCREENSHOTS, 'lora.png') })
  await button(page, 'Generate').click()
  await staging(page).waitFor()
  const job = await until('the job is done', async () => (await server.call('GET', `/v1/jobs?project=${p.id}`)).jobs.find((j) => j.state === 'done'))
  assert.deepEqual(job.request.loras, [{ name: 'style', strength: 0.5 }])
  // Used up, it is offered no more; removed, it is again.
  assert.equal(await chooser(page).count(), 0)
  await button(page, 'Remove style').click()
  await chooser(page).waitFor()
  await panel(page, 'Take apart').click()
  assert.equal(await chooser(page).count(), 0)
}
