/* gizmo.tsx - the frame around what is selected, its handles, guides, and a readout while it is dragged. */
import { candidate, zoom } from '../../state/store.ts'
import { text } from '../../text.ts'
import { canMove, selectionFrame } from '../frames.ts'
import { gesture } from '../pointers.ts'
import { dragging } from '../tools/dragging.ts'
import { boxOfFrame, handlePoint, HANDLES, isUpright, KNOB, knobPoint, sides, type Frame } from '../transform.ts'
import { area, toScreen } from '../viewport.ts'
import { Guides } from './guides.tsx'
import { Label } from './label.tsx'

/* Larger where fingers point; what they take hold of is larger still (tools/move.ts). */
const SIDE = typeof matchMedia === 'function' && matchMedia('(pointer: coarse)').matches ? 14 : 8

function Handles ({ frame }: { frame: Frame }) {
  const [w, h] = sides(frame)
  const room = (s: number): boolean => s * zoom.value > 48
  const knob = toScreen(knobPoint(frame, KNOB / zoom.value))
  const top = toScreen(handlePoint(frame, { x: 0, y: -1 }))
  return (
    <>
      <line class='frame' x1={top.x} y1={top.y} x2={knob.x} y2={knob.y} />
      <circle class='handle' cx={knob.x} cy={knob.y} r={5} />
      {HANDLES.filter((k) => (k.x !== 0 || room(w)) && (k.y !== 0 || room(h))).map((k) => {
        const p = toScreen(handlePoint(frame, k))
        return <rect key={`${k.x}${k.y}`} class='handle' x={p.x - SIDE / 2} y={p.y - SIDE / 2} width={SIDE} height={SIDE} rx={1.5} />
      })}
    </>
  )
}

function Readout ({ frame }: { frame: Frame }) {
  const d = dragging.value
  if (!d) return null
  const box = boxOfFrame(frame)
  const [w, h] = isUpright(frame) ? [box.w, box.h] : sides(frame)
  const words = text.canvas.readout(box.x, box.y, w, h, d.angle)
  return <Label x={Math.min(d.at.x + 16, area.value.w - 130)} y={Math.min(d.at.y + 26, area.value.h - 16)} text={words} start />
}

export function Gizmo () {
  const frame = selectionFrame.value
  if (!frame || candidate.value) return null
  const points = [{ x: -1, y: -1 }, { x: 1, y: -1 }, { x: 1, y: 1 }, { x: -1, y: 1 }].map((h) => toScreen(handlePoint(frame, h)))
  const outline = points.map((p) => `${p.x},${p.y}`).join(' ')
  return (
    <>
      <polygon class='casing' points={outline} />
      <polygon class='frame' points={outline} />
      {canMove.value && !(gesture.value && dragging.value) && <Handles frame={frame} />}
      <Guides />
      <Readout frame={frame} />
    </>
  )
}
