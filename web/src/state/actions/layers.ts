/* layers.ts - what can be done to the layers of the open project. */
import { projects } from '../../api/client.ts'
import type { BlendMode, Layer } from '../../api/types.ts'
import { text } from '../../text.ts'
import { newId } from '../ids.ts'
import { change, onServer } from '../save.ts'
import { layers, selectedIds, soloId } from '../store.ts'
import * as tree from '../tree.ts'

export function newLayer (part: Partial<Layer>): Layer {
  return {
    id: newId('l'), kind: 'image', parent: null, name: '', asset: null, mask: null, x: 0, y: 0, scale_x: 1, scale_y: 1,
    rotation: 0, opacity: 1, blend_mode: 'normal', visible: true, locked: false, warning: null, ...part
  }
}

function put (next: Layer[], label: string, gesture: string | null = null): void {
  if (next !== layers.value) change({ layers: next }, label, gesture)
}

export function select (ids: string[]): void {
  selectedIds.value = ids
}

/* Changes members of the layers. `gesture` joins the steps of one drag or slider into one undo. */
export function patchLayers (ids: string[], part: Partial<Layer> | ((l: Layer) => Partial<Layer>), label: string, gesture: string | null = null): void {
  if (ids.length > 0) put(tree.patch(layers.value, ids, part), label, gesture)
}

export const setVisible = (ids: string[], visible: boolean): void => { patchLayers(ids, { visible }, visible ? text.undo.show : text.undo.hide) }
export const setLocked = (ids: string[], locked: boolean): void => { patchLayers(ids, { locked }, locked ? text.undo.lock : text.undo.unlock) }
export const setBlend = (ids: string[], blend_mode: BlendMode): void => { patchLayers(ids, { blend_mode }, text.undo.blend) }
export const rename = (id: string, name: string): void => { patchLayers([id], { name }, text.undo.rename) }
export function setOpacity (ids: string[], opacity: number, gesture: string | null): void {
  patchLayers(ids, { opacity: Math.min(1, Math.max(0, opacity)) }, text.undo.opacity, gesture)
}

/* Groups move with all that lies in them. */
export function nudge (ids: string[], dx: number, dy: number, gesture: string | null): void {
  const all = ids.flatMap((id) => tree.withMembers(layers.value, id)).filter((l) => !tree.isLocked(layers.value, l)).map((l) => l.id)
  patchLayers(all, (l) => ({ x: l.x + dx, y: l.y + dy }), text.undo.move, gesture)
}

export function addLayer (part: Partial<Layer>): Layer {
  const layer = newLayer(part)
  const active = tree.find(layers.value, selectedIds.value[0] ?? null)
  const siblings = tree.childrenOf(layers.value, active?.parent ?? null)
  const index = active ? siblings.findIndex((l) => l.id === active.id) + 1 : siblings.length
  put(tree.insert(layers.value, [layer], active?.parent ?? null, index), text.undo.add)
  select([layer.id])
  return layer
}

export function moveLayers (ids: string[], parent: string | null, index: number): void {
  put(tree.move(layers.value, ids, parent, index), text.undo.order)
}

export function removeLayers (ids: string[]): void {
  if (ids.length === 0) return
  put(tree.remove(layers.value, ids), text.undo.remove)
  select([])
  if (soloId.value !== null && !tree.find(layers.value, soloId.value)) soloId.value = null
}

export function duplicateLayers (ids: string[]): void {
  let next = layers.value
  const made: string[] = []
  for (const id of tree.topmost(next, ids)) {
    const rows = tree.withMembers(next, id)
    const names = new Map(rows.map((r) => [r.id, newId('l')]))
    const own = tree.find(next, id)
    const copies = rows.map((r) => ({
      ...r, id: names.get(r.id) ?? r.id, parent: names.get(r.parent ?? '') ?? r.parent,
      name: r.id === id ? text.copyOf(r.name) : r.name
    }))
    const siblings = tree.childrenOf(next, own?.parent ?? null)
    next = tree.insert(next, copies, own?.parent ?? null, siblings.findIndex((l) => l.id === id) + 1)
    made.push(names.get(id) ?? id)
  }
  put(next, text.undo.duplicate)
  select(made)
}

export function groupLayers (ids: string[]): void {
  if (ids.length === 0) return
  const group = newLayer({ kind: 'group', name: text.newGroup })
  put(tree.group(layers.value, ids, group), text.undo.group)
  select([group.id])
}

export function ungroupLayers (ids: string[]): void {
  const groups = ids.filter((id) => tree.find(layers.value, id)?.kind === 'group')
  const members = groups.flatMap((id) => tree.childrenOf(layers.value, id).map((l) => l.id))
  if (groups.length === 0) return
  put(groups.reduce(tree.ungroup, layers.value), text.undo.ungroup)
  select(members)
}

/* A group that was taken apart becomes the layer that it was. */
export function reassemble (id: string): void {
  const group = tree.find(layers.value, id)
  if (group?.kind !== 'group' || group.asset === null) return
  const members = tree.withMembers(layers.value, id).filter((l) => l.id !== id).map((l) => l.id)
  put(tree.patch(tree.remove(layers.value, members), [id], { kind: 'image', warning: null }), text.undo.reassemble)
}

/* ---- done by the server, which has the pixels ----------------------------------------------------- */

export async function mergeLayers (ids: string[]): Promise<void> {
  const before = new Set(layers.value.map((l) => l.id))
  const answer = await onServer(async (p) => await projects.merge(p, tree.topmost(layers.value, ids)))
  if (answer) select(answer.layers.filter((l) => !before.has(l.id)).map((l) => l.id))
}

/* The layer and the one below it, of the same group. */
export async function mergeDown (id: string): Promise<void> {
  const layer = tree.find(layers.value, id)
  const siblings = tree.childrenOf(layers.value, layer?.parent ?? null)
  const below = siblings[siblings.findIndex((l) => l.id === id) - 1]
  if (below) await mergeLayers([below.id, id])
}

export async function trimLayers (ids: string[]): Promise<void> {
  for (const id of ids) await onServer(async (p) => await projects.trim(p, id))
}

export async function cleanLayers (ids: string[]): Promise<void> {
  for (const id of ids) await onServer(async (p) => await projects.clean(p, id))
}
