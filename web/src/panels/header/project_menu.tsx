/* project_menu.tsx - "=": the project's name, and where one goes from it. */
import { signal } from '@preact/signals'
import { BookOpen, ChevronDown, Command, Download, Keyboard, LayoutGrid, Menu as MenuIcon, PenLine, Plus, Settings } from 'lucide'
import { useLayoutEffect, useRef } from 'preact/hooks'
import { change } from '../../state/save.ts'
import { project } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Cut } from '../../ui/cut.tsx'
import { Icon } from '../../ui/icon.tsx'
import { MenuButton } from '../../ui/menu.tsx'
import { menuOf } from './items.ts'

export const renamingProject = signal(false)

function Rename ({ name }: { name: string }) {
  const ref = useRef<HTMLInputElement>(null)
  const over = useRef(false)
  useLayoutEffect(() => {
    ref.current?.focus()
    ref.current?.select()
  }, [])
  const end = (keep: boolean): void => {
    if (over.current) return
    over.current = true
    const typed = ref.current?.value.trim() ?? ''
    renamingProject.value = false
    if (keep && typed && typed !== name) change({ name: typed }, text.undo.project)
  }
  return (
    <input ref={ref} class='project-rename' aria-label={text.home.name} defaultValue={name} maxLength={255} autocomplete='off'
      onBlur={() => { end(true) }}
      onKeyDown={(ev) => {
        if (ev.key === 'Enter') end(true)
        else if (ev.key === 'Escape') { ev.stopPropagation(); end(false) }
      }} />
  )
}

export function ProjectMenu () {
  const name = project.value?.name || text.untitled
  if (renamingProject.value && project.value) return <Rename name={project.value.name} />
  return (
    <MenuButton class='button quiet project-menu' label={text.header.menu(name)} title={name}
      items={() => menuOf(['rename', PenLine], ['home', LayoutGrid], ['new', Plus], 'line', ['export', Download], 'line',
        ['settings', Settings], ['palette', Command], ['shortcuts', Keyboard], ['docs', BookOpen])}>
      <Icon of={MenuIcon} /><span class='project-name'><Cut name={name} /></span><Icon of={ChevronDown} size={12} />
    </MenuButton>
  )
}
