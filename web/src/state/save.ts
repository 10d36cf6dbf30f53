/* save.ts - what is done to the open project, on its way to the server: one step at a time, in order.
 *
 * A change is shown at once and sent after it; work of the server (undo, import, merge) waits its turn between the changes.
 * Changes of one gesture (a drag, a slider) that wait are joined, and only the first makes an undo point. While the
 * server does not answer they wait and are sent again. A change that it refuses is taken back by reading the project
 * anew, and one that met another made elsewhere (412) likewise: nothing of it is overwritten. */
import { Failure, projects } from '../api/client.ts'
import type { Project } from '../api/types.ts'
import { text } from '../text.ts'
import { project, saving } from './store.ts'
import { attempt, toast } from './actions/toasts.ts'

interface Change {
  kind: 'change'
  project: string
  part: Partial<Project>
  label: string
  gesture: string | null
}

interface Work {
  kind: 'work'
  project: string
  run: (id: string) => Promise<Project>
  wanted: () => boolean
  done: (answer: Project | null) => void
}

type Step = Change | Work

const RETRY_MS = 2000
const waiting: Step[] = []
let running: Promise<void> | null = null
/* What was heard of while changes of ours were on their way. */
const NONE = { id: '', revision: 0 }
let missed = NONE
/* The gesture whose undo point the server has made. */
let sentGesture: string | null = null

/* What comes back holds what only the server knows; what the person changed meanwhile stays. */
function adopt (answer: Project): void {
  const now = project.value
  if (now?.id !== answer.id || answer.revision < now.revision) return
  project.value = waiting.some((s) => s.kind === 'change' && s.project === answer.id)
    ? { ...answer, name: now.name, width: now.width, height: now.height, layers: now.layers, selection: now.selection }
    : answer
}

/* Nothing that waits for this project fits any more: shows what the server has. */
async function startOver (id: string): Promise<void> {
  const dropped = waiting.filter((s) => s.project === id)
  for (const s of dropped) {
    waiting.splice(waiting.indexOf(s), 1)
    if (s.kind === 'work') s.done(null)
  }
  if (project.value?.id !== id) return
  const fresh = await projects.get(id).catch(() => null)
  if (fresh && project.value?.id === id) project.value = fresh
}

async function sendChange (step: Change): Promise<void> {
  const amend = step.gesture !== null && step.gesture === sentGesture
  const revision = project.value?.id === step.project ? project.value.revision : undefined
  adopt(await projects.patch(step.project, step.part, { label: step.label, amend, revision }))
  sentGesture = step.gesture
}

async function doWork (step: Work): Promise<void> {
  if (project.value?.id !== step.project || !step.wanted()) {
    step.done(null)
    return
  }
  const answer = await step.run(step.project)
  sentGesture = null
  adopt(answer)
  step.done(answer)
}

const same = (a: unknown, b: unknown): boolean => a === b || (a instanceof Object && b instanceof Object &&
  Object.keys(a).length === Object.keys(b).length && Object.entries(a).every(([k, v]) => same(v, (b as Record<string, unknown>)[k])))

/* A change that was sent, but whose answer was lost on the way, is with the server when it is sent again. */
async function isThere (step: Change): Promise<boolean> {
  const now = await projects.get(step.project).catch(() => null)
  if (!now || !Object.entries(step.part).every(([k, v]) => same(v, now[k as keyof Project]))) return false
  adopt(now)
  sentGesture = step.gesture
  return true
}

async function failed (step: Step, f: Failure): Promise<void> {
  if (step.kind === 'change' && f.problem.status === 412 && await isThere(step)) return
  if (f.offline || f.problem.status === 503) {
    saving.value = 'offline'
    waiting.unshift(step)
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
  } else if (step.kind === 'work') {
    toast({ kind: 'error', text: f.problem.detail })
    step.done(null)
  } else {
    toast({ kind: 'error', text: f.problem.status === 412 ? text.save.collided : text.save.refused(f.problem.detail) })
    await startOver(step.project)
  }
}

async function drain (): Promise<void> {
  saving.value = 'saving'
  for (let step = waiting.shift(); step; step = waiting.shift()) {
    try {
      await (step.kind === 'change' ? sendChange(step) : doWork(step))
      saving.value = 'saving'
    } catch (e) {
      if (!(e instanceof Failure)) throw e
      await failed(step, e)
    }
  }
  saving.value = 'saved'
}

function add (step: Step): void {
  waiting.push(step)
  running ??= drain().finally(() => {
    running = null
    const { id, revision } = missed
    missed = NONE
    void attempt(async () => { await heard(id, revision) })
  })
}

/* Shows `part` at once and keeps it. `gesture` names the drag or slider that it is a step of. */
export function change (part: Partial<Project>, label: string, gesture: string | null = null): void {
  const p = project.value
  if (!p) return
  project.value = { ...p, ...part }
  const last = waiting[waiting.length - 1]
  if (last?.kind === 'change' && gesture !== null && last.gesture === gesture && last.project === p.id) last.part = { ...last.part, ...part }
  else add({ kind: 'change', project: p.id, part, label, gesture })
}

/* Runs what changes the project on the server itself, after the changes before it, and shows what comes back. Left out
 * where `wanted` says so when its turn has come. */
export async function onServer (run: (id: string) => Promise<Project>, wanted = (): boolean => true): Promise<Project | null> {
  const id = project.value?.id
  if (!id) return null
  return await new Promise((done) => { add({ kind: 'work', project: id, run, wanted, done }) })
}

/* Ends when every change is with the server. */
export async function flush (): Promise<void> {
  while (running) await running
}

/* Another window, or the server, made a newer revision: shows it, when the changes of ours that wait are sent. */
export async function heard (id: string, revision: number): Promise<void> {
  if (project.value?.id !== id || project.value.revision >= revision) return
  if (running) {
    if (missed.id !== id || missed.revision < revision) missed = { id, revision }
    return
  }
  const fresh = await projects.get(id)
  if (project.value?.id === id && !running && fresh.revision > project.value.revision) project.value = fresh
}
