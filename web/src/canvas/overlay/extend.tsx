/* extend.tsx - the hatched band that a change adds around the canvas or its layer, and the grips that draw it. */
import { anySide } from '../../state/place.ts'
import { extend, zoom } from '../../state/store.ts'
import { extended, GRIP_AWAY, sideGrip, SIDES, type Side } from '../extend.ts'
import { handlePoint, type Frame } from '../transform.ts'
import { toScreen } from '../viewport.ts'
import { Label } from './label.tsx'

function outline (f: Frame): string {
  const corners = [{ x: -1, y: -1 }, { x: 1, y: -1 }, { x: 1, y: 1 }, { x: -1, y: 1 }].map((h) => toScreen(handlePoint(f, h)))
  return `M${corners.map((p) => `${p.x} ${p.y}`).join('L')}Z`
}

function Grip ({ outer, side }: { outer: Frame, side: Side }) {
  const p = toScreen(sideGrip(outer, side, GRIP_AWAY / zoom.value))
  const edge = toScreen(sideGrip(outer, side, 0))
  const angle = Math.atan2(p.y - edge.y, p.x - edge.x) * 180 / Math.PI
  const size = extend.value[side]
  return (
    <>
      <g transform={`translate(${p.x} ${p.y}) rotate(${angle})`}>
        <rect class='extend-grip' x={-5} y={-18} width={10} height={36} rx={5} />
        <path class='extend-arrow' d='M-1.5 -4L2 0L-1.5 4' />
      </g>
      {size > 0 && <Label x={(p.x + edge.x) / 2 - (p.x - edge.x) * 2} y={(p.y + edge.y) / 2 - (p.y - edge.y) * 2} text={`+${size}`} />}
    </>
  )
}

export function Extend () {
  const e = extended.value
  if (!e || (!e.grips && !anySide(extend.value))) return null
  return (
    <>
      <defs>
        <pattern id='hatch' width='8' height='8' patternUnits='userSpaceOnUse' patternTransform='rotate(45)'>
          <rect width='8' height='8' class='hatch-ground' />
          <rect width='3' height='8' class='hatch-line' />
        </pattern>
      </defs>
      {anySide(extend.value) && <path class='extend-band' fill-rule='evenodd' d={outline(e.outer) + outline(e.inner)} />}
      {e.grips && SIDES.map((s) => <Grip key={s} outer={e.outer} side={s} />)}
    </>
  )
}
