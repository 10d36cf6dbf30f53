/* dragging.ts - while something is dragged: lines that it sticks to, and what is said beside the pointer. */
import { signal } from '@preact/signals'
import type { Point } from '../../state/matrix.ts'
import type { Guide } from '../snap.ts'

export const guides = signal<Guide[]>([])
/* `at` in CSS pixels of the area. */
export const dragging = signal<{ at: Point, angle: number | null } | null>(null)
