/* frames.ts - what is selected, as it lies on the canvas. */
import { computed } from '@preact/signals'
import type { Layer } from '../api/types.ts'
import { project, selectedIds } from '../state/store.ts'
import { isLocked, isShown, topmost, withMembers } from '../state/tree.ts'
import { draftLayers, seenLayers } from './draft.ts'
import { pixels } from './engine.ts'
import { around, corners, isEmpty, matrixOf, union, EMPTY, type Box } from '../state/matrix.ts'
import { frameOfBox, frameOfLayer, type Frame } from './transform.ts'

/* The images of `all` that the ids mean, members of groups among them. */
function imagesOf (all: Layer[], ids: string[]): Layer[] {
  return topmost(all, ids).flatMap((id) => withMembers(all, id)).filter((l) => l.kind === 'image')
}

export function boxOfLayer (l: Layer): Box {
  const size = l.asset === null ? null : pixels.value?.sizeOf(l.asset)
  return size ? around(corners(size.width, size.height, matrixOf(l))) : EMPTY
}

export const boxOfLayers = (list: Layer[]): Box => list.reduce((box, l) => union(box, boxOfLayer(l)), EMPTY)

/* One image has a frame of its own; several, or a group, have one around them. */
export function frameOf (all: Layer[], ids: string[]): Frame | null {
  const images = imagesOf(all, ids)
  const [only] = images
  if (!only) return null
  const size = images.length === 1 && only.asset !== null ? pixels.value?.sizeOf(only.asset) : null
  if (size) return frameOfLayer(only, size)
  const box = boxOfLayers(images)
  return isEmpty(box) ? null : frameOfBox(box)
}

export const selectionFrame = computed<Frame | null>(() => frameOf(draftLayers.value, selectedIds.value))

/* Rows that move when the selection does: groups remember a place too. Locked ones stay. */
export function movable (all: Layer[], ids: string[]): Layer[] {
  return topmost(all, ids).flatMap((id) => withMembers(all, id)).filter((l) => !isLocked(all, l))
}

/* False where all of it is locked. */
export const canMove = computed(() => movable(draftLayers.value, selectedIds.value).length > 0)

/* What a dragged selection may stick to. */
export function snapTargets (all: Layer[], ids: string[]): Box[] {
  const p = project.value
  if (!p) return []
  const own = new Set(topmost(all, ids).flatMap((id) => withMembers(all, id)).map((l) => l.id))
  const others = all.filter((l) => l.kind === 'image' && !own.has(l.id) && isShown(all, l)).map(boxOfLayer).filter((b) => !isEmpty(b))
  return [{ x: 0, y: 0, w: p.width, h: p.height }, ...others]
}

/* Images that are seen and may be taken hold of, topmost first. */
export function pickable (): Layer[] {
  const all = seenLayers.value
  return all.filter((l) => l.kind === 'image' && isShown(all, l) && !isLocked(all, l)).reverse()
}
