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
type Engine = Telemetry['engines'][number]

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

/* What each of several engines has, and does. */
function Engines ({ engines }: { engines: Engine[] }) {
  return (
    <ul class='engines' aria-label={t.engines}>
      {engines.map((g, i) => (
        <li key={i}>
          <div class='row'>
            <span class='grow'>{t.engine(i + 1, g.device.name)}</span>
            <span class='secondary'>{g.running ? t.components[(g.running.stage || 'load') as Stage] : t.nothing}</span>
          </div>
          <Meter {...shares(g.device)} />
          <span class='secondary'>{[g.device.budget_bytes > 0 ? bytesOf(g.device.used_bytes, g.device.budget_bytes) : null, g.model].filter(Boolean).join(' · ')}</span>
          {g.failure !== null && <span class='secondary'>{g.failure}</span>}
        </li>
      ))}
    </ul>
  )
}

export function MemoryFacts () {
  const now = telemetry.value
  if (!now) return <p class='secondary'>{t.unknown}</p>
  const { device: d, host: h, queue: q, engines } = now
  const one = engines.length < 2
  return (
    <>
      <BudgetSlider d={d} />
      {!one && <Engines engines={engines} />}
      <dl class='facts'>
        {one && <Fact name={t.device} value={d.name ?? t.noDevice} />}
        {one && d.budget_bytes > 0 && <Fact name={t.used} value={bytesOf(d.used_bytes, d.budget_bytes)} />}
        {one && d.peak_bytes > 0 && <Fact name={t.peak} value={bytes(d.peak_bytes)} />}
        {one && <Fact name={t.engaged} value={q.running?.stage ? t.components[q.running.stage as Stage] : t.nothing} />}
        <Fact name={t.host} value={bytesOf(h.total_bytes - h.available_bytes, h.total_bytes)} />
        <Fact name={t.program} value={t.programBytes(bytes(h.anonymous_bytes), bytes(h.mapped_bytes))} />
        <Fact name={t.load} value={t.loadOf(h.load, h.cpus)} />
      </dl>
    </>
  )
}

export function Memory () {
  const d = telemetry.value?.device
  const all = telemetry.value?.engines.map((g) => g.device) ?? []
  const budget = all.reduce((sum, g) => sum + g.budget_bytes, 0)
  const says = budget > 0 ? bytesOf(all.reduce((sum, g) => sum + g.used_bytes, 0), budget) : t.idle
  return (
    <PopoverButton class='button quiet memory' label={t.title(says)} content={() => <MemoryFacts />}>
      <Icon of={MemoryStick} />
      {d && <Meter {...shares(d)} />}
      <span class='fold'>{says}</span>
    </PopoverButton>
  )
}
