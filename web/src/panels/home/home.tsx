/* home.tsx - all projects: what one opens the editor for, and the tour for who has none yet. */
import { Command, Keyboard, LayoutGrid, Plus, Search, Settings } from 'lucide'
import { useEffect, useRef, useState } from 'preact/hooks'
import { loadAllProjects, loadProjects } from '../../state/actions/projects.ts'
import { canTour } from '../../state/actions/tour.ts'
import { run } from '../../state/commands.ts'
import { dialog, preferences, preferencesRead, projectList, tour } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { TextField } from '../../ui/field.tsx'
import { hasWords } from '../../ui/fuzzy.ts'
import { Icon } from '../../ui/icon.tsx'
import '../header/commands.ts'
import { ThemeButton } from '../header/theme.tsx'
import { Toasts } from '../toasts.tsx'
import { Card, walkCards } from './card.tsx'
import { ChooseFiles } from './choose.tsx'
import { Tour } from './tour.tsx'
import './home.css'

const t = text.home

function newProject (): void {
  dialog.value = 'new'
}

function Bar ({ q, onSearch }: { q: string, onSearch: (q: string) => void }) {
  return (
    <header class='home-bar'>
      <h1>{text.product}</h1>
      <div class='search' role='search'>
        <Icon of={Search} />
        <TextField label={t.search} hideLabel type='search' placeholder={t.search} value={q} onInput={onSearch} />
      </div>
      <div class='space' />
      <IconButton label={text.commands.palette} keys='Ctrl+K' icon={Command} onClick={() => { run('palette') }} />
      <IconButton label={text.commands.shortcuts} keys='?' icon={Keyboard} onClick={() => { run('shortcuts') }} />
      <ThemeButton />
      <IconButton label={text.commands.settings} icon={Settings} onClick={() => { run('settings') }} />
      <Button kind='primary' icon={Plus} onClick={newProject}>{text.newProject}</Button>
    </header>
  )
}

/* Seen, it asks for more. */
function More () {
  const ref = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const seen = new IntersectionObserver((all) => { if (all.some((e) => e.isIntersecting)) void loadProjects(true) }, { rootMargin: '600px' })
    if (ref.current) seen.observe(ref.current)
    return () => { seen.disconnect() }
  }, [])
  return <div class='home-more' ref={ref} />
}

function Empty ({ q }: { q: string }) {
  if (q.trim()) return <p class='empty home-empty'>{t.nothingFound(q.trim())}</p>
  return (
    <div class='empty home-empty'>
      <Icon of={LayoutGrid} size={28} />
      <p>{t.empty}</p>
      <ChooseFiles kind='plain' />
    </div>
  )
}

/* For who has neither made anything nor seen it; then for as long as the page shows what it made. */
function touring (): boolean {
  if (!preferencesRead.value || preferences.value.toured || !canTour()) return false
  return projectList.value?.length === 0 || Object.values(tour.value).some((s) => s.state !== 'idle')
}

export function Home () {
  const [q, setQ] = useState('')
  const list = projectList.value
  const found = list?.filter((p) => hasWords(q, p.name || text.untitled))
  const find = (next: string): void => {
    setQ(next)
    if (next.trim()) void loadAllProjects()
  }
  return (
    <div class='home'>
      <Bar q={q} onSearch={find} />
      <main class='home-main'>
        <div class='home-inner'>
          {touring() && <Tour />}
          <section aria-label={t.projects}>
            {found && found.length > 0 && <ul class='cards' role='list' onKeyDown={walkCards}>{found.map((p) => <Card key={p.id} p={p} />)}</ul>}
            {found?.length === 0 && (q.trim() || !touring()) && <Empty q={q} />}
            {list !== null && <More key={list.length} />}
          </section>
        </div>
      </main>
      <Toasts />
    </div>
  )
}
