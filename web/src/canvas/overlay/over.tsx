/* over.tsx - lines over the canvas, in CSS pixels, so that they stay crisp at any zoom. */
import { project } from '../../state/store.ts'
import { marquee } from '../tools/marquee.ts'
import { activeTool } from '../tools/tool.ts'
import { boxToScreen } from '../viewport.ts'
import { Ghost } from './drop.tsx'
import { Extend } from './extend.tsx'
import { Previews } from './previews.tsx'
import { Rulers } from './rulers.tsx'

function Border () {
  const p = project.value
  if (!p) return null
  const b = boxToScreen({ x: 0, y: 0, w: p.width, h: p.height })
  return <rect class='border' x={b.x - 0.5} y={b.y - 0.5} width={b.w + 1} height={b.h + 1} />
}

function Marquee () {
  if (!marquee.value) return null
  const b = boxToScreen(marquee.value)
  return <rect class='dashes' x={Math.round(b.x) + 0.5} y={Math.round(b.y) + 0.5} width={b.w} height={b.h} />
}

export function Over () {
  const Overlay = activeTool()?.Overlay
  return (
    <svg class='over' aria-hidden='true'>
      <Border />
      <Previews />
      <Extend />
      {Overlay && <Overlay />}
      <Marquee />
      <Ghost />
      <Rulers />
    </svg>
  )
}
