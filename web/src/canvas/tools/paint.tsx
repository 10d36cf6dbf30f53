/* paint.tsx - the mask brush and the eraser: a stroke is one undo step. A pen's pressure sets the size; Shift draws a
 * straight line from the end of the last stroke; X goes to the other of the two. */
import { signal } from '@preact/signals'
import { Brush, Eraser } from 'lucide'
import { brush, zoom } from '../../state/store.ts'
import { text } from '../../text.ts'
import { NumberField, Slider } from '../../ui/field.tsx'
import { percent } from '../../ui/format.ts'
import { current, draftMask, dropDraft, keep, showDraft } from '../mask/current.ts'
import { beginStroke, strokeTo } from '../mask/stroke.ts'
import type { Point } from '../../state/matrix.ts'
import { toScreen } from '../viewport.ts'
import { forMasks, registerTool, type Gesture, type Pointer } from './tool.ts'

const pointer = signal<Point | null>(null)
let lastEnd: Point | null = null

/* A mouse has no pressure to tell; a pen's lightest touch still paints. */
const pressureOf = (p: Pointer, raw: number): number => p.pen ? 0.15 + 0.85 * raw : 1

function painting (from: Pointer, erase: boolean): Gesture | null {
  const before = current.value
  const mask = draftMask()
  if (!mask) return null
  const stroke = beginStroke(mask, { radius: brush.value.size / 2, hardness: brush.value.hardness, erase })
  if (from.shift && lastEnd) strokeTo(stroke, lastEnd, pressureOf(from, from.pressure))
  showDraft(mask, null)
  showDraft(mask, strokeTo(stroke, from, pressureOf(from, from.pressure)))
  return {
    move (p) {
      pointer.value = { x: p.x, y: p.y }
      for (const t of p.trail) showDraft(mask, strokeTo(stroke, t, pressureOf(p, t.pressure)))
    },
    up (p) {
      lastEnd = { x: p.x, y: p.y }
      void keep(mask)
    },
    cancel () { dropDraft(before) }
  }
}

/* The brush's edge: dark and light, so that it is seen on anything. */
function Ring () {
  if (!pointer.value) return null
  const c = toScreen(pointer.value)
  const r = Math.max(1, brush.value.size / 2 * zoom.value)
  return (
    <g class='brush-ring'>
      <circle cx={c.x} cy={c.y} r={r} class='under' />
      <circle cx={c.x} cy={c.y} r={r} class='line' />
      {r < 4 && <path class='line' d={`M${c.x - 8} ${c.y}h5M${c.x + 3} ${c.y}h5M${c.x} ${c.y - 8}v5M${c.x} ${c.y + 3}v5`} />}
    </g>
  )
}

function Options () {
  const set = (part: Partial<typeof brush.value>): void => { brush.value = { ...brush.value, ...part } }
  return (
    <>
      <NumberField label={text.masks.size} value={brush.value.size} min={1} max={2000} unit='px' onChange={(size) => { set({ size }) }} />
      <Slider label={text.masks.hardness} value={brush.value.hardness} format={percent} onChange={(hardness) => { set({ hardness }) }} />
      <Slider label={text.masks.veil} value={brush.value.veil} format={percent} onChange={(veil) => { set({ veil }) }} />
    </>
  )
}

const shared = {
  cursor: () => 'none', Overlay: Ring, Options,
  hover: (p: Pointer | null) => { pointer.value = p && { x: p.x, y: p.y } },
  enter: forMasks,
  leave: () => { pointer.value = null }
}

export function registerPaintTools (): void {
  registerTool({ id: 'brush', key: 'B', label: text.masks.brush, icon: Brush, down: (p) => painting(p, p.alt), ...shared })
  registerTool({ id: 'eraser', key: 'E', label: text.masks.eraser, icon: Eraser, down: (p) => painting(p, !p.alt), ...shared })
}
