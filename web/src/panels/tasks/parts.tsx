/* parts.tsx - what Make, Change and Take apart have in common: seed, model, the fields of a request that failed. */
import { Dices, Lock, LockOpen } from 'lucide'
import { prefer } from '../../state/actions/machine.ts'
import { problems } from '../../state/forms.ts'
import { modelsFor, newSeed, type Use } from '../../state/requests.ts'
import { models, preferences, taskPanel, type TaskPanel } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { NumberField, OptionalNumberField, Select, Switch } from '../../ui/field.tsx'

/* The server's words on a member of the request, where it is the one that is wrong. */
export function wrong (panel: TaskPanel, member: string): string | undefined {
  const p = problems.value[panel]
  return p?.field?.split(/[.[]/)[0] === member ? p.detail : undefined
}

/* What is wrong with the request as a whole, or with a member that has no field here. */
export function Wrong ({ panel, fields }: { panel: TaskPanel, fields: string[] }) {
  const p = problems.value[panel]
  if (!p || fields.some((f) => wrong(panel, f))) return null
  return <p class='notice error' role='alert'>{p.detail}</p>
}

/* To where one begins, from what is still empty. */
export function ToMake () {
  return <Button onClick={() => { taskPanel.value = 'make' }}>{text.make.first}</Button>
}

/* In the place of a form that has nothing to work on. */
export function Nothing ({ says }: { says: string }) {
  return (
    <div class='task-form empty'>
      <p>{says}</p>
      <ToMake />
    </div>
  )
}

/* Empty: another seed every time. The lock keeps the one that ran last. */
export function SeedField ({ seed, last, onChange, error }: {
  seed: number | null
  last: number | null
  onChange: (v: number | null) => void
  error?: string | undefined
}) {
  return (
    <div class='row seed'>
      <div class='grow'>
        <OptionalNumberField label={text.make.seed} value={seed} empty={text.make.random} start={last ?? 1} min={0} max={Number.MAX_SAFE_INTEGER} error={error} onChange={onChange} />
      </div>
      <IconButton label={text.make.dice} icon={Dices} onClick={() => { onChange(newSeed()) }} />
      <IconButton label={seed === null ? text.make.lock : text.make.unlock} icon={seed === null ? LockOpen : Lock} pressed={seed !== null}
        onClick={() => { onChange(seed === null ? last ?? newSeed() : null) }} />
    </div>
  )
}

interface Run { steps: number | null, count: number, guidance: number | null, maxTokens: number | null, int8: boolean, fast: number, transparent: boolean }
interface RunFields { panel: TaskPanel, f: Run, put: (part: Partial<Run>) => void }

export function StepsAndCount ({ panel, f, put }: RunFields) {
  return (
    <div class='row'>
      <div class='grow'><OptionalNumberField label={text.make.steps} value={f.steps} empty={text.make.own} start={4} min={1} max={1000} error={wrong(panel, 'steps')} onChange={(steps) => { put({ steps }) }} /></div>
      <div class='grow'><NumberField label={text.make.count} value={f.count} min={1} max={100} error={wrong(panel, 'count')} onChange={(count) => { put({ count }) }} /></div>
    </div>
  )
}

/* Of use in runs of many steps. */
export function FastField ({ fast, put }: { fast: number, put: (part: { fast: number }) => void }) {
  return (
    <Select label={text.make.fast} value={String(fast)} options={text.make.fastLevels.map((label, level) => ({ value: String(level), label }))}
      onChange={(level) => { put({ fast: Number(level) }) }} />
  )
}

/* What is seldom touched, of models that make images. */
/* inPlace: kept parts are put back into an image, which goes with no alpha. */
export function MoreImages ({ panel, f, put, inPlace = false }: RunFields & { inPlace?: boolean }) {
  return (
    <details class='more'>
      <summary>{text.make.more}</summary>
      <div class='column'>
        <OptionalNumberField label={text.make.guidance} value={f.guidance} empty={text.make.own} start={4} min={0} max={100} step={0.5} digits={1} error={wrong(panel, 'guidance')} onChange={(guidance) => { put({ guidance }) }} />
        <OptionalNumberField label={text.make.tokens} value={f.maxTokens} empty={text.make.own} start={512} min={1} max={4096} step={16} error={wrong(panel, 'max_tokens')} onChange={(maxTokens) => { put({ maxTokens }) }} />
        <Switch label={text.make.transparent} value={f.transparent} disabled={inPlace} onChange={(transparent) => { put({ transparent }) }} />
        {wrong(panel, 'transparent') && <small class='field-error' role='alert'>{wrong(panel, 'transparent')}</small>}
        <FastField fast={f.fast} put={put} />
        <Switch label={text.make.int8} value={f.int8} onChange={(int8) => { put({ int8 }) }} />
      </div>
    </details>
  )
}

const AUTOMATIC = ''

export function ModelField ({ use }: { use: Use }) {
  const able = modelsFor(models.value, use)
  const preferred = preferences.value.models[use]
  const value = able.some((m) => m.id === preferred) ? preferred ?? AUTOMATIC : AUTOMATIC
  const first = able[0]
  if (!first) return <p class='notice warning'>{text.make.noModel}</p>
  return (
    <Select label={text.make.model} value={value}
      options={[{ value: AUTOMATIC, label: text.make.automatic }, ...able.map((m) => ({ value: m.id, label: m.id }))]}
      onChange={(id) => { prefer({ models: { ...preferences.value.models, [use]: id || undefined } }) }} />
  )
}
