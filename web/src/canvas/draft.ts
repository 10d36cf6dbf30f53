/* draft.ts - what is seen while something is dragged, before it becomes a change of the project. */
import { computed, signal } from '@preact/signals'
import type { Layer } from '../api/types.ts'
import { compareGroup, layers, soloId } from '../state/store.ts'
import { isWithin } from '../state/tree.ts'

export const draft = signal<ReadonlyMap<string, Partial<Layer>> | null>(null)

/* The layers with what is dragged where it is now. */
export const draftLayers = computed<Layer[]>(() => {
  const d = draft.value
  return d ? layers.value.map((l) => d.has(l.id) ? { ...l, ...d.get(l.id) } : l) : layers.value
})

/* Of those, what is seen: one layer alone when it is shown solo, or compared with what it was taken apart from. */
export const seenLayers = computed<Layer[]>(() => {
  const all = draftLayers.value
  const solo = compareGroup.value ?? soloId.value
  if (solo === null || !all.some((l) => l.id === solo)) return all
  return all.map((l) => {
    const shown = l.id === solo || isWithin(all, solo, l.id) || (isWithin(all, l.id, solo) && l.visible)
    return { ...l, visible: shown }
  })
})
