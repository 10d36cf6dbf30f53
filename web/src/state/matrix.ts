/* matrix.ts - affine maps and boxes. Pure.
 *
 * A Matrix takes (x, y) to (a x + c y + e, b x + d y + f), as DOMMatrix and SVG have it; y goes down. */
import type { Layer } from '../api/types.ts'

export interface Point { x: number, y: number }
export interface Matrix { a: number, b: number, c: number, d: number, e: number, f: number }
/* x and y are the upper left corner. */
export interface Box { x: number, y: number, w: number, h: number }

export const IDENTITY: Matrix = { a: 1, b: 0, c: 0, d: 1, e: 0, f: 0 }

/* First `n`, then `m`. */
export function multiply (m: Matrix, n: Matrix): Matrix {
  return {
    a: m.a * n.a + m.c * n.b,
    b: m.b * n.a + m.d * n.b,
    c: m.a * n.c + m.c * n.d,
    d: m.b * n.c + m.d * n.d,
    e: m.a * n.e + m.c * n.f + m.e,
    f: m.b * n.e + m.d * n.f + m.f
  }
}

/* Null where everything falls onto a line. */
export function invert (m: Matrix): Matrix | null {
  const det = m.a * m.d - m.b * m.c
  if (!(Math.abs(det) > 1e-12)) return null
  return {
    a: m.d / det, b: -m.b / det, c: -m.c / det, d: m.a / det,
    e: (m.c * m.f - m.d * m.e) / det,
    f: (m.b * m.e - m.a * m.f) / det
  }
}

export function apply (m: Matrix, p: Point): Point {
  return { x: m.a * p.x + m.c * p.y + m.e, y: m.b * p.x + m.d * p.y + m.f }
}

export const translation = (x: number, y: number): Matrix => ({ ...IDENTITY, e: x, f: y })
export const scaling = (x: number, y: number): Matrix => ({ ...IDENTITY, a: x, d: y })

/* Turns by whole right angles are exact, as the server has them. */
export function sinCos (degrees: number): [number, number] {
  const quarters = degrees / 90
  if (Number.isInteger(quarters)) {
    const sines = [0, 1, 0, -1] as const
    const q = ((quarters % 4) + 4) % 4
    return [sines[q] ?? 0, sines[(q + 1) % 4] ?? 1]
  }
  const radians = degrees * Math.PI / 180
  return [Math.sin(radians), Math.cos(radians)]
}

export function rotation (degrees: number): Matrix {
  const [s, c] = sinCos(degrees)
  return { a: c, b: s, c: -s, d: c, e: 0, f: 0 }
}

/* `m` done about `p` instead of the origin. */
export function about (p: Point, m: Matrix): Matrix {
  return multiply(translation(p.x, p.y), multiply(m, translation(-p.x, -p.y)))
}

/* ---- layers --------------------------------------------------------------------------------------- */

export type Placement = Pick<Layer, 'x' | 'y' | 'scale_x' | 'scale_y' | 'rotation'>

/* Points of the layer's image onto the canvas: (x, y) + R S p. */
export function matrixOf (l: Placement): Matrix {
  const [s, c] = sinCos(l.rotation)
  return { a: c * l.scale_x, b: s * l.scale_x, c: -s * l.scale_y, d: c * l.scale_y, e: l.x, f: l.y }
}

/* The nearest that a layer can be to `m`: what shears is left out. Mirroring one side is the same as mirroring the other
 * and turning by 180 degrees: the signs stay those of `like` where they can, else the turn stays the nearer one. */
export function placementOf (m: Matrix, like: Omit<Placement, 'x' | 'y'>): Placement {
  const det = m.a * m.d - m.b * m.c
  const length = Math.hypot(m.a, m.b)
  const angle = Math.atan2(m.b, m.a) * 180 / Math.PI
  const away = (degrees: number): number => Math.abs(degrees - 360 * Math.round(degrees / 360))
  const kept = det * like.scale_x * like.scale_y > 0
  const nearer = away(angle - like.rotation) <= away(angle + 180 - like.rotation) ? 1 : -1
  const sign = kept ? Math.sign(like.scale_x) : nearer
  return {
    x: m.e, y: m.f, rotation: sign > 0 ? angle : angle > 0 ? angle - 180 : angle + 180,
    scale_x: sign * length, scale_y: sign * det / length
  }
}

/* ---- boxes ---------------------------------------------------------------------------------------- */

export function corners (w: number, h: number, m: Matrix): Point[] {
  return [{ x: 0, y: 0 }, { x: w, y: 0 }, { x: w, y: h }, { x: 0, y: h }].map((p) => apply(m, p))
}

export function around (points: Point[]): Box {
  const x = Math.min(...points.map((p) => p.x))
  const y = Math.min(...points.map((p) => p.y))
  return { x, y, w: Math.max(...points.map((p) => p.x)) - x, h: Math.max(...points.map((p) => p.y)) - y }
}

export const EMPTY: Box = { x: 0, y: 0, w: 0, h: 0 }
export const isEmpty = (b: Box): boolean => !(b.w > 0 && b.h > 0)

export function union (a: Box, b: Box): Box {
  if (isEmpty(a)) return b
  if (isEmpty(b)) return a
  const x = Math.min(a.x, b.x)
  const y = Math.min(a.y, b.y)
  return { x, y, w: Math.max(a.x + a.w, b.x + b.w) - x, h: Math.max(a.y + a.h, b.y + b.h) - y }
}

export function intersect (a: Box, b: Box): Box {
  const x = Math.max(a.x, b.x)
  const y = Math.max(a.y, b.y)
  const w = Math.min(a.x + a.w, b.x + b.w) - x
  const h = Math.min(a.y + a.h, b.y + b.h) - y
  return w > 0 && h > 0 ? { x, y, w, h } : EMPTY
}

export function contains (b: Box, p: Point): boolean {
  return p.x >= b.x && p.y >= b.y && p.x < b.x + b.w && p.y < b.y + b.h
}

/* The whole pixels that the box touches; what rounding errors leave past a border does not count. */
export function pixels (b: Box): Box {
  if (isEmpty(b)) return EMPTY
  const x = Math.floor(b.x + 1e-6)
  const y = Math.floor(b.y + 1e-6)
  return { x, y, w: Math.max(0, Math.ceil(b.x + b.w - 1e-6) - x), h: Math.max(0, Math.ceil(b.y + b.h - 1e-6) - y) }
}
