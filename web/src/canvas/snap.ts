/* snap.ts - lines that a dragged box sticks to: the canvas' edges and middles and those of other layers. Pure. */
import type { Box, Point } from '../state/matrix.ts'

/* A line across, at x (or y) = at, drawn from `from` to `to`. `gap`: how far the two boxes are from each other along it. */
export interface Guide { axis: 'x' | 'y', at: number, from: number, to: number, gap: { from: number, to: number } | null }
export interface Snapped { dx: number, dy: number, guides: Guide[] }

interface Span { lo: number, hi: number }
const spanX = (b: Box): Span => ({ lo: b.x, hi: b.x + b.w })
const spanY = (b: Box): Span => ({ lo: b.y, hi: b.y + b.h })
const stops = (s: Span): number[] => [s.lo, (s.lo + s.hi) / 2, s.hi]

/* The smallest step that puts one of `mine` onto one of the targets'; null when none is within reach. */
function nearest (mine: number[], targets: number[], reach: number): number | null {
  let best: number | null = null
  for (const t of targets) {
    for (const m of mine) {
      const d = t - m
      if (Math.abs(d) <= reach && (best === null || Math.abs(d) < Math.abs(best))) best = d
    }
  }
  return best
}

const gapOf = (a: Span, b: Span): { from: number, to: number } | null =>
  a.hi < b.lo ? { from: a.hi, to: b.lo } : b.hi < a.lo ? { from: b.hi, to: a.lo } : null

/* Guides through the stops that meet, each as long as both boxes reach; the nearest other box a line. */
function guidesOf (axis: 'x' | 'y', box: Box, others: Box[]): Guide[] {
  const [of, across] = axis === 'x' ? [spanX, spanY] : [spanY, spanX]
  const own = across(box)
  const guides = new Map<number, Guide>()
  for (const o of others) {
    for (const at of stops(of(o))) {
      if (!stops(of(box)).some((s) => Math.abs(s - at) < 0.01)) continue
      const other = across(o)
      const gap = gapOf(own, other)
      const before = guides.get(at)
      const shorter = !before?.gap || (gap !== null && gap.to - gap.from < before.gap.to - before.gap.from)
      guides.set(at, {
        axis, at, from: Math.min(own.lo, other.lo, before?.from ?? Infinity), to: Math.max(own.hi, other.hi, before?.to ?? -Infinity),
        gap: shorter ? gap ?? before?.gap ?? null : before.gap
      })
    }
  }
  return [...guides.values()]
}

/* Where the box goes when it is held near `others` (the canvas among them). */
export function snapBox (box: Box, others: Box[], reach: number): Snapped {
  const dx = nearest(stops(spanX(box)), others.flatMap((o) => stops(spanX(o))), reach) ?? 0
  const dy = nearest(stops(spanY(box)), others.flatMap((o) => stops(spanY(o))), reach) ?? 0
  const at = { ...box, x: box.x + dx, y: box.y + dy }
  return { dx, dy, guides: [...guidesOf('x', at, others), ...guidesOf('y', at, others)] }
}

/* A dragged edge or corner; only along the axes that it moves. */
export function snapPoint (p: Point, axes: { x: boolean, y: boolean }, others: Box[], reach: number): { point: Point, x: boolean, y: boolean, guides: Guide[] } {
  const dx = axes.x ? nearest([p.x], others.flatMap((o) => stops(spanX(o))), reach) : null
  const dy = axes.y ? nearest([p.y], others.flatMap((o) => stops(spanY(o))), reach) : null
  const point = { x: p.x + (dx ?? 0), y: p.y + (dy ?? 0) }
  const line = (axis: 'x' | 'y', at: number, own: number): Guide => {
    const across = others.filter((o) => stops(axis === 'x' ? spanX(o) : spanY(o)).some((s) => Math.abs(s - at) < 0.01)).map(axis === 'x' ? spanY : spanX)
    return { axis, at, from: Math.min(own, ...across.map((s) => s.lo)), to: Math.max(own, ...across.map((s) => s.hi)), gap: null }
  }
  const guides = [...dx === null ? [] : [line('x', point.x, point.y)], ...dy === null ? [] : [line('y', point.y, point.x)]]
  return { point, x: dx !== null, y: dy !== null, guides }
}
