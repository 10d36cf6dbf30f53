/* projects.ts - the list of projects, opening one, making one, and undo. */
import { assets, projects } from '../../api/client.ts'
import type { Project } from '../../api/types.ts'
import { flush, onServer } from '../save.ts'
import { candidateIndex, comparison, project, projectList, route, selectedIds, soloId, type Route } from '../store.ts'
import { loadJobs } from './jobs.ts'
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
  await flush()
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

let next: number | null = null

export async function loadProjects (more = false): Promise<void> {
  if (more && next === null) return
  const page = await attempt(async () => await projects.list(more ? next ?? undefined : undefined))
  if (!page) return
  next = page.next
  projectList.value = more ? [...projectList.value ?? [], ...page.items] : page.items
}

export async function removeProject (id: string): Promise<void> {
  const gone = await attempt(async () => { await projects.remove(id); return true })
  if (gone) projectList.value = projectList.value?.filter((p) => p.id !== id) ?? null
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
  const made = await attempt(async () => await projects.open(file, name))
  if (!made) return
  for (const note of made.notes ?? []) toast({ kind: 'note', text: note })
  go({ page: 'project', id: made.id })
}

/* An image file becomes a layer of the open project, in the middle of the canvas, made smaller when it is larger. */
export async function placeFile (file: File, at?: { x: number, y: number }): Promise<void> {
  const stored = await attempt(async () => await assets.upload(file, file.name))
  const asset = stored?.assets[0]
  if (asset) placeAsset(asset, file.name.replace(/\.[^.]*$/, ''), at)
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
  if (project.value?.can_undo) await onServer(projects.undo)
}

export async function redo (): Promise<void> {
  if (project.value?.can_redo) await onServer(projects.redo)
}

