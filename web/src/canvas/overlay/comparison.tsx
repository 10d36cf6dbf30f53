/* comparison.tsx - what is said over compared images: the curtain's line that is dragged, which side is which, how far they
 * differ; and, for a group beside its source, how it is compared. */
import { GripVertical, X } from 'lucide'
import { comparison, compareGroup, curtain, type Comparison as How } from '../../state/store.ts'
import { text } from '../../text.ts'
import { IconButton } from '../../ui/button.tsx'
import { Icon } from '../../ui/icon.tsx'
import { Segmented } from '../../ui/segmented.tsx'
import { alternative } from '../alternative.ts'
import { compareSource } from '../commands.ts'
import { difference } from '../engine.ts'
import { area } from '../viewport.ts'

const STEP = 0.02
const t = text.canvas.compare

function setCurtain (v: number): void {
  curtain.value = Math.min(1, Math.max(0, v))
}

function Curtain ({ names }: { names: [string, string] }) {
  const x = Math.round(curtain.value * area.value.w)
  return (
    <div class='curtain' style={{ left: `${x}px` }} role='slider' tabIndex={0} aria-label={t.line} aria-orientation='horizontal'
      aria-valuenow={Math.round(100 * curtain.value)} aria-valuemin={0} aria-valuemax={100}
      onKeyDown={(ev) => {
        const by = ev.key === 'ArrowLeft' ? -STEP : ev.key === 'ArrowRight' ? STEP : 0
        if (by === 0) return
        ev.preventDefault()
        setCurtain(curtain.value + by)
      }}
      onPointerDown={(ev) => { ev.currentTarget.setPointerCapture(ev.pointerId) }}
      onPointerMove={(ev) => {
        const host = ev.currentTarget.parentElement?.getBoundingClientRect()
        if (host && ev.currentTarget.hasPointerCapture(ev.pointerId)) setCurtain((ev.clientX - host.left) / host.width)
      }}>
      <span class='curtain-name left'>{names[0]}</span>
      <span class='curtain-name right'>{names[1]}</span>
      <span class='curtain-grip'><Icon of={GripVertical} /></span>
    </div>
  )
}

function GroupBar () {
  const way = comparison.value === 'off' ? 'curtain' : comparison.value
  const options = (['curtain', 'before', 'difference'] as const).map((value) => ({ value, label: t.ways[value] }))
  return (
    <div class='compare-bar' role='toolbar' aria-label={t.how}>
      <Segmented<Exclude<How, 'off'>> label={t.how} hideLabel value={way} options={options} onChange={(v) => { comparison.value = v }} />
      <IconButton label={t.done} icon={X} onClick={compareSource} />
    </div>
  )
}

export function Comparison () {
  const a = alternative.value
  const how = comparison.value
  if (!a || (how === 'off' && compareGroup.value === null)) return null
  const names: [string, string] = a.is === 'before' ? [t.source, t.recomposed] : [t.before, t.after]
  const alone = how === 'before' ? names[0] : how === 'off' ? names[1] : null
  return (
    <>
      {how === 'curtain' && <Curtain names={names} />}
      {alone && <span class='curtain-name alone'>{alone}</span>}
      {difference.value !== null && how !== 'before' && <span class='compare-psnr' role='status'>{t.psnr(difference.value)}</span>}
      {a.is === 'before' && <GroupBar />}
    </>
  )
}
