/* status.tsx - the lower left corner: where the pointer is, the colour there, the zoom, and what is still on its way. */
import { zoom } from '../../state/store.ts'
import { text } from '../../text.ts'
import { loading, missing } from '../assets.ts'
import { drawnBy } from '../engine.ts'
import { hovering } from '../pointers.ts'
import { under } from '../under.ts'

const t = text.canvas.status

function hex (c: Uint8ClampedArray): string {
  return '#' + [...c.slice(0, 3)].map((v) => v.toString(16).padStart(2, '0')).join('')
}

function Colour () {
  const c = under.value
  if (!c) return null
  const alpha = c[3] ?? 0
  if (alpha === 0) return <span>{t.transparent}</span>
  return (
    <span class='status-colour'>
      <i style={{ background: hex(c) }} />
      {hex(c)}{alpha < 255 && ` ${Math.round(alpha / 2.55)} %`}
    </span>
  )
}

export function Status () {
  const p = hovering.value
  return (
    <div class='canvas-status'>
      <span>{t.zoom(zoom.value)}</span>
      {p && <span class='status-place'>{t.place(Math.floor(p.x), Math.floor(p.y))}</span>}
      <Colour />
      {loading.value > 0 && <span role='status'>{t.loading(loading.value)}</span>}
      {missing.value > 0 && <span role='status' class='status-missing'>{t.missing(missing.value)}</span>}
      {drawnBy.value === 'processor' && <span title={t.slowWhy}>{t.slow}</span>}
    </div>
  )
}
