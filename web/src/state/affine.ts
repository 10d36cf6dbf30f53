/* affine.ts - the map between a layer's image and the canvas. Pure. (x, y) goes to (a x + c y + e, b x + d y + f), the order of
 * canvas 2D's setTransform. */
import type { Layer } from '../api/types.ts'

export type Affine = [a: number, b: number, c: number, d: number, e: number, f: number]

/* Pixels of the layer's image to the canvas. */
export function toCanvas (l: Pick<Layer, 'x' | 'y' | 'scale_x' | 'scale_y' | 'rotation'>): Affine {
  const turn = l.rotation * Math.PI / 180
  const [s, c] = [Math.sin(turn), Math.cos(turn)]
  return [c * l.scale_x, s * l.scale_x, -s * l.scale_y, c * l.scale_y, l.x, l.y]
}

/* Null where everything falls onto a line. */
export function inverse ([a, b, c, d, e, f]: Affine): Affine | null {
  const det = a * d - b * c
  if (!(Math.abs(det) > 1e-12)) return null
  return [d / det, -b / det, -c / det, a / det, (c * f - d * e) / det, (b * e - a * f) / det]
}

export function at ([a, b, c, d, e, f]: Affine, x: number, y: number): { x: number, y: number } {
  return { x: a * x + c * y + e, y: b * x + d * y + f }
}
