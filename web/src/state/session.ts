/* session.ts - from the first byte on: follows the address and the server's events for as long as the page is open. */
import { effect } from '@preact/signals'
import { listen } from '../api/events.ts'
import { loadHistory } from './actions/history.ts'
import { heardJob, heardPreview, heardQueue, loadJobs } from './actions/jobs.ts'
import { heardModels, loadModels, loadPreferences } from './actions/machine.ts'
import { arrive, go, loadProjects, removeLeaving } from './actions/projects.ts'
import { attempt } from './actions/toasts.ts'
import { followForms } from './forms.ts'
import { heard } from './save.ts'
import { preferences, project, projectList, route, saving, telemetry } from './store.ts'

/* What every page shows. */
async function loadMachine (): Promise<void> {
  await Promise.all([loadModels(), loadPreferences()])
}

/* Reads again all that is shown, when the stream could not tell what was missed. */
async function refresh (): Promise<void> {
  const p = project.value
  await Promise.all(p
    ? [loadMachine(), loadHistory(), attempt(async () => { await loadJobs(p.id) }), attempt(async () => { await heard(p.id, Infinity) })]
    : [loadMachine(), loadProjects()])
}

function later (work: () => Promise<void>): () => void {
  let timer = 0
  return () => {
    window.clearTimeout(timer)
    timer = window.setTimeout(() => { void work() }, 150)
  }
}

/* Beside a project alone; arriving at one reads it. */
const historyChanged = later(async () => { if (route.value.page === 'project') await loadHistory() })
const projectsChanged = later(async () => { await loadProjects() })

function heardProject (e: { id: string, revision: number, deleted?: boolean }): void {
  if (e.deleted && project.value?.id === e.id) go({ page: 'home' })
  else void attempt(async () => { await heard(e.id, e.revision) })
  if (projectList.value !== null && route.value.page === 'home') projectsChanged()
}

/* Kept in the browser too, so that a page does not begin in another. */
const THEME = 'veetance.theme'

export function begin (): void {
  if (new URLSearchParams(location.search).has('token')) history.replaceState(null, '', location.pathname + location.hash)
  window.addEventListener('hashchange', () => { void arrive() })
  window.addEventListener('beforeunload', (ev) => { if (saving.value !== 'saved') ev.preventDefault() })
  window.addEventListener('pagehide', removeLeaving)
  const kept = localStorage.getItem(THEME)
  if (kept === 'dark' || kept === 'light') preferences.value = { ...preferences.value, theme: kept }
  effect(() => {
    const { theme } = preferences.value
    localStorage.setItem(THEME, theme)
    if (theme === 'system') delete document.documentElement.dataset['theme']
    else document.documentElement.dataset['theme'] = theme
  })
  followForms()
  void arrive()
  void loadMachine()
  listen({
    job: (j) => { void heardJob(j) },
    preview: heardPreview,
    queue: heardQueue,
    models: (m) => { heardModels(m.open_models) },
    telemetry: (t) => { telemetry.value = t },
    project: heardProject,
    asset: historyChanged,
    preferences: () => { void loadPreferences() },
    reset: () => { void refresh() }
  })
}
