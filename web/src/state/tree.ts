/* tree.ts - the flat stack as a tree, and changes to it. Pure: every function returns a new array, in which the members
 * of a group lie together, directly below its own row. */
import type { Layer } from '../api/types.ts'

export function find (layers: Layer[], id: string | null): Layer | undefined {
  return layers.find((l) => l.id === id)
}

export function childrenOf (layers: Layer[], parent: string | null): Layer[] {
  return layers.filter((l) => l.parent === parent)
}

export function depthOf (layers: Layer[], layer: Layer): number {
  let depth = 0
  for (let p = find(layers, layer.parent); p; p = find(layers, p.parent)) depth++
  return depth
}

/* True when `id` is `ancestor` or lies anywhere in it. */
export function isWithin (layers: Layer[], id: string | null, ancestor: string): boolean {
  for (let l = find(layers, id); l; l = find(layers, l.parent)) if (l.id === ancestor) return true
  return false
}

/* The layer with all that lies in it, in the order of the stack: the members first. */
export function withMembers (layers: Layer[], id: string): Layer[] {
  return layers.filter((l) => isWithin(layers, l.id, id))
}

/* Of those chosen, the ones that lie in no other of them. */
export function topmost (layers: Layer[], ids: string[]): string[] {
  return ids.filter((id) => !ids.some((other) => other !== id && isWithin(layers, id, other)))
}

export function isShown (layers: Layer[], layer: Layer): boolean {
  for (let l: Layer | undefined = layer; l; l = find(layers, l.parent)) if (!l.visible) return false
  return true
}

export function isLocked (layers: Layer[], layer: Layer): boolean {
  for (let l: Layer | undefined = layer; l; l = find(layers, l.parent)) if (l.locked) return true
  return false
}

export function patch (layers: Layer[], ids: string[], part: Partial<Layer> | ((l: Layer) => Partial<Layer>)): Layer[] {
  return layers.map((l) => ids.includes(l.id) ? { ...l, ...(typeof part === 'function' ? part(l) : part) } : l)
}

export function remove (layers: Layer[], ids: string[]): Layer[] {
  return layers.filter((l) => !ids.some((id) => isWithin(layers, l.id, id)))
}

/* Where in the array a new row goes to be number `index` from the bottom of `parent`. */
function slot (layers: Layer[], parent: string | null, index: number): number {
  const siblings = childrenOf(layers, parent)
  const above = siblings[index]
  if (above) {
    const first = withMembers(layers, above.id)[0]
    return layers.findIndex((l) => l.id === first?.id)
  }
  return parent === null ? layers.length : layers.findIndex((l) => l.id === parent)
}

/* Puts rows (one layer, or a group with its members, its own row last) into `parent` at `index` from the bottom. */
export function insert (layers: Layer[], rows: Layer[], parent: string | null, index = Infinity): Layer[] {
  const at = slot(layers, parent, index)
  const own = new Set(rows.map((r) => r.id))
  const placed = rows.map((r) => r.parent !== null && own.has(r.parent) ? r : { ...r, parent })
  return [...layers.slice(0, at), ...placed, ...layers.slice(at)]
}

/* Moves the layers, with their members, into `parent` so that the lowest becomes number `index` of those that stay.
 * A group does not go into itself. */
export function move (layers: Layer[], ids: string[], parent: string | null, index: number): Layer[] {
  const moved = topmost(layers, layers.filter((l) => ids.includes(l.id)).map((l) => l.id))
  if (moved.some((id) => isWithin(layers, parent, id))) return layers
  const rows = moved.flatMap((id) => withMembers(layers, id).map((l) => l.id === id ? { ...l, parent } : l))
  const before = childrenOf(layers, parent).slice(0, index).filter((l) => moved.includes(l.id)).length
  return insert(remove(layers, moved), rows, parent, index - before)
}

/* Makes `group` the parent of the chosen layers, at the place of the topmost. */
export function group (layers: Layer[], ids: string[], group: Layer): Layer[] {
  const chosen = topmost(layers, layers.filter((l) => ids.includes(l.id)).map((l) => l.id))
  const top = find(layers, chosen[chosen.length - 1] ?? null)
  if (!top) return layers
  const siblings = childrenOf(layers, top.parent)
  const index = siblings.findIndex((l) => l.id === top.id) + 1
  const gone = siblings.slice(0, index).filter((l) => chosen.includes(l.id)).length
  const members = chosen.flatMap((id) => withMembers(layers, id).map((l) => l.id === id ? { ...l, parent: group.id } : l))
  return insert(remove(layers, chosen), [...members, { ...group, parent: top.parent }], top.parent, index - gone)
}

/* The members of the group take its place. */
export function ungroup (layers: Layer[], id: string): Layer[] {
  const g = find(layers, id)
  if (!g) return layers
  return layers.filter((l) => l.id !== id).map((l) => l.parent === id ? { ...l, parent: g.parent } : l)
}
