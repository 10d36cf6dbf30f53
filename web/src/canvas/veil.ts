/* veil.ts - the seam of the mask tools: grey levels over the canvas, shown as a red veil (white is veiled).
 *
 *     setVeil({ width, height, data })        a new array, or another size: taken over whole
 *     touchVeil({ x, y, w, h })               the same array was painted on within that box of the levels
 *     setVeil(null)                           nothing is veiled
 *
 * The strength is `brush.value.veil` of the store. */
import { signal } from '@preact/signals'
import { union, type Box } from './matrix.ts'
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
