/* alternative.ts - the second image of the canvas: with the candidate that is looked at. */
import { computed } from '@preact/signals'
import type { Layer } from '../api/types.ts'
import { placeOf } from '../state/actions/jobs.ts'
import { newLayer } from '../state/actions/layers.ts'
import { candidate, project, type Candidate } from '../state/store.ts'
import { childrenOf, find, insert } from '../state/tree.ts'
import { seenLayers } from './draft.ts'
import type { Box } from './matrix.ts'

export interface Alternative {
  layers: Layer[]
  frame: Box // what of the canvas it shows: more than all when it extends it
  place: Layer // where it differs, as a layer
  size: { width: number, height: number } // of that layer's image
}

/* As accepting it would put it: above the layer that was changed, or on top. */
function withCandidate (c: Candidate, all: Layer[], canvas: { width: number, height: number }): Alternative {
  const target = find(all, c.job.layer)
  const place = newLayer({ id: 'candidate', asset: c.asset, ...placeOf(c.job, c, all, canvas) })
  const parent = target?.parent ?? null
  const index = target ? childrenOf(all, parent).findIndex((l) => l.id === target.id) + 1 : undefined
  const below = c.layers && target ? all.map((l) => l.id === target.id ? { ...l, visible: false } : l) : all
  const extend = c.job.request['extend'] as number[] | undefined
  const [left = 0, top = 0, right = 0, bottom = 0] = extend ?? []
  return {
    layers: insert(below, [place], parent, index),
    frame: { x: -left, y: -top, w: canvas.width + left + right, h: canvas.height + top + bottom },
    place, size: c
  }
}

export const alternative = computed<Alternative | null>(() => {
  const c = candidate.value
  const p = project.value
  return c && p ? withCandidate(c, seenLayers.value, p) : null
})
