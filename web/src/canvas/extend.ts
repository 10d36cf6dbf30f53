/* extend.ts - pixels that a change adds around the canvas, or around the layer that it is for: its sides are drawn outwards
 * while the Change panel is open. */
import { computed } from '@preact/signals'
import { targetOf } from '../state/actions/ask.ts'
import { changeForm } from '../state/forms.ts'
import { candidate, extend, project, taskPanel, tool, type Sides } from '../state/store.ts'
import { pixels } from './engine.ts'
import { apply, invert, multiply, translation, type Point } from '../state/matrix.ts'
import { frameOfBox, frameOfLayer, handlePoint, middle, sides, type Frame } from './transform.ts'

export const EXTEND_MOST = 8192
/* Drawn sides hold at multiples of this: what models make. */
export const EXTEND_STEP = 16
/* From the side to the middle of its grip, CSS pixels. */
export const GRIP_AWAY = 18

export type Side = keyof Sides
export const SIDES: Side[] = ['left', 'top', 'right', 'bottom']
const TOWARDS: Record<Side, { x: -1 | 0 | 1, y: -1 | 0 | 1 }> = {
  left: { x: -1, y: 0 }, top: { x: 0, y: -1 }, right: { x: 1, y: 0 }, bottom: { x: 0, y: 1 }
}
const OPPOSITE: Record<Side, Side> = { left: 'right', top: 'bottom', right: 'left', bottom: 'top' }

/* ---- pure ----------------------------------------------------------------------------------------------- */

export function outerFrame (f: Frame, s: Sides): Frame {
  return { matrix: multiply(f.matrix, translation(-s.left, -s.top)), w: f.w + s.left + s.right, h: f.h + s.top + s.bottom }
}

/* The sides when one of them is drawn from one point of the canvas to another. `even`: the opposite one follows. */
export function drawnSides (f: Frame, s: Sides, side: Side, from: Point, to: Point, o: { even: boolean, free: boolean }): Sides {
  const inverse = invert(f.matrix)
  if (!inverse) return s
  const a = apply(inverse, from)
  const b = apply(inverse, to)
  const by = (b.x - a.x) * TOWARDS[side].x + (b.y - a.y) * TOWARDS[side].y
  const step = o.free ? 1 : EXTEND_STEP
  const size = Math.min(EXTEND_MOST, Math.max(0, step * Math.round((s[side] + by) / step)))
  return { ...s, [side]: size, ...o.even ? { [OPPOSITE[side]]: size } : {} }
}

/* Where the grip of a side stands: `away` canvas pixels outside of it. */
export function sideGrip (outer: Frame, side: Side, away: number): Point {
  const p = handlePoint(outer, TOWARDS[side])
  const c = middle(outer)
  const length = Math.hypot(p.x - c.x, p.y - c.y)
  if (length < 1e-9) return p
  return { x: p.x + (p.x - c.x) / length * away, y: p.y + (p.y - c.y) / length * away }
}

/* ---- of the open project ---------------------------------------------------------------------------------- */

/* What is extended; null where nothing can be now. */
export const extended = computed<{ inner: Frame, outer: Frame, grips: boolean } | null>(() => {
  const p = project.value
  if (!p || taskPanel.value !== 'change' || candidate.value) return null
  const target = targetOf(changeForm.value.target)
  const size = target?.asset ? pixels.value?.sizeOf(target.asset) : null
  const inner = target && size ? frameOfLayer(target, size) : frameOfBox({ x: 0, y: 0, w: p.width, h: p.height })
  return { inner, outer: outerFrame(inner, extend.value), grips: tool.value === 'move' && Math.min(...sides(inner)) > 0 }
})

export function sideAt (p: Point, reach: number, away: number): Side | null {
  const e = extended.value
  if (!e?.grips) return null
  return SIDES.find((s) => {
    const g = sideGrip(e.outer, s, away)
    return Math.hypot(p.x - g.x, p.y - g.y) <= reach
  }) ?? null
}
