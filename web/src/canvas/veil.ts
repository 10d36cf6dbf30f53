/* veil.ts - the seam of the mask tools: grey levels over the canvas, shown as a red veil (white is veiled).
 *
 *     setVeil({ width, height, data })        a new array, or another size: taken over whole
 *     touchVeil({ x, y, w, h })               the same array was painted on within that box of the levels
 *     setVeil(null)                           nothing is veiled
 *
 * The strength is `brush.value.veil` of the store; a result is not veiled by the mask that it was made with. */
import { computed, effect, signal } from '@preact/signals'
import { brush, candidate, project } from '../state/store.ts'
import { union, type Box } from '../state/matrix.ts'
import type { Levels } from './screen.ts'

export const veil = signal<{ levels: Levels | null, part: Box | null }>({ levels: null, part: null })

export function setVeil (levels: Levels | null): void {
  veil.value = { levels, part: null }
}

/* Boxes that come before the next frame are joined. */
export function touchVeil (part: Box): void {
  const { levels, part: before } = veil.peek()
  if (levels) veil.value = { levels, part: before ? union(before, part) : part }
}

/* ---- results -------------------------------------------------------------------------------------------- */

/* The mask as it was when a result came to be looked at. */
const then = signal<{ selection: string | null, levels: Levels | null }>({ selection: null, levels: null })

const looked = computed(() => candidate.value?.key ?? null)

effect(() => {
  if (looked.value !== null) then.value = { selection: project.peek()?.selection ?? null, levels: veil.peek().levels }
})

/* Until the mask is painted on, or is another one, it would only hide what it made. */
const hides = computed(() => {
  const { selection, levels } = then.value
  return candidate.value !== null && selection !== null && project.value?.selection === selection && (levels === null || veil.value.levels === levels)
})

export const strength = computed(() => hides.value ? 0 : brush.value.veil)
