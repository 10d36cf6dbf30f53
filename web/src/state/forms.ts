/* forms.ts - what stands in the fields of the panels: kept for each project while the browser's tab is open, so
 * that neither another panel nor a reload loses a word. */
import { effect, signal, type Signal } from '@preact/signals'
import type { Problem } from '../api/types.ts'
import { EMPTY_APART, EMPTY_CHANGE, EMPTY_MAKE, changedFrom, madeFrom, takenApartFrom } from './requests.ts'
import { NO_SIDES, extend, historyOpen, project, taskPanel, wish, type TaskPanel, type Wish } from './store.ts'

export const makeForm = signal(EMPTY_MAKE)
export const changeForm = signal(EMPTY_CHANGE)
export const apartForm = signal(EMPTY_APART)

/* What is wrong with the request that a panel sent last. */
export const problems = signal<Partial<Record<TaskPanel, Problem>>>({})

export function setProblem (panel: TaskPanel, p: Problem | null): void {
  const next = { ...problems.value }
  if (p) next[panel] = p
  else delete next[panel]
  problems.value = next
}

/* Changes fields; what was said about the last request is then no longer true. */
export function fill<T> (form: Signal<T>, panel: TaskPanel, part: Partial<T>): void {
  form.value = { ...form.value, ...part }
  if (problems.value[panel]) setProblem(panel, null)
}

/* ---- kept ------------------------------------------------------------------------------------------- */

const kept: [TaskPanel, Signal<object>, object][] = [
  ['make', makeForm as Signal<object>, EMPTY_MAKE], ['change', changeForm as Signal<object>, EMPTY_CHANGE], ['apart', apartForm as Signal<object>, EMPTY_APART]
]
const PANELS: TaskPanel[] = ['make', 'change', 'apart']
const keyOf = (id: string): string => `veetance.forms.${id}`

/* The project whose fields are shown. */
const shown = signal<string | null>(null)

function read (id: string): Record<string, unknown> {
  try {
    return JSON.parse(sessionStorage.getItem(keyOf(id)) ?? '{}') as Record<string, unknown>
  } catch {
    return {}
  }
}

function restore (id: string): void {
  const all = read(id)
  for (const [name, form, empty] of kept) form.value = { ...empty, ...all[name] as object }
  const panel = all['panel'] as TaskPanel
  if (PANELS.includes(panel)) taskPanel.value = panel
  historyOpen.value = all['history'] !== false
  problems.value = {}
  extend.value = NO_SIDES
  shown.value = id
}

function grant (w: Wish): void {
  wish.value = null
  taskPanel.value = w.task
  if (w.task === 'make') makeForm.value = madeFrom(w.request, makeForm.value)
  if (w.task === 'change') changeForm.value = changedFrom(w.request, changeForm.value)
  if (w.task === 'apart') apartForm.value = takenApartFrom(w.request, apartForm.value)
}

/* Follows the open project, and takes over what others wish for, until the returned function is called. */
export function followForms (): () => void {
  const stopKeeping = effect(() => {
    const id = project.value?.id ?? null
    const all = { panel: taskPanel.value, history: historyOpen.value, ...Object.fromEntries(kept.map(([name, form]) => [name, form.value])) }
    if (id === null) return
    if (id === shown.value) sessionStorage.setItem(keyOf(id), JSON.stringify(all))
    else queueMicrotask(() => { restore(id) })
  })
  const stopWishes = effect(() => {
    const w = wish.value
    if (w && shown.value !== null && shown.value === project.value?.id) queueMicrotask(() => { grant(w) })
  })
  return () => {
    stopKeeping()
    stopWishes()
  }
}
