/* viewport.ts - which part of the canvas is seen, and how large: screen = canvas * zoom + pan, in CSS pixels of the area. */
import { signal } from '@preact/signals'
import { project, zoom } from '../state/store.ts'
import type { Box, Point } from '../state/matrix.ts'

export const LEAST_ZOOM = 0.01
export const MOST_ZOOM = 64
const MOST_FIT = 16
const MARGIN = 40
const STOPS = [0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.33, 0.5, 0.67, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]

/* Of the area that the canvas is seen in. */
export const area = signal({ w: 0, h: 0, ratio: 1 })
export const pan = signal<Point>({ x: 0, y: 0 })
/* True until the person moves: the canvas then fits again when the window changes. */
let fitted = true

/* Whole device pixels, so that 100 % is sharp. */
function setPan (x: number, y: number): void {
  const { ratio } = area.value
  pan.value = { x: Math.round(x * ratio) / ratio, y: Math.round(y * ratio) / ratio }
}

export const toCanvas = (p: Point): Point => ({ x: (p.x - pan.value.x) / zoom.value, y: (p.y - pan.value.y) / zoom.value })
export const toScreen = (p: Point): Point => ({ x: p.x * zoom.value + pan.value.x, y: p.y * zoom.value + pan.value.y })

export function boxToScreen (b: Box): Box {
  const p = toScreen(b)
  return { x: p.x, y: p.y, w: b.w * zoom.value, h: b.h * zoom.value }
}

export function panBy (dx: number, dy: number): void {
  fitted = false
  setPan(pan.value.x + dx, pan.value.y + dy)
}

const middle = (): Point => ({ x: area.value.w / 2, y: area.value.h / 2 })

/* Zooms so that the canvas' point `held` lies under `at`. */
export function zoomHolding (z: number, held: Point, at: Point): void {
  fitted = false
  zoom.value = Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, z))
  setPan(at.x - held.x * zoom.value, at.y - held.y * zoom.value)
}

/* What lies under `at` stays under it. */
export function zoomTo (z: number, at: Point = middle()): void {
  zoomHolding(z, toCanvas(at), at)
}

export function zoomStep (by: 1 | -1, at: Point = middle()): void {
  const next = by > 0 ? STOPS.find((s) => s > zoom.value * 1.001) : STOPS.findLast((s) => s < zoom.value / 1.001)
  zoomTo(next ?? zoom.value, at)
}

/* Shows `box` in the middle, as large as it fits. */
export function show (box: Box, most = MOST_FIT): void {
  const { w, h } = area.value
  if (w === 0 || h === 0) return
  const z = Math.min((w - 2 * MARGIN) / box.w, (h - 2 * MARGIN) / box.h, most)
  zoom.value = Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, z))
  setPan(w / 2 - (box.x + box.w / 2) * zoom.value, h / 2 - (box.y + box.h / 2) * zoom.value)
}

export function fit (): void {
  const p = project.value
  if (p) show({ x: 0, y: 0, w: p.width, h: p.height })
  fitted = true
}

export function resized (w: number, h: number, ratio: number): void {
  const old = area.value
  area.value = { w, h, ratio }
  if (fitted) fit()
  else setPan(pan.value.x + (w - old.w) / 2, pan.value.y + (h - old.h) / 2)
}
