/* tour.ts - the three cards of the first page: an image, a change of it, and one taken apart, each a project to go on
 * with. The models that are part of the program make them, in about a second each. */
import { Failure, jobs as api, projects } from '../../api/client.ts'
import type { JobKind, JobResult, Model } from '../../api/types.ts'
import { text } from '../../text.ts'
import { newId } from '../ids.ts'
import { models, tour, type TourState, type TourStep } from '../store.ts'
import { ended, heardJob } from './jobs.ts'
import { newLayer } from './layers.ts'
import { prefer } from './machine.ts'
import { loadProjects } from './projects.ts'

const SIDE = 128
const STAR = 'a red star on a white background'
const SCENE = 'a red star and a blue circle on a white background'
const GREEN = 'change the color of the red star to green'

function put (step: TourStep, part: Partial<TourState>): void {
  tour.value = { ...tour.value, [step]: { ...tour.value[step], ...part } }
}

/* A step needs a model that is in the program, so that nothing must be fetched before. */
const embedded = (task: JobKind): Model | undefined => models.value.find((m) => m.embedded && m.tasks.includes(task))
export const canTour = (): boolean => embedded('edit') !== undefined && embedded('layers') !== undefined

async function ask (step: TourStep, kind: JobKind, request: Record<string, unknown>): Promise<{ id: string, result: JobResult }> {
  const job = await api.submit(kind, { model: embedded(kind)?.id, ...request }, {}, newId('k'))
  await heardJob(job)
  put(step, { job: job.id })
  const end = await ended(job.id)
  if (end.result) return { id: job.id, result: end.result }
  throw new Error(end.error?.detail ?? text.state[end.state])
}

async function image (step: TourStep, kind: 'generate' | 'edit', request: Record<string, unknown>): Promise<string> {
  const { result } = await ask(step, kind, request)
  const asset = result.images?.[0]?.asset
  if (!asset) throw new Error(text.failed)
  return asset
}

async function make (): Promise<void> {
  const asset = await image('make', 'generate', { prompt: STAR, width: SIDE, height: SIDE, seed: 1 })
  const p = await projects.create({ name: text.tour.star, width: SIDE, height: SIDE, layers: [newLayer({ asset, name: STAR })] })
  put('make', { assets: [asset], project: p.id })
}

async function change (): Promise<void> {
  const star = tour.value.make.assets[0] ?? await image('change', 'generate', { prompt: STAR, width: SIDE, height: SIDE, seed: 1 })
  const asset = await image('change', 'edit', { prompt: GREEN, images: [star], seed: 1 })
  const layers = [newLayer({ asset: star, name: STAR }), newLayer({ asset, name: GREEN })]
  const p = await projects.create({ name: text.tour.green, width: SIDE, height: SIDE, layers })
  put('change', { assets: [star, asset], project: p.id })
}

async function apart (): Promise<void> {
  const scene = await image('apart', 'generate', { prompt: SCENE, width: SIDE, height: SIDE, seed: 1 })
  const { id, result } = await ask('apart', 'layers', { image: scene, seed: 1 })
  const p = await projects.create({ name: text.tour.scene, job: id })
  put('apart', { assets: [scene, ...(result.layers ?? []).map((l) => l.asset)], project: p.id })
}

const steps = { make, change, apart }

export async function tourStep (step: TourStep): Promise<void> {
  put(step, { state: 'running', detail: null })
  try {
    await steps[step]()
    put(step, { state: 'done', job: null })
    await loadProjects()
  } catch (e) {
    put(step, { state: 'failed', job: null, detail: e instanceof Failure ? e.problem.detail : e instanceof Error ? e.message : text.failed })
  }
}

export function endTour (): void {
  prefer({ toured: true })
}
