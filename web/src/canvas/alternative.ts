/* alternative.ts - the second image of the canvas: with the candidate that is looked at, or with the image that a group
 * was taken apart from in place of its members. */
import { computed } from '@preact/signals'
import type { Layer } from '../api/types.ts'
import { placeOf } from '../state/actions/jobs.ts'
import { newLayer } from '../state/actions/layers.ts'
import { sidesOf } from '../state/place.ts'
import { candidate, compareGroup, project, selectedIds, type Candidate } from '../state/store.ts'
import { childrenOf, find, insert, patch, remove, withMembers } from '../state/tree.ts'
import { seenLayers } from './draft.ts'
import type { Box } from '../state/matrix.ts'

export interface Alternative {
  is: 'after' | 'before' // the canvas as it is stands on the other side
  layers: Layer[]
  frame: Box // what of the canvas it shows: more than all when it extends it
  place: Layer // where it differs: a layer that shows `size` pixels
  size: { width: number, height: number } | null // null: as large as its asset
}

/* As accepting it would put it: above the layer that was changed or is selected, or on top. */
function withCandidate (c: Candidate, all: Layer[], canvas: { width: number, height: number }): Alternative {
  const target = find(all, c.job.layer)
  const beside = target ?? (c.job.kind === 'generate' ? find(all, selectedIds.value[0] ?? null) : undefined)
  const place = newLayer({ id: 'candidate', asset: c.asset, ...placeOf(c.job, c, all, canvas) })
  const parent = beside?.parent ?? null
  const index = beside ? childrenOf(all, parent).findIndex((l) => l.id === beside.id) + 1 : undefined
  const below = c.layers && target ? patch(all, withMembers(all, target.id).map((l) => l.id), { visible: false }) : all
  const s = target ? { left: 0, top: 0, right: 0, bottom: 0 } : sidesOf(c.job.request)
  return {
    is: 'after', layers: insert(below, [place], parent, index), place, size: c,
    frame: { x: -s.left, y: -s.top, w: canvas.width + s.left + s.right, h: canvas.height + s.top + s.bottom }
  }
}

function beforeApart (group: Layer, all: Layer[], canvas: { width: number, height: number }): Alternative {
  const members = withMembers(all, group.id).filter((l) => l.id !== group.id).map((l) => l.id)
  return {
    is: 'before', layers: patch(remove(all, members), [group.id], { kind: 'image' }), place: group, size: null,
    frame: { x: 0, y: 0, w: canvas.width, h: canvas.height }
  }
}

export const alternative = computed<Alternative | null>(() => {
  const p = project.value
  const c = candidate.value
  if (!p) return null
  if (c) return withCandidate(c, seenLayers.value, p)
  const group = find(seenLayers.value, compareGroup.value)
  return group?.kind === 'group' && group.asset !== null ? beforeApart(group, seenLayers.value, p) : null
})
