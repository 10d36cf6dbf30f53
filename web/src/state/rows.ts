/* rows.ts - the rows of the layers tree, from the top of the stack down, and where a dragged row would go. Pure. */
import type { Layer } from '../api/types.ts'
import { childrenOf, depthOf, find, isWithin, topmost } from './tree.ts'

export interface Row { layer: Layer, depth: number, members: number, open: boolean }

export function rowsOf (layers: Layer[], folded: ReadonlySet<string>): Row[] {
  const hidden = (l: Layer): boolean => {
    for (let p = find(layers, l.parent); p; p = find(layers, p.parent)) if (folded.has(p.id)) return true
    return false
  }
  return [...layers].reverse().filter((l) => !hidden(l)).map((layer) => ({
    layer, depth: depthOf(layers, layer), members: layer.kind === 'group' ? childrenOf(layers, layer.id).length : 0, open: !folded.has(layer.id)
  }))
}

/* Between which rows, or into which group. */
export interface Drop { parent: string | null, index: number, row: number, where: 'above' | 'below' | 'into' }

/* `part` is how far down in row `at` the pointer is, 0 to 1. Null where the rows may not go. */
export function dropAt (layers: Layer[], rows: Row[], at: number, part: number, ids: string[]): Drop | null {
  const row = rows[at]
  if (!row) return null
  const { layer } = row
  const group = layer.kind === 'group'
  const siblings = childrenOf(layers, layer.parent)
  const own = siblings.findIndex((l) => l.id === layer.id)
  let drop: Drop
  if (part < (group ? 0.3 : 0.5)) drop = { parent: layer.parent, index: own + 1, row: at, where: 'above' }
  else if (group && (part < 0.7 || (row.open && row.members > 0))) drop = { parent: layer.id, index: row.members, row: at, where: 'into' }
  else drop = { parent: layer.parent, index: own, row: at, where: 'below' }
  return topmost(layers, ids).some((id) => isWithin(layers, drop.parent, id)) ? null : drop
}

/* The rows between two, whichever is further up. */
export function range (rows: Row[], from: string, to: string): string[] {
  const a = rows.findIndex((r) => r.layer.id === from)
  const b = rows.findIndex((r) => r.layer.id === to)
  if (a < 0 || b < 0) return [to]
  return rows.slice(Math.min(a, b), Math.max(a, b) + 1).map((r) => r.layer.id)
}
