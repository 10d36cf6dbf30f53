/* projects.ts - the list of projects, opening one, making one, and undo. */
import { assets, projects, type Page } from '../../api/client.ts'
import type { Project, ProjectHead } from '../../api/types.ts'
import { text } from '../../text.ts'
import { flush, onServer } from '../save.ts'
import { candidateIndex, comparison, opening, project, projectList, route, saving, selectedIds, soloId, type Route } from '../store.ts'
import { loadJobs } from './jobs.ts'
import { loadHistory, offerRecipe } from './history.ts'
import { addLayer, newLayer } from './layers.ts'
import { attempt, tell, toast } from './toasts.ts'

/* ---- routes: #/ and #/p/ID -------------------------------------------------------------------------- */

export function routeOf (hash: string): Route {
  const m = /^#\/p\/([A-Za-z0-9._-]+)$/.exec(hash)
  return m?.[1] ? { page: 'project', id: m[1] } : { page: 'home' }
}

export function go (to: Route): void {
  location.hash = to.page === 'home' ? '#/' : `#/p/${to.id}`
}

/* Follows the address: reads what it names. */
export async function arrive (): Promise<void> {
  const to = routeOf(location.hash)
  if (saving.value !== 'offline') await flush()
  route.value = to
  selectedIds.value = []
  soloId.value = null
  candidateIndex.value = 0
  comparison.value = 'off'
  if (to.page === 'home') {
    project.value = null
    await loadProjects()
    return
  }
  void loadHistory()
  try {
    project.value = await projects.get(to.id)
  } catch (e) {
    tell(e)
    go({ page: 'home' })
    return
  }
  await attempt(async () => { await loadJobs(to.id) })
}

/* ---- the list ----------------------------------------------------------------------------------------- */

const UNDO_MS = 10000
let next: number | null = null
let asked = 0
/* Deleted here, and still on the server for as long as that can be undone. */
const leaving = new Map<string, number>()

async function pages (least: number): Promise<Page<ProjectHead>> {
  let page = await projects.list()
  const items = page.items
  while (page.next !== null && items.length < least) {
    page = await projects.list(page.next)
    items.push(...page.items)
  }
  return { items, next: page.next }
}

/* Reads as far as was read before, or one page more. */
export async function loadProjects (more = false): Promise<void> {
  if (more && next === null) return
  const mine = ++asked
  const known = projectList.value ?? []
  const page = await attempt(async () => await (more ? projects.list(next ?? undefined) : pages(known.length)))
  if (!page || mine !== asked) return
  next = page.next
  const items = page.items.filter((p) => !leaving.has(p.id))
  projectList.value = more ? [...known, ...items.filter((p) => !known.some((k) => k.id === p.id))] : items
}

/* For a search through all of them. */
export async function loadAllProjects (): Promise<void> {
  if (projectList.value === null) await loadProjects()
  while (next !== null) {
    const before = next
    await loadProjects(true)
    if (next === before) return
  }
}

async function removeNow (id: string): Promise<void> {
  window.clearTimeout(leaving.get(id))
  if (await attempt(async () => { await projects.remove(id); return true })) return
  leaving.delete(id)
  await loadProjects()
}

/* Out of sight at once, and deleted when that can no longer be undone. */
export function removeProject (p: { id: string, name: string }): void {
  projectList.value = projectList.value?.filter((x) => x.id !== p.id) ?? null
  leaving.set(p.id, window.setTimeout(() => { void removeNow(p.id) }, UNDO_MS))
  toast({ kind: 'note', text: text.home.deleted(p.name), action: { label: text.bringBack, run: () => { restore(p.id) } } })
}

function restore (id: string): void {
  window.clearTimeout(leaving.get(id))
  leaving.delete(id)
  void loadProjects()
}

/* A page that is closed keeps what it said. */
export function removeLeaving (): void {
  for (const id of leaving.keys()) void removeNow(id)
}

export async function renameProject (p: { id: string, revision: number }, name: string): Promise<void> {
  const done = await attempt(async () => await projects.patch(p.id, { name }, { label: text.undo.project, revision: p.revision }))
  if (done) projectList.value = projectList.value?.map((x) => x.id === p.id ? { ...x, name, revision: done.revision } : x) ?? null
}

/* A new project with the same layers; images are shared. */
export async function duplicateProject (id: string): Promise<void> {
  const made = await attempt(async () => {
    const { name, width, height, layers } = await projects.get(id)
    return await projects.create({ name: text.copyOf(name), width, height, layers })
  })
  if (made) await loadProjects()
}

/* ---- making one --------------------------------------------------------------------------------------- */

export async function createProject (p: Partial<Project>): Promise<Project | null> {
  const made = await attempt(async () => await projects.create(p))
  if (made) go({ page: 'project', id: made.id })
  return made
}

const LAYERED = /\.(psd|ora|zip)$/i
export const isLayered = (name: string): boolean => LAYERED.test(name)

/* A file of any kind that the program reads becomes a project of its own. */
export async function openFile (file: File): Promise<void> {
  const name = file.name.replace(/\.[^.]*$/, '')
  opening.value = file.name
  const made = await attempt(async () => await projects.open(file, name))
  opening.value = null
  if (!made) return
  for (const note of made.notes ?? []) toast({ kind: 'note', text: note })
  go({ page: 'project', id: made.id })
  const [only] = made.layers
  if (made.layers.length === 1 && only?.asset) await offerRecipe(only.asset)
}

/* An image file becomes a layer of the open project, in the middle of the canvas, made smaller when it is larger. */
export async function placeFile (file: File, at?: { x: number, y: number }): Promise<void> {
  const stored = await attempt(async () => await assets.upload(file, file.name))
  const asset = stored?.assets[0]
  if (!asset) return
  placeAsset(asset, file.name.replace(/\.[^.]*$/, ''), at)
  await offerRecipe(asset.id)
}

export function placeAsset (asset: { id: string, width: number, height: number }, name: string, at?: { x: number, y: number }): void {
  const p = project.value
  if (!p) return
  const scale = Math.min(1, p.width / asset.width, p.height / asset.height)
  const middle = at ?? { x: p.width / 2, y: p.height / 2 }
  addLayer({
    asset: asset.id, name, scale_x: scale, scale_y: scale,
    x: Math.round(middle.x - asset.width * scale / 2), y: Math.round(middle.y - asset.height * scale / 2)
  })
}

/* An asset becomes a project of its size. */
export async function projectOfAsset (asset: { id: string, width: number, height: number }, name: string): Promise<void> {
  await createProject({ name, width: asset.width, height: asset.height, layers: [newLayer({ asset: asset.id, name })] })
}

/* ---- undo --------------------------------------------------------------------------------------------- */

export async function undo (): Promise<void> {
  await onServer(projects.undo, () => project.value?.can_undo ?? false)
}

export async function redo (): Promise<void> {
  await onServer(projects.redo, () => project.value?.can_redo ?? false)
}

