/* stroke.ts - one stroke of the mask brush. Dabs of one stroke do not add up: where it passes twice it is as strong as
 * its strongest dab, so a soft edge stays soft. The mask before the stroke is kept until it ends. */
import { clip, join, type Box, type Mask, type Point } from './mask.ts'

export interface Tip { radius: number, hardness: number, erase: boolean }

export interface Stroke {
  readonly mask: Mask
  readonly before: Uint8ClampedArray
  readonly cover: Uint8ClampedArray // of this stroke
  readonly tip: Tip
  last: (Point & { pressure: number }) | null
}

const SPACING = 0.15 // of the radius

export function beginStroke (mask: Mask, tip: Tip): Stroke {
  return { mask, before: mask.data.slice(), cover: new Uint8ClampedArray(mask.data.length), tip, last: null }
}

/* How much of a pixel at distance d a dab covers: whole up to the hard core, then smoothly less, with an edge of a pixel at least. */
export function falloff (d: number, radius: number, hardness: number): number {
  const core = Math.min(radius * hardness, radius - 0.5)
  if (d <= core) return 1
  const t = (d - core) / (radius + 0.5 - core)
  return t >= 1 ? 0 : 1 - t * t * (3 - 2 * t)
}

function dab (s: Stroke, x: number, y: number, pressure: number): Box {
  const radius = Math.max(0.5, s.tip.radius * pressure)
  const { width } = s.mask
  const box = clip({ left: x - radius - 1, top: y - radius - 1, right: x + radius + 1, bottom: y + radius + 1 }, s.mask)
  for (let py = box.top; py < box.bottom; py++) {
    for (let px = box.left; px < box.right; px++) {
      const c = Math.round(255 * falloff(Math.hypot(px + 0.5 - x, py + 0.5 - y), radius, s.tip.hardness))
      const i = py * width + px
      if (c <= (s.cover[i] ?? 0)) continue
      s.cover[i] = c
      const was = s.before[i] ?? 0
      s.mask.data[i] = s.tip.erase ? Math.min(was, 255 - c) : Math.max(was, c)
    }
  }
  return box
}

/* Goes on to a point; `pressure` 0 to 1. The box that changed. */
export function strokeTo (s: Stroke, to: Point, pressure = 1): Box {
  const from = s.last ?? { ...to, pressure }
  const length = Math.hypot(to.x - from.x, to.y - from.y)
  const step = Math.max(0.5, s.tip.radius * Math.min(from.pressure, pressure) * SPACING)
  const n = s.last ? Math.ceil(length / step) : 1
  let box: Box | null = null
  for (let k = s.last ? 1 : 0; k <= n; k++) {
    const t = n === 0 ? 1 : k / n
    box = join(box, dab(s, from.x + t * (to.x - from.x), from.y + t * (to.y - from.y), from.pressure + t * (pressure - from.pressure)))
  }
  s.last = { ...to, pressure }
  return box ?? { left: 0, top: 0, right: 0, bottom: 0 }
}
