/* palette.tsx - everything that can be done, every project and every model, by a few letters. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { openModel } from '../../state/actions/machine.ts'
import { go, loadAllProjects } from '../../state/actions/projects.ts'
import { commands, isEnabled } from '../../state/commands.ts'
import { dialog, models, project, projectList } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Dialog } from '../../ui/dialog.tsx'
import { keyLabel, middle } from '../../ui/format.ts'
import { search, type Match } from '../../ui/fuzzy.ts'
import './palette.css'

const t = text.palette
const MOST = 80
const DISABLED = 6

interface Entry {
  id: string
  title: string
  group: string
  keys?: string | undefined
  enabled: boolean
  run: () => void
}

function commandEntries (): Entry[] {
  return [...commands.value.values()].filter((c) => c.id !== 'palette')
    .map((c) => ({ id: c.id, title: c.title, group: c.group, keys: c.keys?.[0], enabled: isEnabled(c), run: () => { void c.run() } }))
}

function projectEntries (): Entry[] {
  return (projectList.value ?? []).filter((p) => p.id !== project.value?.id)
    .map((p) => ({ id: `project:${p.id}`, title: p.name || text.untitled, group: t.projects, enabled: true, run: () => { go({ page: 'project', id: p.id }) } }))
}

function modelEntries (): Entry[] {
  return models.value.filter((m) => m.state === 'ready' && !m.open)
    .map((m) => ({ id: `model:${m.id}`, title: t.load(m.id), group: t.models, enabled: true, run: () => { void openModel(m.id) } }))
}

/* What cannot be done now stands lower than what can. Without a word, only commands. */
function find (q: string): { item: Entry, match: Match }[] {
  const all = q.trim() ? [...commandEntries(), ...modelEntries(), ...projectEntries()] : commandEntries()
  const worth = (r: { item: Entry, match: Match }): number => r.match.score - (r.item.enabled ? 0 : DISABLED)
  return search(q, all, (e) => e.title).sort((a, b) => worth(b) - worth(a)).slice(0, MOST)
}

function Marked ({ title, at }: { title: string, at: number[] }) {
  const long = middle(title, 72)
  if (long !== title) return <>{long}</>
  return <>{[...title].map((c, i) => at.includes(i) ? <mark key={i}>{c}</mark> : c)}</>
}

function close (): void {
  dialog.value = null
}

function choose (e: Entry | undefined): void {
  if (!e?.enabled) return
  close()
  setTimeout(e.run) // after the focus is back where it was
}

export function Palette () {
  const [q, setQ] = useState('')
  const [at, setAt] = useState(0)
  const list = useRef<HTMLUListElement>(null)
  useEffect(() => { void loadAllProjects() }, [])
  const found = find(q)
  const now = Math.min(at, found.length - 1)
  useEffect(() => { list.current?.children[now]?.scrollIntoView({ block: 'nearest' }) }, [now, q])
  const step = (by: number): void => { if (found.length > 0) setAt((now + by + found.length) % found.length) }
  const keys: Record<string, () => void> = {
    ArrowDown: () => { step(1) }, ArrowUp: () => { step(-1) }, PageDown: () => { setAt(Math.min(found.length - 1, now + 8)) }, PageUp: () => { setAt(Math.max(0, now - 8)) },
    Enter: () => { choose(found[now]?.item) }
  }
  return (
    <Dialog title={text.commands.palette} closeLabel={text.close} onClose={close} class='palette' bare>
      <input class='palette-input' role='combobox' aria-label={t.find} aria-expanded='true' aria-controls='palette-list' aria-autocomplete='list'
        aria-activedescendant={found[now] ? `palette-${now}` : undefined} autofocus autocomplete='off' spellcheck={false} placeholder={t.find} value={q}
        onInput={(ev) => { setQ(ev.currentTarget.value); setAt(0) }}
        onKeyDown={(ev) => {
          const does = keys[ev.key]
          if (!does) return
          ev.preventDefault()
          does()
        }} />
      <ul ref={list} id='palette-list' class='palette-list' role='listbox' aria-label={text.commands.palette}>
        {found.map(({ item, match }, i) => (
          <li key={item.id} id={`palette-${i}`} role='option' aria-selected={i === now} aria-disabled={!item.enabled}
            onPointerMove={() => { if (i !== now) setAt(i) }} onClick={() => { choose(item) }}>
            <span class='palette-title'><Marked title={item.title} at={match.at} /></span>
            <span class='secondary'>{item.group}</span>
            {item.keys && <kbd class='key'>{keyLabel(item.keys)}</kbd>}
          </li>
        ))}
      </ul>
      {found.length === 0 && <p class='empty' role='status'>{t.nothing(q.trim())}</p>}
    </Dialog>
  )
}
