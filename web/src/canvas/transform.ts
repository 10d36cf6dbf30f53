/* transform.ts - the frame around what is selected, its handles, and what dragging one does. Pure.
 *
 * A frame is a box of its own, w x h from its corner, that `matrix` puts onto the canvas: that of one layer is turned
 * with it, that of several is upright. A drag gives a map of the canvas; every selected layer is put through it. */
import type { Layer } from '../api/types.ts'
import { about, apply, around, corners, invert, matrixOf, multiply, placementOf, rotation, scaling, translation, type Box, type Matrix, type Placement, type Point } from '../state/matrix.ts'

export interface Frame { matrix: Matrix, w: number, h: number }
/* Where on the frame: -1 left or top, 0 middle, 1 right or bottom. */
export interface Handle { x: -1 | 0 | 1, y: -1 | 0 | 1 }
export type Grip = Handle | 'turn' | 'inside'

export const HANDLES: Handle[] = [
  { x: -1, y: -1 }, { x: 0, y: -1 }, { x: 1, y: -1 }, { x: 1, y: 0 }, { x: 1, y: 1 }, { x: 0, y: 1 }, { x: -1, y: 1 }, { x: -1, y: 0 }
]
/* From the frame's upper side to the knob that turns it, CSS pixels. */
export const KNOB = 26
export const TURN_STEP = 15
/* A scaled frame keeps at least so many pixels a side. */
const LEAST_SIDE = 1

export const frameOfLayer = (l: Placement, size: { width: number, height: number }): Frame => ({ matrix: matrixOf(l), w: size.width, h: size.height })
export const frameOfBox = (b: Box): Frame => ({ matrix: translation(b.x, b.y), w: b.w, h: b.h })
export const boxOfFrame = (f: Frame): Box => around(corners(f.w, f.h, f.matrix))
export const isUpright = (f: Frame): boolean => f.matrix.b === 0 && f.matrix.c === 0

const pointAt = (f: Frame, h: { x: number, y: number }): Point => ({ x: f.w * (h.x + 1) / 2, y: f.h * (h.y + 1) / 2 })
export const handlePoint = (f: Frame, h: { x: number, y: number }): Point => apply(f.matrix, pointAt(f, h))
export const middle = (f: Frame): Point => handlePoint(f, { x: 0, y: 0 })

/* The knob stands over the frame's upper side as it is seen, `distance` canvas pixels away. */
export function knobPoint (f: Frame, distance: number): Point {
  const top = handlePoint(f, { x: 0, y: -1 })
  const c = middle(f)
  const length = Math.hypot(top.x - c.x, top.y - c.y)
  if (length < 1e-9) return { x: top.x, y: top.y - distance }
  return { x: top.x + (top.x - c.x) / length * distance, y: top.y + (top.y - c.y) / length * distance }
}

/* ---- which part of it lies under a point ---------------------------------------------------------------- */

/* `reach` and `knob` in canvas pixels. Corners come before sides; a frame too small for its handles is only moved. */
export function gripAt (f: Frame, p: Point, reach: number, knob: number): Grip | null {
  const near = (q: Point): boolean => Math.hypot(p.x - q.x, p.y - q.y) <= reach
  if (near(knobPoint(f, knob))) return 'turn'
  const inverse = invert(f.matrix)
  if (!inverse) return null
  const local = apply(inverse, p)
  const inside = local.x >= 0 && local.y >= 0 && local.x <= f.w && local.y <= f.h
  const [sideX, sideY] = sides(f)
  if (inside && Math.min(sideX, sideY) < 2 * reach) return 'inside'
  const handles = HANDLES.filter((h) => (h.x !== 0 || sideX > 4 * reach) && (h.y !== 0 || sideY > 4 * reach))
  handles.sort((a, b) => Math.abs(b.x * b.y) - Math.abs(a.x * a.y))
  return handles.find((h) => near(handlePoint(f, h))) ?? (inside ? 'inside' : null)
}

/* Its sides on the canvas. */
export function sides (f: Frame): [number, number] {
  return [f.w * Math.hypot(f.matrix.a, f.matrix.b), f.h * Math.hypot(f.matrix.c, f.matrix.d)]
}

/* ---- what a drag does ----------------------------------------------------------------------------------- */

export interface ScaleOptions { free: boolean, centred: boolean }

function limited (s: number, side: number): number {
  const least = LEAST_SIDE / Math.max(side, LEAST_SIDE)
  return Math.abs(s) < least ? (s < 0 ? -least : least) : s
}

/* The handle is drawn to `p` of the canvas. Corners keep the proportions unless free; sides change one side. */
export function scaled (f: Frame, h: Handle, p: Point, o: ScaleOptions): Matrix {
  const inverse = invert(f.matrix)
  if (!inverse) return translation(0, 0)
  const anchor = pointAt(f, o.centred ? { x: 0, y: 0 } : { x: -h.x, y: -h.y })
  const grabbed = pointAt(f, h)
  const local = apply(inverse, p)
  const [sideX, sideY] = sides(f)
  let sx = h.x === 0 ? 1 : (local.x - anchor.x) / (grabbed.x - anchor.x)
  let sy = h.y === 0 ? 1 : (local.y - anchor.y) / (grabbed.y - anchor.y)
  if (h.x !== 0 && h.y !== 0 && !o.free) sx = sy = along(f.matrix, anchor, grabbed, local)
  const s = about(anchor, scaling(limited(sx, sideX), limited(sy, sideY)))
  return multiply(f.matrix, multiply(s, inverse))
}

/* How far `p` lies from the anchor in the direction of `q`, in parts of that distance, as it is seen on the canvas. */
function along (m: Matrix, anchor: Point, q: Point, p: Point): number {
  const from = apply(m, anchor)
  const to = apply(m, q)
  const at = apply(m, p)
  const d = { x: to.x - from.x, y: to.y - from.y }
  return ((at.x - from.x) * d.x + (at.y - from.y) * d.y) / (d.x * d.x + d.y * d.y)
}

/* Degrees by which the pointer went around `c`, from -180 to 180. */
export function turnOf (c: Point, from: Point, to: Point): number {
  const angle = (p: Point): number => Math.atan2(p.y - c.y, p.x - c.x) * 180 / Math.PI
  return normal(angle(to) - angle(from))
}

export const normal = (degrees: number): number => degrees - 360 * Math.round(degrees / 360)

/* In steps of 15 degrees where asked for; else right angles hold for a degree and a half. */
export function snappedAngle (degrees: number, steps: boolean): number {
  if (steps) return TURN_STEP * Math.round(degrees / TURN_STEP)
  const right = 90 * Math.round(degrees / 90)
  return Math.abs(degrees - right) < 1.5 ? right : Math.round(degrees * 10) / 10
}

export const turned = (c: Point, degrees: number): Matrix => about(c, rotation(degrees))

/* ---- layers through a map of the canvas ----------------------------------------------------------------- */

const tidy = (v: number): number => Math.abs(v - Math.round(v)) < 1e-6 ? Math.round(v) : v

export function moved (l: Layer, by: Matrix): Partial<Layer> {
  if (by.a === 1 && by.b === 0 && by.c === 0 && by.d === 1) return { x: l.x + by.e, y: l.y + by.f }
  const p = placementOf(multiply(by, matrixOf(l)), l)
  const scale = (v: number): number => Math.sign(v) * Math.min(1000, Math.max(0.0001, Math.abs(v)))
  return { x: tidy(p.x), y: tidy(p.y), rotation: tidy(p.rotation), scale_x: scale(tidy(p.scale_x)), scale_y: scale(tidy(p.scale_y)) }
}

/* True when scaling one side more than the other would shear it. */
export const wouldShear = (l: Placement): boolean => l.rotation % 90 !== 0
