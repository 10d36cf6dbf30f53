/* history.ts - everything that was made, with its recipe. */
import { assets } from '../../api/client.ts'
import type { Asset, Recipe } from '../../api/types.ts'
import { text } from '../../text.ts'
import { historyFilter, historyItems, type HistoryFilter } from '../store.ts'
import { attempt, toast } from './toasts.ts'

let next: number | null = null
let asked = 0

export async function loadHistory (more = false): Promise<void> {
  if (more && next === null) return
  const mine = ++asked
  const { q, starred } = historyFilter.value
  const page = await attempt(async () => await assets.list({
    q: q.trim() || undefined, starred: starred || undefined, origin: 'job', limit: 60, before: more ? next ?? undefined : undefined
  }))
  if (!page || mine !== asked) return
  next = page.next
  historyItems.value = more ? [...historyItems.value ?? [], ...page.items] : page.items
}

export function filterHistory (part: Partial<HistoryFilter>): void {
  historyFilter.value = { ...historyFilter.value, ...part }
  void loadHistory()
}

export async function star (a: Asset): Promise<void> {
  const now = await attempt(async () => await assets.patch(a.id, { starred: !a.starred }))
  if (now) historyItems.value = historyItems.value?.map((x) => x.id === a.id ? { ...x, starred: now.starred } : x) ?? null
}

/* Out of sight at once; the file stays for days, and undo brings it back. */
export async function trash (a: Asset): Promise<void> {
  const done = await attempt(async () => await assets.patch(a.id, { trashed: true }))
  if (!done) return
  historyItems.value = historyItems.value?.filter((x) => x.id !== a.id) ?? null
  toast({ kind: 'note', text: text.history.deleted, action: { label: text.commands.undo, run: () => { void untrash(a) } } })
}

async function untrash (a: Asset): Promise<void> {
  if (await attempt(async () => await assets.patch(a.id, { trashed: false }))) await loadHistory()
}

export async function recipeOf (id: string): Promise<Recipe | null> {
  const info = await attempt(async () => await assets.info(id))
  return info?.recipe ?? null
}
