/* marquee.ts - a dashed frame that is drawn from one point to another. */
import { signal } from '@preact/signals'
import { around, type Box, type Point } from '../../state/matrix.ts'

/* In canvas pixels; null: none is drawn. */
export const marquee = signal<Box | null>(null)

export const dragBox = (a: Point, b: Point): Box => around([a, b])
