/* crop.ts - the frame of the crop tool, and what the canvas becomes. Pure but for the signal. */
import { signal } from '@preact/signals'
import type { Layer, Project } from '../api/types.ts'
import type { Box, Point } from '../state/matrix.ts'
import type { Handle } from './transform.ts'

/* In canvas pixels, whole; null: the tool is not in use. */
export const cropBox = signal<Box | null>(null)

export const MOST_SIDE = 30000
export const MOST_PIXELS = 100e6

export const isAllowed = (b: Box): boolean => b.w >= 1 && b.h >= 1 && b.w <= MOST_SIDE && b.h <= MOST_SIDE && b.w * b.h <= MOST_PIXELS

/* One side of a span drawn to `to`; at least a pixel is left. */
function drawn (from: number, size: number, side: -1 | 0 | 1, to: number): [number, number] {
  if (side === 0) return [from, size]
  if (side > 0) return [from, Math.max(1, Math.round(to) - from)]
  const start = Math.min(from + size - 1, Math.round(to))
  return [start, from + size - start]
}

/* The box with a handle drawn to `p`. `keep`: corners keep the proportions, the corner across stays. */
export function resizedBox (b: Box, h: Handle, p: Point, keep: boolean): Box {
  const [x, w] = drawn(b.x, b.w, h.x, p.x)
  const [y, height] = drawn(b.y, b.h, h.y, p.y)
  if (!keep || h.x === 0 || h.y === 0) return { x, y, w, h: height }
  const scale = Math.max(w / b.w, height / b.h)
  const sized = { w: Math.max(1, Math.round(b.w * scale)), h: Math.max(1, Math.round(b.h * scale)) }
  return { x: h.x < 0 ? b.x + b.w - sized.w : b.x, y: h.y < 0 ? b.y + b.h - sized.h : b.y, ...sized }
}

/* The canvas cut (or extended) to the box: everything on it stays where it is seen. A selection is as large as the
 * canvas it was made for, and goes. */
export function cropped (layers: Layer[], b: Box): Pick<Project, 'width' | 'height' | 'layers' | 'selection'> {
  return { width: b.w, height: b.h, selection: null, layers: layers.map((l) => ({ ...l, x: l.x - b.x, y: l.y - b.y })) }
}
