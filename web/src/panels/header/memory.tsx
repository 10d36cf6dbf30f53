/* memory.tsx - what the device holds of its budget, and a budget that is drawn. */
import { MemoryStick } from 'lucide'
import { useState } from 'preact/hooks'
import type { Stage, Telemetry } from '../../api/types.ts'
import { setBudget } from '../../state/actions/machine.ts'
import { telemetry } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button } from '../../ui/button.tsx'
import { bytes, bytesOf, percent } from '../../ui/format.ts'
import { Icon } from '../../ui/icon.tsx'
import { PopoverButton } from '../../ui/popover.tsx'

const t = text.memory
const LEAST = 0.05

type Device = Telemetry['device']

/* "70%" says what the whole is; else the server does. */
function total (d: Device): number {
  if (d.total_bytes) return d.total_bytes
  const m = /^(\d+(?:\.\d+)?)%$/.exec(d.budget ?? '')
  return m ? d.budget_bytes / (Number(m[1]) / 100) : 0
}

/* The share of the device that may be used, and is. */
function shares (d: Device): { budget: number, used: number } {
  const m = /^(\d+(?:\.\d+)?)%$/.exec(d.budget ?? '')
  const all = total(d)
  const budget = m ? Number(m[1]) / 100 : all > 0 ? Math.min(1, d.budget_bytes / all) : 1
  return { budget, used: d.budget_bytes > 0 ? budget * Math.min(1, d.used_bytes / d.budget_bytes) : 0 }
}

function Meter ({ used, budget }: { used: number, budget: number }) {
  return (
    <span class={`meter ${used > 0.92 * budget ? 'full' : ''}`} aria-hidden='true'>
      <i class='budget' style={{ transform: `scaleX(${budget})` }} />
      <i class='used' style={{ transform: `scaleX(${used})` }} />
    </span>
  )
}

/* Drawn like a slider, sent when it is let go. */
function BudgetSlider ({ d }: { d: Device }) {
  const { budget, used } = shares(d)
  const [drawn, setDrawn] = useState<number | null>(null)
  const value = drawn ?? budget
  const all = total(d)
  const send = (v: number): void => { void setBudget(`${Math.round(100 * v)}%`).then(() => { setDrawn(null) }) }
  return (
    <div class='budget-slider'>
      <div class='row'><span class='grow'>{t.budget}</span><output>{percent(value)}{all > 0 ? `, ${bytes(value * all)}` : ''}</output></div>
      <div class='budget-track'>
        <Meter used={used} budget={value} />
        <input type='range' min={LEAST} max={1} step={0.01} value={value} aria-label={t.budget} aria-valuetext={percent(value)}
          onInput={(ev) => { setDrawn(Number(ev.currentTarget.value)) }}
          onChange={(ev) => { send(Number(ev.currentTarget.value)) }} />
      </div>
      <div class='row'>
        <span class='secondary grow'>{d.budget === null ? t.automatic : t.own(d.budget)}</span>
        <Button kind='quiet' disabled={d.budget === null} onClick={() => { void setBudget(null) }}>{t.reset}</Button>
      </div>
    </div>
  )
}

function Fact ({ name, value }: { name: string, value: string }) {
  return <><dt>{name}</dt><dd>{value}</dd></>
}

export function MemoryFacts () {
  const now = telemetry.value
  if (!now) return <p class='secondary'>{t.unknown}</p>
  const { device: d, host: h, queue: q } = now
  return (
    <>
      <BudgetSlider d={d} />
      <dl class='facts'>
        <Fact name={t.device} value={d.name ?? t.noDevice} />
        {d.budget_bytes > 0 && <Fact name={t.used} value={bytesOf(d.used_bytes, d.budget_bytes)} />}
        {d.peak_bytes > 0 && <Fact name={t.peak} value={bytes(d.peak_bytes)} />}
        <Fact name={t.engaged} value={q.running?.stage ? t.components[q.running.stage as Stage] : t.nothing} />
        <Fact name={t.host} value={bytesOf(h.total_bytes - h.available_bytes, h.total_bytes)} />
        <Fact name={t.program} value={t.programBytes(bytes(h.anonymous_bytes), bytes(h.mapped_bytes))} />
        <Fact name={t.load} value={t.loadOf(h.load, h.cpus)} />
      </dl>
    </>
  )
}

export function Memory () {
  const d = telemetry.value?.device
  const says = d && d.budget_bytes > 0 ? bytesOf(d.used_bytes, d.budget_bytes) : t.idle
  return (
    <PopoverButton class='button quiet memory' label={t.title(says)} content={() => <MemoryFacts />}>
      <Icon of={MemoryStick} />
      {d && <Meter {...shares(d)} />}
      <span class='fold'>{says}</span>
    </PopoverButton>
  )
}
