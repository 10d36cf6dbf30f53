/* compare.ts - the comparison, switched by a click or a tap of its key, or shown for as long as the key is held. */
import { signal } from '@preact/signals'
import { comparison, type Comparison } from '../../state/store.ts'

/* How it is compared, when it is. */
export const way = signal<Exclude<Comparison, 'off'>>('curtain')

const TAP_MS = 300
let since: number | null = null
let wasOff = true

export function toggleComparison (): void {
  comparison.value = comparison.value === 'off' ? way.value : 'off'
}

/* A held key repeats; only the first counts. */
export function hold (): void {
  if (since !== null) return
  since = performance.now()
  wasOff = comparison.value === 'off'
  comparison.value = way.value
}

export function release (): void {
  if (since === null) return
  const tapped = performance.now() - since < TAP_MS
  since = null
  if (!tapped || !wasOff) comparison.value = 'off'
}
