/* presets.tsx - prompts that a person keeps: choose, save, delete. */
import { Bookmark, BookmarkPlus, Trash2 } from 'lucide'
import { useEffect, useRef, useState } from 'preact/hooks'
import { prefer } from '../../state/actions/machine.ts'
import { preferences } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button } from '../../ui/button.tsx'
import { TextField } from '../../ui/field.tsx'
import { middle } from '../../ui/format.ts'
import { Icon } from '../../ui/icon.tsx'
import { MenuButton, type MenuItem } from '../../ui/menu.tsx'

const NAME_LENGTH = 40

function save (name: string, prompt: string): void {
  const others = preferences.value.presets.filter((p) => p.name !== name)
  prefer({ presets: [...others, { name, prompt }] })
}

function remove (name: string): void {
  prefer({ presets: preferences.value.presets.filter((p) => p.name !== name) })
}

function itemsFor (prompt: string, choose: (prompt: string) => void, name: () => void): MenuItem[] {
  const all = preferences.value.presets
  const current = all.find((p) => p.prompt === prompt)
  const items: MenuItem[] = all.map((p) => ({ label: p.name, note: middle(p.prompt, 80), checked: p === current, run: () => { choose(p.prompt) } }))
  if (all.length === 0) items.push({ label: text.presets.none, disabled: true, run: () => {} })
  items.push('line', { label: text.presets.save, icon: BookmarkPlus, disabled: !prompt.trim() || current !== undefined, run: name })
  if (current) items.push({ label: text.presets.remove(current.name), icon: Trash2, danger: true, run: () => { remove(current.name) } })
  return items
}

export function Presets ({ prompt, onChoose }: { prompt: string, onChoose: (prompt: string) => void }) {
  const [name, setName] = useState<string | null>(null)
  const form = useRef<HTMLFormElement>(null)
  const naming = name !== null
  useEffect(() => { form.current?.querySelector('input')?.select() }, [naming])
  if (name === null) {
    return (
      <MenuButton label={text.presets.label} class='icon-button small' items={() => itemsFor(prompt, onChoose, () => { setName(prompt.trim().slice(0, NAME_LENGTH)) })}>
        <Icon of={Bookmark} />
      </MenuButton>
    )
  }
  return (
    <form ref={form} class='row preset-name compact' onSubmit={(ev) => {
      ev.preventDefault()
      if (name.trim()) save(name.trim(), prompt)
      setName(null)
    }} onKeyDown={(ev) => { if (ev.key === 'Escape') { ev.stopPropagation(); setName(null) } }}>
      <TextField label={text.presets.name} hideLabel value={name} onInput={setName} />
      <button type='submit' class='button plain'>{text.presets.keep}</button>
      <Button kind='quiet' onClick={() => { setName(null) }}>{text.cancel}</Button>
    </form>
  )
}
