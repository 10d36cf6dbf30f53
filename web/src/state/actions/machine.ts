/* machine.ts - models, memory and preferences. */
import { models as api, preferences as stored } from '../../api/client.ts'
import { models, preferences, type Preferences } from '../store.ts'
import { attempt } from './toasts.ts'

export async function loadModels (): Promise<void> {
  const list = await attempt(api.list)
  if (list) models.value = list
}

export function heardModels (open: string | null): void {
  models.value = models.value.map((m) => ({ ...m, open: m.id === open }))
}

export async function openModel (id: string): Promise<void> {
  await attempt(async () => { await api.load(id) })
}

export async function closeModel (): Promise<void> {
  await attempt(api.unload)
}

export async function setBudget (budget: string | null): Promise<void> {
  await attempt(async () => { await api.setBudget(budget) })
}

export async function loadPreferences (): Promise<void> {
  const p = await attempt(stored.get)
  if (p) preferences.value = { ...preferences.value, ...p as Partial<Preferences> }
}

export function prefer (part: Partial<Preferences>): void {
  preferences.value = { ...preferences.value, ...part }
  void attempt(async () => { await stored.put({ ...preferences.value }) })
}
