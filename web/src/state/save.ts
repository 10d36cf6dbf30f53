/* save.ts - changes of the open project on their way to the server: one at a time, in order.
 *
 * A change is shown at once and sent after it. Steps of one gesture (a drag, a slider) that wait are joined, and only the
 * first makes an undo point. While the server does not answer they wait and are sent again; a change that it
 * refuses is taken back by reading the project anew. A change made elsewhere in between (412) likewise: nothing of it is overwritten. */
import { Failure, projects } from '../api/client.ts'
import type { Project } from '../api/types.ts'
import { text } from '../text.ts'
import { project, saving } from './store.ts'
import { toast } from './actions/toasts.ts'

interface Step {
  project: string
  part: Partial<Project>
  label: string
  gesture: string | null
}

const RETRY_MS = 2000
const waiting: Step[] = []
let running: Promise<void> | null = null
/* The gesture whose undo point the server has made. */
let sentGesture: string | null = null

/* What comes back holds what only the server knows; what the person did meanwhile stays. */
function adopt (answer: Project): void {
  const now = project.value
  if (now?.id !== answer.id || answer.revision < now.revision) return
  project.value = waiting.some((s) => s.project === answer.id)
    ? { ...answer, name: now.name, width: now.width, height: now.height, layers: now.layers, selection: now.selection }
    : answer
}

async function refused (step: Step, f: Failure): Promise<void> {
  for (let i = waiting.length - 1; i >= 0; i--) if (waiting[i]?.project === step.project) waiting.splice(i, 1)
  toast(f.problem.status === 412 ? { kind: 'error', text: text.save.collided } : { kind: 'error', text: text.save.refused(f.problem.detail) })
  if (project.value?.id === step.project) project.value = await projects.get(step.project)
}

async function sendOne (step: Step): Promise<void> {
  const amend = step.gesture !== null && step.gesture === sentGesture
  const revision = project.value?.id === step.project ? project.value.revision : undefined
  try {
    adopt(await projects.patch(step.project, step.part, { label: step.label, amend, revision }))
    sentGesture = step.gesture
    saving.value = 'saving'
  } catch (e) {
    if (!(e instanceof Failure)) throw e
    if (e.offline || e.problem.status === 503) {
      saving.value = 'offline'
      waiting.unshift(step)
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    } else {
      await refused(step, e)
    }
  }
}

async function drain (): Promise<void> {
  saving.value = 'saving'
  for (let step = waiting.shift(); step; step = waiting.shift()) {
    await sendOne(step)
  }
  saving.value = 'saved'
}

function start (): void {
  running ??= drain().finally(() => { running = null })
}

/* Shows `part` at once and keeps it. `gesture` names the drag or slider that it is a step of. */
export function change (part: Partial<Project>, label: string, gesture: string | null = null): void {
  const p = project.value
  if (!p) return
  project.value = { ...p, ...part }
  const last = waiting[waiting.length - 1]
  if (last && gesture !== null && last.gesture === gesture && last.project === p.id) last.part = { ...last.part, ...part }
  else waiting.push({ project: p.id, part, label, gesture })
  start()
}

/* Ends when every change is with the server. */
export async function flush (): Promise<void> {
  while (running) await running
}

/* Runs what changes the project on the server itself (undo, import, merge), after the changes before it, and
 * shows what comes back. */
export async function onServer (work: (id: string) => Promise<Project>): Promise<Project | null> {
  const id = project.value?.id
  if (!id) return null
  await flush()
  saving.value = 'saving'
  try {
    const answer = await work(id)
    if (project.value?.id === id) project.value = answer
    return answer
  } catch (e) {
    if (!(e instanceof Failure)) throw e
    toast({ kind: 'error', text: e.problem.detail })
    return null
  } finally {
    saving.value = 'saved'
  }
}

/* Another window, or the server, made a newer revision: shows it unless changes of ours wait. */
export async function heard (id: string, revision: number): Promise<void> {
  if (project.value?.id !== id || project.value.revision >= revision || running) return
  const fresh = await projects.get(id)
  if (project.value?.id === id && !running && fresh.revision > project.value.revision) project.value = fresh
}
