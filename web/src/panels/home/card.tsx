/* card.tsx - one project: its image, name and date, and what can be done with it. */
import { Copy, Ellipsis, FolderOpen, Layers, PenLine, Trash2 } from 'lucide'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { projects } from '../../api/client.ts'
import type { ProjectHead } from '../../api/types.ts'
import { duplicateProject, go, removeProject, renameProject } from '../../state/actions/projects.ts'
import { text } from '../../text.ts'
import { Cut } from '../../ui/cut.tsx'
import { date } from '../../ui/format.ts'
import { Icon } from '../../ui/icon.tsx'
import { Menu, MenuButton, type MenuItem } from '../../ui/menu.tsx'

const t = text.home
const SMALL = 200 // pixels; smaller images are shown pixel by pixel

function Thumbnail ({ p }: { p: ProjectHead }) {
  const [failed, setFailed] = useState(false)
  useEffect(() => { setFailed(false) }, [p.revision])
  if (failed || p.layer_count === 0) return <span class='card-image'><Icon of={Layers} size={28} /></span>
  return (
    <span class='card-image'>
      <img class={`checker ${Math.max(p.width, p.height) < SMALL ? 'small' : ''}`} loading='lazy' alt='' draggable={false}
        src={projects.thumbnail(p)} width={p.width} height={p.height} style={{ aspectRatio: `${p.width} / ${p.height}`, width: 'auto', height: 'auto' }}
        onError={() => { setFailed(true) }} />
    </span>
  )
}

function Rename ({ p, onDone }: { p: ProjectHead, onDone: () => void }) {
  const ref = useRef<HTMLInputElement>(null)
  useLayoutEffect(() => {
    ref.current?.focus()
    ref.current?.select()
  }, [])
  const keep = (): void => {
    const name = ref.current?.value.trim() ?? ''
    if (name && name !== p.name) void renameProject(p, name)
    onDone()
  }
  return (
    <span class='card-rename'>
      <input ref={ref} aria-label={t.name} defaultValue={p.name} maxLength={255} autocomplete='off' onBlur={keep}
        onKeyDown={(ev) => {
          ev.stopPropagation()
          if (ev.key === 'Enter') keep()
          else if (ev.key === 'Escape') onDone()
        }} />
    </span>
  )
}

/* Keeps the keyboard's place in the wall when a card goes. */
function focusBeside (card: HTMLElement): void {
  const next = card.nextElementSibling ?? card.previousElementSibling
  next?.querySelector<HTMLElement>('.card-link')?.focus()
}

export function Card ({ p }: { p: ProjectHead }) {
  const [renaming, setRenaming] = useState(false)
  const [menu, setMenu] = useState<{ x: number, y: number } | null>(null)
  const name = p.name || text.untitled
  const items = (): MenuItem[] => [
    { label: t.open, icon: FolderOpen, run: () => { go({ page: 'project', id: p.id }) } },
    { label: t.rename, icon: PenLine, keys: 'F2', run: () => { setRenaming(true) } },
    { label: text.commands.duplicate, icon: Copy, run: () => { void duplicateProject(p.id) } },
    'line',
    { label: t.remove, icon: Trash2, keys: 'Delete', danger: true, run: () => { removeProject({ id: p.id, name }) } }
  ]
  return (
    <li class='card'
      onContextMenu={(ev) => { ev.preventDefault(); setMenu({ x: ev.clientX, y: ev.clientY }) }}
      onKeyDown={(ev) => {
        if (ev.key === 'F2') setRenaming(true)
        else if (ev.key === 'Delete') {
          focusBeside(ev.currentTarget)
          removeProject({ id: p.id, name })
        }
      }}>
      <a class='card-link' href={`#/p/${p.id}`} title={name.length > 24 ? name : undefined} draggable={false}>
        <Thumbnail p={p} />
        <span class='card-words'>
          <strong><Cut name={name} /></strong>
          <span class='secondary'>{t.facts(date(p.updated_ms), p.width, p.height)}</span>
        </span>
      </a>
      {renaming && <Rename p={p} onDone={() => { setRenaming(false) }} />}
      <span class='card-more'><MenuButton class='icon-button' label={t.more(name)} items={items}><Icon of={Ellipsis} /></MenuButton></span>
      {menu && <Menu label={t.more(name)} items={items()} at={menu} onClose={() => { setMenu(null) }} />}
    </li>
  )
}

/* Arrows walk the wall of cards. */
export function walkCards (ev: KeyboardEvent): void {
  const links = [...(ev.currentTarget as HTMLElement).querySelectorAll<HTMLElement>('.card-link')]
  const at = links.indexOf(document.activeElement as HTMLElement)
  if (at < 0) return
  const top = (i: number): number => links[i]?.getBoundingClientRect().top ?? 0
  const columns = Math.max(1, links.findIndex((_, i) => top(i) > top(0) + 1))
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[ev.key]
  if (by === undefined) return
  ev.preventDefault()
  links[at + by]?.focus()
}
