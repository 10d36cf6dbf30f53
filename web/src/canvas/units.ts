/* units.ts - the stack as what a scene blends, and what is different between two of them. Pure. */
import type { Layer } from '../api/types.ts'
import { around, corners, EMPTY, isEmpty, matrixOf, union, type Box } from '../state/matrix.ts'

/* A layer, or a group with its members; only what is drawn. */
export interface Unit {
  layer: Layer
  members: Unit[] | null // bottom first; null: an image
  key: string // equal keys look equal
  own: string // of a group: the key without its members
  box: Box // what it may touch on the canvas
}

/* Size and state of an asset; null where it is not there yet. */
export type SizeOf = (asset: string) => { width: number, height: number } | null

/* Members are looked up by parent once, so that 1,000 layers cost no more than their number. */
function byParent (layers: Layer[]): Map<string | null, Layer[]> {
  const out = new Map<string | null, Layer[]>()
  for (const l of layers) {
    const list = out.get(l.parent)
    if (list) list.push(l)
    else out.set(l.parent, [l])
  }
  return out
}

function image (l: Layer, sizeOf: SizeOf): Unit | null {
  const size = l.asset === null ? null : sizeOf(l.asset)
  const masked = l.mask === null || sizeOf(l.mask) !== null
  if (!size || !masked) return null
  const own = `${l.id} ${l.asset} ${l.mask} ${l.x} ${l.y} ${l.scale_x} ${l.scale_y} ${l.rotation} ${l.opacity} ${l.blend_mode}`
  return { layer: l, members: null, key: own, own, box: around(corners(size.width, size.height, matrixOf(l))) }
}

function group (l: Layer, members: Unit[]): Unit {
  const own = `${l.id} ${l.opacity} ${l.blend_mode}`
  return { layer: l, members, key: `${own} (${members.map((m) => m.key).join('|')})`, own, box: boxOf(members) }
}

export function boxOf (units: Unit[]): Box {
  return units.reduce((box, u) => union(box, u.box), EMPTY)
}

/* What is seen of the layers: without hidden ones, ones whose image is still on its way, and empty groups. */
export function unitsOf (layers: Layer[], sizeOf: SizeOf): Unit[] {
  const members = byParent(layers)
  const of = (parent: string | null): Unit[] => {
    const out: Unit[] = []
    for (const l of members.get(parent) ?? []) {
      if (!l.visible || l.opacity <= 0) continue
      const unit = l.kind === 'group' ? group(l, of(l.id)) : image(l, sizeOf)
      if (unit && (unit.members === null || unit.members.length > 0)) out.push(unit)
    }
    return out
  }
  return of(null)
}

/* The first that is not the same; -1 when all are. */
export function firstChange (before: Unit[], after: Unit[]): number {
  const n = Math.max(before.length, after.length)
  for (let i = 0; i < n; i++) if (before[i]?.key !== after[i]?.key) return i
  return -1
}

/* What of the canvas looks different; null: perhaps all of it. */
export function changedBox (before: Unit[], after: Unit[]): Box | null {
  if (before.length !== after.length) return null
  let box = EMPTY
  for (let i = 0; i < after.length; i++) {
    const a = before[i]
    const b = after[i]
    if (!a || !b || a.layer.id !== b.layer.id) return null
    if (a.key === b.key) continue
    const inner = a.members && b.members && a.own === b.own ? changedBox(a.members, b.members) : null
    box = union(box, inner ?? union(a.box, b.box))
  }
  return isEmpty(box) ? EMPTY : box
}
