/* ask.ts - runs what stands in the fields of a panel. What is wrong with it is said at the field, and nothing is lost. */
import { signal } from '@preact/signals'
import { Failure, type Place } from '../../api/client.ts'
import type { Job, JobKind } from '../../api/types.ts'
import { text } from '../../text.ts'
import { makeForm, setProblem } from '../forms.ts'
import { makeRequest, modelFor, newSeed, shaped, sideFor, type Request, type Size, type Use } from '../requests.ts'
import { models, preferences, project, type TaskPanel } from '../store.ts'
import { ask } from './jobs.ts'
import { tell } from './toasts.ts'

/* The seeds that the panels ran with last: what the lock keeps. */
export const lastSeeds = signal<Partial<Record<TaskPanel, number>>>({})

/* The model to name: only a preferred one; otherwise the server chooses, as `answering` foresees. */
export function named (use: Use): string | undefined {
  const preferred = preferences.value.models[use]
  return modelFor(models.value, use, preferred)?.id === preferred ? preferred : undefined
}

export const answering = (use: Use) => modelFor(models.value, use, preferences.value.models[use])

/* The seed of a run: the one that is kept, or a new one. */
export function seedFor (panel: TaskPanel, kept: number | null): number {
  const seed = kept ?? newSeed()
  lastSeeds.value = { ...lastSeeds.value, [panel]: seed }
  return seed
}

export function refuse (panel: TaskPanel, field: string, detail: string): null {
  setProblem(panel, { status: 422, code: 'argument', field, detail })
  return null
}

/* The job, or null with the reason standing in the panel. */
export async function send (panel: TaskPanel, kind: JobKind, request: Request, place: Place): Promise<Job | null> {
  setProblem(panel, null)
  try {
    return await ask(kind, request, place)
  } catch (e) {
    if (e instanceof Failure && !e.offline) setProblem(panel, e.problem)
    else tell(e)
    return null
  }
}

/* ---- make ------------------------------------------------------------------------------------------- */

export function makeSize (): Size {
  return makeForm.value.size ?? shaped('1:1', sideFor(answering('images')))
}

/* What "Generate" would send, for the plan: with any seed. */
export function plannedMake (): Request | null {
  return answering('images') ? makeRequest(makeForm.value, makeSize(), { model: named('images'), seed: 1 }) : null
}

export async function runMake (): Promise<Job | null> {
  const p = project.value
  const f = makeForm.value
  if (!p) return null
  if (!f.prompt.trim()) return refuse('make', 'prompt', text.make.needPrompt)
  const request = makeRequest(f, makeSize(), { model: named('images'), seed: seedFor('make', f.seed) })
  return await send('make', 'generate', request, { project: p.id })
}
