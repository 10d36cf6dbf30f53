/* place.ts - where a result lies on the canvas, and what the canvas becomes when it is taken. Pure. */
import type { Job, Layer } from '../api/types.ts'
import { apply, matrixOf } from './matrix.ts'
import type { Size } from './requests.ts'
import type { Sides } from './store.ts'
import { find } from './tree.ts'

export function sidesOf (request: Record<string, unknown>): Sides {
  const [left = 0, top = 0, right = 0, bottom = 0] = (request['extend'] as number[] | null | undefined) ?? []
  return { left, top, right, bottom }
}

export const anySide = (s: Sides): boolean => s.left + s.top + s.right + s.bottom > 0

/* Whole in the canvas, in its own shape, in the middle. */
function contained (size: Size, canvas: Size): Partial<Layer> {
  const k = Math.min(canvas.width / size.width, canvas.height / size.height)
  return { x: (canvas.width - size.width * k) / 2, y: (canvas.height - size.height * k) / 2, scale_x: k, scale_y: k }
}

/* The place of a result of `size` that was made from an image of `sent`: over the layer that was sent, or over the
 * canvas. The result may be smaller than what was sent (large images are), or have pixels more at its sides. */
export function placed (job: Pick<Job, 'kind' | 'layer' | 'request'>, size: Size, sent: Size | null, layers: Layer[], canvas: Size): Partial<Layer> {
  const target = find(layers, job.layer)
  if (job.kind === 'generate') return contained(size, canvas)
  const s = sidesOf(job.request)
  const whole = sent ? { width: sent.width + s.left + s.right, height: sent.height + s.top + s.bottom } : size
  const kx = whole.width / size.width
  const ky = whole.height / size.height
  const mask = anySide(s) ? null : (job.request['mask'] as string | undefined) ?? null
  if (target?.asset) {
    return {
      ...apply(matrixOf(target), { x: -s.left, y: -s.top }), scale_x: target.scale_x * kx, scale_y: target.scale_y * ky, rotation: target.rotation,
      parent: target.parent, mask: mask ?? (anySide(s) ? null : target.mask)
    }
  }
  const inner = { width: whole.width - s.left - s.right, height: whole.height - s.top - s.bottom }
  const cx = canvas.width / inner.width
  const cy = canvas.height / inner.height
  return { x: -s.left * cx, y: -s.top * cy, scale_x: kx * cx, scale_y: ky * cy, mask }
}

/* The canvas with sides added, everything on it where it was. */
export function grown (layers: Layer[], canvas: Size, s: Sides): Size & { layers: Layer[] } {
  return {
    width: canvas.width + s.left + s.right,
    height: canvas.height + s.top + s.bottom,
    layers: layers.map((l) => ({ ...l, x: l.x + s.left, y: l.y + s.top }))
  }
}
