/* move.ts - the tool that selects, moves, scales and turns layers.
 *
 * What is dragged is shown by draft.ts; the change is made once, when the pointer is let go. */
import { MousePointer2 } from 'lucide'
import type { Layer } from '../../api/types.ts'
import { select } from '../../state/actions/layers.ts'
import { register } from '../../state/commands.ts'
import { change } from '../../state/save.ts'
import { layers, selectedIds, view, zoom } from '../../state/store.ts'
import { isWithin, patch } from '../../state/tree.ts'
import { text } from '../../text.ts'
import { draft } from '../draft.ts'
import { pixels } from '../engine.ts'
import { boxOfLayer, frameOf, movable, pickable, snapTargets } from '../frames.ts'
import { apply, contains, intersect, isEmpty, invert, matrixOf, translation, type Box, type Matrix, type Point } from '../../state/matrix.ts'
import { Gizmo } from '../overlay/gizmo.tsx'
import { snapBox, snapPoint } from '../snap.ts'
import {
  boxOfFrame, gripAt, handlePoint, isUpright, KNOB, middle, moved, scaled, snappedAngle, turned, turnOf, wouldShear, type Frame, type Grip, type Handle
} from '../transform.ts'
import { dragging, guides } from './dragging.ts'
import { extending, sideUnder } from './extending.ts'
import { dragBox, marquee } from './marquee.ts'
import { registerTool, type Gesture, type Pointer } from './tool.ts'

/* CSS pixels. */
const SNAP_REACH = 6
const MOUSE_REACH = 8
const TOUCH_REACH = 22
const LEAST_DRAG = 3
/* Less alpha than this is nothing that a person would point at. */
const SEEN_ALPHA = 8

function begun (from: Pointer, p: Pointer): boolean {
  return Math.hypot(p.screen.x - from.screen.x, p.screen.y - from.screen.y) >= LEAST_DRAG
}

/* ---- selecting ---------------------------------------------------------------------------------------- */

export function layerAt (p: Point): Layer | null {
  return pickable().find((l) => {
    if (!contains(boxOfLayer(l), p)) return false
    const inverse = invert(matrixOf(l))
    return inverse !== null && (pixels.value?.alphaOf(l, apply(inverse, p)) ?? 0) >= SEEN_ALPHA
  }) ?? null
}

function toggled (id: string): string[] {
  return selectedIds.value.includes(id) ? selectedIds.value.filter((x) => x !== id) : [...selectedIds.value, id]
}

const isSelected = (l: Layer): boolean => selectedIds.value.some((id) => isWithin(layers.value, l.id, id))

/* Encloses layers, those that were selected with them when Shift is held. */
function enclosing (from: Pointer): Gesture {
  const before = from.shift ? selectedIds.value : []
  const touched = (b: Box): string[] => pickable().filter((l) => !isEmpty(intersect(boxOfLayer(l), b))).map((l) => l.id).reverse()
  const end = (): void => { marquee.value = null }
  select(before)
  return {
    move (p) {
      if (!begun(from, p) && !marquee.value) return
      marquee.value = dragBox(from, p)
      select([...new Set([...before, ...touched(marquee.value)])])
    },
    up: end,
    cancel () { end(); select(before) }
  }
}

/* ---- dragging ----------------------------------------------------------------------------------------- */

/* Steps of a drag: `mapOf` says where the canvas goes; null leaves everything where it is. */
function transforming (from: Pointer, label: string, mapOf: (p: Pointer) => Matrix | null, click?: () => void): Gesture {
  const rows = movable(layers.value, selectedIds.value)
  let map: Matrix | null = null
  const end = (): void => {
    draft.value = null
    guides.value = []
    dragging.value = null
  }
  return {
    move (p) {
      if (!map && !begun(from, p)) return
      map = mapOf(p)
      const m = map
      if (m) draft.value = new Map(rows.map((l) => [l.id, moved(l, m)]))
    },
    up () {
      const put = draft.value
      end()
      if (put && map) change({ layers: patch(layers.value, [...put.keys()], (l) => put.get(l.id) ?? {}) }, label)
      else click?.()
    },
    cancel: end
  }
}

/* Whole pixels, so that a layer stays exactly what it is. */
function shift (from: Pointer, box: Box, targets: Box[], p: Pointer): Matrix {
  let dx = Math.round(p.x - from.x)
  let dy = Math.round(p.y - from.y)
  if (p.shift) {
    if (Math.abs(dx) > Math.abs(dy)) dy = 0
    else dx = 0
  }
  if (view.value.snap && !p.ctrl) {
    const s = snapBox({ ...box, x: box.x + dx, y: box.y + dy }, targets, SNAP_REACH / zoom.value)
    dx += Math.round(s.dx)
    dy += Math.round(s.dy)
    guides.value = s.guides
  } else {
    guides.value = []
  }
  dragging.value = { at: p.screen, angle: null }
  return translation(dx, dy)
}

function moving (from: Pointer, click?: () => void): Gesture | null {
  const frame = frameOf(layers.value, selectedIds.value)
  if (!frame) return null
  const box = boxOfFrame(frame)
  const targets = snapTargets(layers.value, selectedIds.value)
  return transforming(from, text.undo.move, (p) => shift(from, box, targets, p), click)
}

function scaling (from: Pointer, frame: Frame, h: Handle): Gesture {
  const targets = snapTargets(layers.value, selectedIds.value)
  const grabbed = handlePoint(frame, h)
  const rows = movable(layers.value, selectedIds.value)
  const sheared = isUpright(frame) && rows.length > 1 && rows.some(wouldShear)
  return transforming(from, text.undo.transform, (p) => {
    const to = { x: grabbed.x + p.x - from.x, y: grabbed.y + p.y - from.y }
    dragging.value = { at: p.screen, angle: null }
    return scaled(frame, h, view.value.snap && !p.ctrl && isUpright(frame) ? snappedTo(to, h, targets) : to, { free: p.shift && !sheared, centred: p.alt })
  })
}

function snappedTo (p: Point, h: Handle, targets: Box[]): Point {
  const s = snapPoint(p, { x: h.x !== 0, y: h.y !== 0 }, targets, SNAP_REACH / zoom.value)
  guides.value = s.guides
  return { x: s.x ? s.point.x : Math.round(p.x), y: s.y ? s.point.y : Math.round(p.y) }
}

function turning (from: Pointer, frame: Frame): Gesture {
  const c = middle(frame)
  const [only, ...more] = movable(layers.value, selectedIds.value)
  const start = only && more.length === 0 ? only.rotation : 0
  return transforming(from, text.undo.transform, (p) => {
    const angle = snappedAngle(start + turnOf(c, from, p), p.shift)
    dragging.value = { at: p.screen, angle }
    return turned(c, angle - start)
  })
}

/* ---- the tool ----------------------------------------------------------------------------------------- */

function gripUnder (p: Pointer): Grip | null {
  const frame = frameOf(layers.value, selectedIds.value)
  return frame && gripAt(frame, p, (p.touch ? TOUCH_REACH : MOUSE_REACH) / zoom.value, KNOB / zoom.value)
}

/* A press selects what lies under it and may become a drag; on what is selected already it selects when it was none. */
function pressed (p: Pointer): Gesture | null {
  const hit = layerAt(p)
  if (!hit) return gripUnder(p) === 'inside' && !p.shift ? moving(p, () => { select([]) }) : enclosing(p)
  if (p.shift) {
    select(toggled(hit.id))
    return moving(p)
  }
  if (isSelected(hit)) return moving(p, () => { select([hit.id]) })
  select([hit.id])
  return moving(p)
}

function down (p: Pointer): Gesture | null {
  const side = sideUnder(p)
  if (side) return extending(p, side)
  const grip = gripUnder(p)
  const frame = frameOf(layers.value, selectedIds.value)
  if (!frame || grip === null || grip === 'inside') return pressed(p)
  if (movable(layers.value, selectedIds.value).length === 0) return null
  return grip === 'turn' ? turning(p, frame) : scaling(p, frame, grip)
}

const CURSORS = ['ew-resize', 'nwse-resize', 'ns-resize', 'nesw-resize']

/* The arrow that lies in the handle's direction as it is seen. */
export function resizeCursor (f: Frame, h: Handle): string {
  const c = middle(f)
  const p = handlePoint(f, h)
  const eighth = Math.round(Math.atan2(p.y - c.y, p.x - c.x) / (Math.PI / 4))
  return CURSORS[((eighth % 4) + 4) % 4] ?? 'move'
}

function cursor (p: Pointer | null): string {
  const side = p && sideUnder(p)
  if (side) return side === 'left' || side === 'right' ? 'ew-resize' : 'ns-resize'
  const grip = p && gripUnder(p)
  const frame = grip && frameOf(layers.value, selectedIds.value)
  if (!grip || !frame) return 'default'
  if (grip === 'turn') return 'crosshair'
  return grip === 'inside' ? 'move' : resizeCursor(frame, grip)
}

export function registerMoveTool (): void {
  registerTool({ id: 'move', key: 'V', label: text.canvas.tools.move, icon: MousePointer2, cursor, down, Overlay: Gizmo })
  register({
    id: 'select.none', title: text.canvas.selectNone, keys: ['Escape'], group: text.groups.edit,
    enabled: () => selectedIds.value.length > 0 && document.activeElement?.closest('.canvas') != null, run: () => { select([]) }
  })
}
