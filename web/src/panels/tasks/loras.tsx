/* loras.tsx - LoRAs of a request, with their strengths. Shown where the model store has some that are for the task. */
import { X } from 'lucide'
import { LORAS_MAX, type Lora } from '../../state/requests.ts'
import { storedLoras, type TaskPanel } from '../../state/store.ts'
import { text } from '../../text.ts'
import { IconButton } from '../../ui/button.tsx'
import { Select, Slider } from '../../ui/field.tsx'
import { wrong } from './parts.tsx'

const NONE = ''
const STRONGEST = 2 // of the slider; below 0 leads the other way

const shown = (strength: number): string => strength.toFixed(2)

function Row ({ lora, onChange, onRemove }: { lora: Lora, onChange: (strength: number) => void, onRemove: () => void }) {
  return (
    <div class='row' title={lora.name}>
      <div class='grow'><Slider label={lora.name} value={lora.strength} min={-STRONGEST} max={STRONGEST} step={0.05} format={shown} onChange={onChange} /></div>
      <IconButton label={text.loras.remove(lora.name)} icon={X} onClick={onRemove} />
    </div>
  )
}

export function Loras ({ panel, loras, put }: { panel: TaskPanel, loras: Lora[], put: (part: { loras: Lora[] }) => void }) {
  const task = panel === 'apart' ? 'layers' : panel === 'change' ? 'edit' : 'generate'
  const able = storedLoras.value.filter((l) => l.state === 'ready' && l.tasks.includes(task))
  if (able.length === 0 && loras.length === 0) return null
  const left = able.filter((l) => !loras.some((used) => used.name === l.name))
  return (
    <div class='column tight loras'>
      {loras.map((l, i) => (
        <Row key={l.name} lora={l} onChange={(strength) => { put({ loras: loras.map((other, k) => k === i ? { ...l, strength } : other) }) }}
          onRemove={() => { put({ loras: loras.filter((other) => other !== l) }) }} />
      ))}
      {left.length > 0 && loras.length < LORAS_MAX && (
        <Select label={text.loras.add} value={NONE} options={[{ value: NONE, label: text.loras.choose }, ...left.map((l) => ({ value: l.name, label: text.loras.option(l.name, l.base) }))]}
          onChange={(name) => { if (name !== NONE) put({ loras: [...loras, { name, strength: 1 }] }) }} />
      )}
      {wrong(panel, 'loras') && <small class='field-error' role='alert'>{wrong(panel, 'loras')}</small>}
    </div>
  )
}
