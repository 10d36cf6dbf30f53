/* machine.ts - models, memory and preferences. */
import { models as api, preferences as stored } from '../../api/client.ts'
import { models, modelOrder, preferences, preferencesRead, storedLoras, view, type ModelOrder, type Preferences } from '../store.ts'
import { attempt } from './toasts.ts'

export async function loadModels (): Promise<void> {
  const [list, loras] = await Promise.all([attempt(api.list), attempt(api.loras)])
  if (list) models.value = list
  if (loras) storedLoras.value = loras
}

export function heardModels (open: string[]): void {
  models.value = models.value.map((m) => ({ ...m, open: open.includes(m.id) }))
}

/* Both answer when they are done, which takes as long as reading the weights. */
async function order (what: ModelOrder, work: () => Promise<void>): Promise<void> {
  modelOrder.value = what
  await attempt(work)
  if (modelOrder.value === what) modelOrder.value = null
}

export async function openModel (id: string): Promise<void> {
  await order({ kind: 'load', id }, async () => { await api.load(id) })
}

export async function closeModel (): Promise<void> {
  await order({ kind: 'unload', id: null }, async () => { await api.unload() })
}

export async function setBudget (budget: string | null): Promise<void> {
  await attempt(async () => { await api.setBudget(budget) })
}

export async function loadPreferences (): Promise<void> {
  const p = await attempt(stored.get)
  if (!p) return
  preferences.value = { ...preferences.value, ...p as Partial<Preferences> }
  const { rulers, grid = view.value.grid, snap = view.value.snap } = preferences.value
  view.value = { rulers, grid, snap }
  preferencesRead.value = true
}

export function prefer (part: Partial<Preferences>): void {
  preferences.value = { ...preferences.value, ...part }
  void keep(part)
}

/* What the server has of others is known before it is written over. */
async function keep (part: Partial<Preferences>): Promise<void> {
  if (!preferencesRead.value) {
    await loadPreferences()
    preferences.value = { ...preferences.value, ...part }
  }
  await attempt(async () => { await stored.put({ ...preferences.value }) })
}
