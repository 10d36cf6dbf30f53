/* history.ts - everything that was made, with what made it. */
import { assets, jobs as jobsApi } from '../../api/client.ts'
import type { Asset, JobKind } from '../../api/types.ts'
import { text } from '../../text.ts'
import { commandLine } from '../command_line.ts'
import { newerAndOld } from '../pages.ts'
import { newSeed, type Request } from '../requests.ts'
import { historyFilter, historyItems, project, wish, type HistoryFilter, type TaskPanel } from '../store.ts'
import { submit } from './jobs.ts'
import { attempt, toast } from './toasts.ts'

const PAGE = 60
let next: number | null = null
let asked = 0

async function read (before: number | undefined) {
  const { q, starred } = historyFilter.value
  return await assets.list({ q: q.trim() || undefined, starred: starred || undefined, origin: 'result', limit: PAGE, before })
}

/* From the newest on; what was read before stays behind it. */
export async function loadHistory (): Promise<void> {
  const mine = ++asked
  const page = await attempt(async () => await read(undefined))
  if (!page || mine !== asked) return
  const old = historyItems.value ?? []
  if (old.length <= PAGE) next = page.next
  historyItems.value = newerAndOld(page.items, page.next === null ? [] : old)
}

/* The next page, once however often it is asked for. */
let reading = false
export async function moreHistory (): Promise<void> {
  if (next === null || reading) return
  reading = true
  const mine = asked
  const page = await attempt(async () => await read(next ?? undefined))
  reading = false
  if (!page || mine !== asked) return
  next = page.next
  historyItems.value = [...historyItems.value ?? [], ...page.items]
}

export function filterHistory (part: Partial<HistoryFilter>): void {
  historyFilter.value = { ...historyFilter.value, ...part }
  historyItems.value = null
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
  toast({ kind: 'note', text: text.history.deleted, action: { label: text.bringBack, run: () => { void untrash(a) } } })
}

async function untrash (a: Asset): Promise<void> {
  if (await attempt(async () => await assets.patch(a.id, { trashed: false }))) await loadHistory()
}

/* ---- what made an image --------------------------------------------------------------------------------- */

interface Origin { kind: JobKind, request: Request, layer: string | null, complete: boolean }

const PANELS: Record<JobKind, TaskPanel> = { generate: 'make', edit: 'change', layers: 'apart', caption: 'apart' }

/* The job's request while it is kept: it names its images by id. Else what the file itself says, of whose images only
 * the names are known. */
async function originOf (a: Asset): Promise<Origin | null> {
  if (a.job) {
    try {
      const job = await jobsApi.get(a.job)
      const here = job.project !== null && job.project === project.value?.id
      return { kind: job.kind, request: { ...job.request, count: null, seed: a.seed ?? job.request['seed'] }, layer: here ? job.layer : null, complete: true }
    } catch { /* tidied away: the file knows */ }
  }
  const info = await attempt(async () => await assets.info(a.id))
  const recipe = info?.recipe
  if (!recipe) return null
  const kind = (recipe['task'] as JobKind | null | undefined) ?? 'generate'
  return { kind, request: recipe, layer: null, complete: kind === 'generate' }
}

export async function useAgain (a: Asset): Promise<void> {
  const o = await originOf(a)
  if (o) wish.value = { task: PANELS[o.kind], request: o.request }
  else toast({ kind: 'note', text: text.history.noRecipe })
}

/* The same with another seed, at once. What is lost of its images is for a person to give. */
export async function varyAsset (a: Asset): Promise<void> {
  const o = await originOf(a)
  if (!o || !o.complete) {
    toast({ kind: 'note', text: text.history.incomplete })
    if (o) wish.value = { task: PANELS[o.kind], request: o.request }
    return
  }
  const request = Object.fromEntries(Object.entries({ ...o.request, task: null, seed: newSeed() }).filter(([, v]) => v !== null))
  await submit(o.kind, request, { project: project.value?.id, layer: o.layer ?? undefined })
}

const ENDING: Record<string, string> = { 'image/png': '.png', 'image/jpeg': '.jpg', 'image/webp': '.webp' }

async function fileNames (ids: string[]): Promise<Map<string, string>> {
  const names = new Map<string, string>()
  for (const id of ids) {
    if (!/^[0-9a-f]{64}$/.test(id)) continue
    const info = await attempt(async () => await assets.info(id))
    names.set(id, info?.name || `${id.slice(0, 12)}${ENDING[info?.type ?? ''] ?? '.png'}`)
  }
  return names
}

export async function copyCommandLine (a: Asset): Promise<void> {
  const o = await originOf(a)
  if (!o) {
    toast({ kind: 'note', text: text.history.noRecipe })
    return
  }
  const { images, image, mask } = o.request as { images?: string[], image?: string, mask?: string }
  const names = await fileNames([...images ?? [], image, mask].filter((i): i is string => typeof i === 'string'))
  const line = commandLine(o.kind, o.request, (id) => names.get(id) ?? id)
  if (await attempt(async () => { await navigator.clipboard.writeText(line); return true })) toast({ kind: 'good', text: text.history.copied })
}

/* An image that comes with its recipe offers to be made again; it may as well come without. */
export async function offerRecipe (asset: string): Promise<void> {
  const info = await assets.info(asset).catch(() => null)
  const recipe = info?.recipe
  if (!recipe?.prompt) return
  const task = PANELS[(recipe['task'] as JobKind | null | undefined) ?? 'generate']
  toast({ kind: 'note', text: text.history.hasRecipe, action: { label: text.history.useSettings, run: () => { wish.value = { task, request: recipe } } } })
}
