/* ask.ts - runs what stands in the fields of a panel. What is wrong with it is said at the field, and nothing is lost. */
import { signal } from '@preact/signals'
import { Failure, projects, type Place } from '../../api/client.ts'
import type { Job, JobKind, Layer, Project } from '../../api/types.ts'
import { text } from '../../text.ts'
import { apartForm, changeForm, fill, makeForm, setProblem } from '../forms.ts'
import { anySide } from '../place.ts'
import { apartRequest, changeRequest, given, makeRequest, modelFor, newSeed, shaped, sideFor, type ChangeForm, type Chosen, type Request, type Size, type Use } from '../requests.ts'
import { knowSize, readSize } from '../sizes.ts'
import { flush } from '../save.ts'
import { activeLayer, extend, layers, models, preferences, project, type TaskPanel } from '../store.ts'
import { ask, ended } from './jobs.ts'
import { maskFor } from './masks.ts'
import { settled } from './selection.ts'
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

/* What a request needs beside the fields of its panel. */
const chosen = (use: Use, seed: number): Chosen => ({ model: named(use), seed, noMetadata: preferences.value.noMetadata })

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
  return answering('images') ? makeRequest(makeForm.value, makeSize(), chosen('images', 1)) : null
}

export async function runMake (): Promise<Job | null> {
  const p = project.value
  const f = makeForm.value
  if (!p) return null
  if (!f.prompt.trim()) return refuse('make', 'prompt', text.make.needPrompt)
  const request = makeRequest(f, makeSize(), chosen('images', seedFor('make', f.seed)))
  return await send('make', 'generate', request, { project: p.id })
}

/* ---- what is sent of the project ------------------------------------------------------------------------ */

/* The layer that a request is for: the selected one, where its panel is set to layers. Null for the image as a whole. */
export function targetOf (target: 'image' | 'layer'): Layer | null {
  const l = activeLayer.value
  return target === 'layer' && l?.kind === 'image' && l.asset ? l : null
}

/* A group that was taken apart before still has its image: it can be taken apart anew, with another seed. Of a project with a
 * single layer that one is meant, selected or not; of one with a single group, unless the image as a whole is. */
export function apartTarget (): Layer | null {
  const chosen = activeLayer.value
  const [only, another] = layers.value.filter((l) => l.parent === null)
  const asked = apartForm.value.target === 'layer'
  const meant = asked && chosen?.asset ? chosen : !another && (asked || only?.kind === 'image') ? only : undefined
  return meant?.asset ? meant : null
}

interface SentImage { id: string, size: Size }

async function imageOf (p: Project, target: Layer | null): Promise<SentImage> {
  await flush()
  if (target?.asset) return { id: target.asset, size: await readSize(target.asset) }
  const made = await projects.render(p.id)
  knowSize(made.asset, made)
  return { id: made.asset, size: { width: made.width, height: made.height } }
}

/* Panels whose request is being put together. */
export const preparing = signal<TaskPanel | null>(null)

async function prepare<T> (panel: TaskPanel, work: () => Promise<T>): Promise<T | null> {
  if (preparing.value === panel) return null
  preparing.value = panel
  try {
    return await work()
  } catch (e) {
    tell(e)
    return null
  } finally {
    preparing.value = null
  }
}

/* ---- change ----------------------------------------------------------------------------------------- */

const sidesAsked = (): number[] | null => {
  const s = extend.value
  return anySide(s) ? [s.left, s.top, s.right, s.bottom] : null
}

/* The same work with any seed, for the plan: of the image as a whole, which is put together only when it is sent, one of
 * its layers stands in. Null while nothing could be sent. */
export function plannedChange (size: Size | null): Request | null {
  const f = changeForm.value
  const image = targetOf(f.target)?.asset ?? layers.value.find((l) => l.kind === 'image' && l.asset)?.asset
  if (!answering('images') || !size || !image) return null
  const [left = 0, top = 0, right = 0, bottom = 0] = sidesAsked() ?? []
  const whole = planned({ width: size.width + left + right, height: size.height + top + bottom })
  return { ...changeRequest(f, { image, mask: null, extend: null }, chosen('images', 1)), ...whole }
}

/* As large as models work on it: at most about a megapixel, in whole tokens. */
function planned (size: Size): Size {
  const k = Math.min(1, 1024 / Math.sqrt(size.width * size.height))
  const up = (v: number): number => Math.min(2048, Math.max(64, Math.ceil(v * k / 16) * 16))
  return { width: up(size.width), height: up(size.height) }
}

async function changeOf (p: Project, f: ChangeForm, target: Layer | null): Promise<Request | null> {
  await settled()
  const image = await imageOf(p, target)
  const selection = f.inside && project.value?.id === p.id ? project.value.selection : null
  const mask = selection ? await maskFor(selection, p, image.size, target) : null
  if (selection && !mask) return refuse('change', 'mask', text.change.maskMisses)
  return changeRequest(f, { image: image.id, mask, extend: sidesAsked() }, chosen('images', seedFor('change', f.seed)))
}

export async function runChange (): Promise<Job | null> {
  const p = project.value
  const f = changeForm.value
  if (!p) return null
  if (!f.prompt.trim()) return refuse('change', 'prompt', text.change.needPrompt)
  if (p.layers.length === 0) return refuse('change', 'images', text.change.nothing)
  const target = targetOf(f.target)
  const request = await prepare('change', async () => await changeOf(p, f, target))
  return request && await send('change', 'edit', request, { project: p.id, layer: target?.id })
}

/* ---- take apart ------------------------------------------------------------------------------------- */

/* Of the image as a whole one of its layers stands in, as with a change. */
export function plannedApart (): Request | null {
  const image = apartTarget()?.asset ?? layers.value.find((l) => l.kind === 'image' && l.asset)?.asset
  return answering('layers') && image ? apartRequest(apartForm.value, image, chosen('layers', 1)) : null
}

export async function runApart (): Promise<Job | null> {
  const p = project.value
  const f = apartForm.value
  if (!p) return null
  if (p.layers.length === 0) return refuse('apart', 'image', text.apart.nothing)
  const target = apartTarget()
  const image = await prepare('apart', async () => await imageOf(p, target))
  if (!image) return null
  const request = apartRequest(f, image.id, chosen('layers', seedFor('apart', f.seed)))
  return await send('apart', 'layers', request, { project: p.id, layer: target?.id })
}

/* Words for what would be taken apart, into the prompt. */
export async function runDescribe (): Promise<void> {
  const p = project.value
  if (!p || p.layers.length === 0) return
  const { language } = apartForm.value
  const job = await prepare('apart', async () => {
    const image = await imageOf(p, apartTarget())
    const asked = await send('apart', 'caption', given({ model: named('layers'), image: image.id, language }), {})
    return asked && await ended(asked.id)
  })
  if (project.value?.id !== p.id || !job) return
  if (job.result?.caption) fill(apartForm, 'apart', { prompt: job.result.caption })
  else if (job.error) refuse('apart', 'prompt', job.error.detail)
}
