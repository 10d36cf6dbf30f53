/* guides.tsx - lines that a dragged box sticks to, and how far it is from what it lines up with. */
import type { Guide } from '../snap.ts'
import { guides } from '../tools/dragging.ts'
import { toScreen } from '../viewport.ts'
import { Label } from './label.tsx'

function GuideLine ({ of }: { of: Guide }) {
  const line = (along: number): { x: number, y: number } => toScreen(of.axis === 'x' ? { x: of.at, y: along } : { x: along, y: of.at })
  const a = line(of.from)
  const b = line(of.to)
  const between = of.gap && line((of.gap.from + of.gap.to) / 2)
  return (
    <>
      <line class='guide' x1={a.x} y1={a.y} x2={b.x} y2={b.y} />
      {between && of.gap && <Label x={between.x} y={between.y} text={`${Math.round(of.gap.to - of.gap.from)}`} class='gap' />}
    </>
  )
}

export function Guides () {
  return <>{guides.value.map((g) => <GuideLine key={`${g.axis}${g.at}`} of={g} />)}</>
}
