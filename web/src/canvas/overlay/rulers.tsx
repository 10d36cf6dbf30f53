/* rulers.tsx - rulers at the upper and left edge, in canvas pixels, with marks where the pointer is. */
import { view, zoom } from '../../state/store.ts'
import { hovering } from '../pointers.ts'
import { ticks, type Tick } from '../ticks.ts'
import { area, pan } from '../viewport.ts'

const THICK = 20

const long = (t: Tick): number => t.large ? 10 : 4

function Across () {
  const list = ticks(area.value.w, pan.value.x, zoom.value)
  return (
    <>
      <rect class='ruler' x={0} y={0} width={area.value.w} height={THICK} />
      <path class='ticks' d={list.map((t) => `M${Math.round(t.screen) + 0.5} ${THICK}v${-long(t)}`).join('')} />
      {list.filter((t) => t.large).map((t) => <text key={t.at} x={t.screen + 3} y={11}>{t.at}</text>)}
    </>
  )
}

function Down () {
  const list = ticks(area.value.h, pan.value.y, zoom.value)
  return (
    <>
      <rect class='ruler' x={0} y={0} width={THICK} height={area.value.h} />
      <path class='ticks' d={list.map((t) => `M${THICK} ${Math.round(t.screen) + 0.5}h${-long(t)}`).join('')} />
      {list.filter((t) => t.large).map((t) => <text key={t.at} transform={`translate(11 ${t.screen + 3}) rotate(90)`}>{t.at}</text>)}
    </>
  )
}

export function Rulers () {
  if (!view.value.rulers) return null
  const p = hovering.value?.screen
  return (
    <g class='rulers'>
      <Down />
      <Across />
      <rect class='ruler' x={0} y={0} width={THICK} height={THICK} />
      {p && <path class='mark' d={`M${p.x} 0v${THICK}M0 ${p.y}h${THICK}`} />}
    </g>
  )
}
