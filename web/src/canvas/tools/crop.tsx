/* crop.tsx - the crop tool: a frame that is drawn, Enter applies it, Escape puts it back. */
import { Check, Crop, X } from 'lucide'
import { register } from '../../state/commands.ts'
import { change } from '../../state/save.ts'
import { layers, project, view, zoom } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button } from '../../ui/button.tsx'
import { NumberField } from '../../ui/field.tsx'
import { cropBox, cropped, isAllowed, MOST_SIDE, resizedBox } from '../crop.ts'
import { boxOfLayers } from '../frames.ts'
import { contains, type Box, type Point } from '../../state/matrix.ts'
import { CropOverlay } from '../overlay/crop.tsx'
import { snapBox, snapPoint } from '../snap.ts'
import { frameOfBox, gripAt, type Handle } from '../transform.ts'
import { guides } from './dragging.ts'
import { dragBox } from './marquee.ts'
import { resizeCursor } from './move.ts'
import { chooseTool, registerTool, type Gesture, type Pointer } from './tool.ts'

const REACH = { mouse: 9, touch: 22 }
const SNAP_REACH = 6

function canvasBox (): Box {
  const p = project.value
  return { x: 0, y: 0, w: p?.width ?? 1, h: p?.height ?? 1 }
}

const targets = (): Box[] => [canvasBox(), ...layers.value.filter((l) => l.visible && l.kind === 'image').map((l) => boxOfLayers([l]))]

function snapped (p: Point, axes: { x: boolean, y: boolean }, to: Box[]): Point {
  if (!view.value.snap) return p
  const s = snapPoint(p, axes, to, SNAP_REACH / zoom.value)
  guides.value = s.guides
  return s.point
}

/* ---- gestures ------------------------------------------------------------------------------------------- */

function drawing (step: (p: Pointer) => Box): Gesture {
  const before = cropBox.value
  return {
    move (p) { cropBox.value = step(p) },
    up () { guides.value = [] },
    cancel () { cropBox.value = before; guides.value = [] }
  }
}

function resizing (b: Box, h: Handle): Gesture {
  const to = targets()
  return drawing((p) => resizedBox(b, h, snapped(p, { x: h.x !== 0, y: h.y !== 0 }, to), p.shift))
}

function moving (from: Pointer, b: Box): Gesture {
  const to = targets()
  return drawing((p) => {
    const at = { ...b, x: Math.round(b.x + p.x - from.x), y: Math.round(b.y + p.y - from.y) }
    const s = view.value.snap ? snapBox(at, to, SNAP_REACH / zoom.value) : { dx: 0, dy: 0, guides: [] }
    guides.value = s.guides
    return { ...at, x: Math.round(at.x + s.dx), y: Math.round(at.y + s.dy) }
  })
}

/* A new frame from outside the old one. */
function framing (from: Pointer): Gesture {
  const to = targets()
  const a = snapped(from, { x: true, y: true }, to)
  return drawing((p) => {
    const b = dragBox(a, snapped(p, { x: true, y: true }, to))
    return { x: Math.round(b.x), y: Math.round(b.y), w: Math.max(1, Math.round(b.w)), h: Math.max(1, Math.round(b.h)) }
  })
}

function handleAt (p: Pointer): Handle | null {
  const b = cropBox.value
  const grip = b && gripAt(frameOfBox(b), p, (p.touch ? REACH.touch : REACH.mouse) / zoom.value, Infinity)
  return grip && typeof grip === 'object' ? grip : null
}

function down (p: Pointer): Gesture {
  const b = cropBox.value ?? canvasBox()
  const handle = handleAt(p)
  if (handle) return resizing(b, handle)
  return contains(b, p) ? moving(p, b) : framing(p)
}

function cursor (p: Pointer | null): string {
  const b = cropBox.value
  const handle = p && handleAt(p)
  if (b && handle) return resizeCursor(frameOfBox(b), handle)
  return b && p && contains(b, p) ? 'move' : 'crosshair'
}

/* ---- applying it ---------------------------------------------------------------------------------------- */

function isWhole (b: Box): boolean {
  const c = canvasBox()
  return b.x === c.x && b.y === c.y && b.w === c.w && b.h === c.h
}

function reset (): void {
  cropBox.value = canvasBox()
  guides.value = []
}

function applyCrop (): void {
  const b = cropBox.value
  if (!b || !isAllowed(b)) return
  if (!isWhole(b)) change(cropped(layers.value, b), text.undo.crop)
  chooseTool('move')
}

/* Escape puts the frame back; once more leaves the tool. */
function leaveCrop (): void {
  if (cropBox.value && !isWhole(cropBox.value)) reset()
  else chooseTool('move')
}

/* Keys work wherever the focus is but in the bar, whose buttons have them themselves. */
const inUse = (): boolean => cropBox.value !== null && document.activeElement?.closest('.tool-options') == null

function Options () {
  const b = cropBox.value
  if (!b) return null
  const t = text.canvas.crop
  return (
    <>
      <NumberField label={t.width} value={b.w} min={1} max={MOST_SIDE} onChange={(w) => { cropBox.value = { ...b, w } }} />
      <NumberField label={t.height} value={b.h} min={1} max={MOST_SIDE} onChange={(h) => { cropBox.value = { ...b, h } }} />
      <Button kind='primary' icon={Check} disabled={!isAllowed(b)} title={isAllowed(b) ? 'Enter' : t.tooLarge} onClick={applyCrop}>{t.apply}</Button>
      <Button kind='quiet' icon={X} title='Esc' onClick={() => { reset(); chooseTool('move') }}>{text.cancel}</Button>
    </>
  )
}

export function registerCropTool (): void {
  registerTool({
    id: 'crop', key: 'C', label: text.canvas.tools.crop, icon: Crop, cursor, down, Overlay: CropOverlay, Options,
    enter: reset,
    leave () { cropBox.value = null; guides.value = [] }
  })
  /* Before a layer that is chosen, after a result that waits. */
  const rank = 0.5
  register(
    { id: 'crop.apply', title: text.canvas.crop.command, keys: ['Enter'], group: text.groups.tools, rank, enabled: inUse, run: applyCrop },
    { id: 'crop.cancel', title: text.canvas.crop.cancel, keys: ['Escape'], group: text.groups.tools, rank, enabled: inUse, run: leaveCrop }
  )
}
