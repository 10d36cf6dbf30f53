/* crop.tsx - the crop frame: what goes is dimmed, thirds, handles, the size. */
import { text } from '../../text.ts'
import { cropBox } from '../crop.ts'
import { handlePoint, HANDLES, frameOfBox } from '../transform.ts'
import { area, boxToScreen, toScreen } from '../viewport.ts'
import { Guides } from './guides.tsx'
import { Label } from './label.tsx'

const ARM = 14

/* A corner or side handle as an angle or a bar. */
function arm (p: { x: number, y: number }, h: { x: number, y: number }): string {
  if (h.x === 0) return `M${p.x - ARM} ${p.y}h${2 * ARM}`
  if (h.y === 0) return `M${p.x} ${p.y - ARM}v${2 * ARM}`
  return `M${p.x} ${p.y - h.y * ARM}V${p.y}H${p.x - h.x * ARM}`
}

export function CropOverlay () {
  const c = cropBox.value
  if (!c) return null
  const b = boxToScreen(c)
  const { w, h } = area.value
  const thirds = [1 / 3, 2 / 3].map((t) => `M${b.x + b.w * t} ${b.y}v${b.h}M${b.x} ${b.y + b.h * t}h${b.w}`).join('')
  const arms = HANDLES.map((k) => arm(toScreen(handlePoint(frameOfBox(c), k)), k)).join('')
  return (
    <>
      <path class='dim' fill-rule='evenodd' d={`M0 0h${w}v${h}h${-w}zM${b.x} ${b.y}h${b.w}v${b.h}h${-b.w}z`} />
      <path class='thirds' d={thirds} />
      <rect class='casing' x={b.x} y={b.y} width={b.w} height={b.h} />
      <rect class='crop-frame' x={b.x} y={b.y} width={b.w} height={b.h} />
      <path class='crop-arms casing' d={arms} />
      <path class='crop-arms' d={arms} />
      <Guides />
      <Label x={b.x + b.w / 2} y={Math.min(h - 16, b.y + b.h + 20)} text={text.canvas.crop.size(c.w, c.h)} />
    </>
  )
}
