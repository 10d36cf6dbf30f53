/* prompts.tsx - the prompts that a person keeps: their names and words. */
import { Plus, Trash2 } from 'lucide'
import { prefer } from '../../state/actions/machine.ts'
import { toast } from '../../state/actions/toasts.ts'
import { preferences, type Preset } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { TextField } from '../../ui/field.tsx'

const t = text.settings

const put = (presets: Preset[]): void => { prefer({ presets }) }

function remove (i: number): void {
  const all = preferences.value.presets
  const gone = all[i]
  if (!gone) return
  put(all.filter((_, k) => k !== i))
  toast({ kind: 'note', text: t.presetGone(gone.name), action: { label: text.bringBack, run: () => { put([...preferences.value.presets.slice(0, i), gone, ...preferences.value.presets.slice(i)]) } } })
}

function change (i: number, part: Partial<Preset>): void {
  put(preferences.value.presets.map((p, k) => k === i ? { ...p, ...part } : p))
}

export function Prompts () {
  const all = preferences.value.presets
  return (
    <>
      <p class='secondary'>{t.presetsHow}</p>
      <ul class='presets' role='list'>
        {all.map((p, i) => (
          <li key={i}>
            <TextField label={t.presetName(i + 1)} hideLabel value={p.name} onCommit={(name) => { if (name.trim()) change(i, { name: name.trim() }) }} />
            <TextField label={t.presetWords(p.name)} hideLabel value={p.prompt} onCommit={(prompt) => { change(i, { prompt }) }} />
            <IconButton label={t.presetRemove(p.name)} icon={Trash2} onClick={() => { remove(i) }} />
          </li>
        ))}
      </ul>
      <div class='row'><Button icon={Plus} onClick={() => { put([...all, { name: t.presetNew(all.length + 1), prompt: '' }]) }}>{t.presetAdd}</Button></div>
    </>
  )
}
