/* jobs.ts - asking the engine, following what it does, and taking or refusing what it made. */
import { jobs as api, projects, type Place } from '../../api/client.ts'
import type { Job, JobKind, Layer, Preview, Queue } from '../../api/types.ts'
import { text } from '../../text.ts'
import { newId } from '../ids.ts'
import { flush, onServer } from '../save.ts'
import { candidate, candidateIndex, candidates, comparison, jobs, previews, project, queue } from '../store.ts'
import { find } from '../tree.ts'
import { addLayer, select } from './layers.ts'
import { attempt, toast } from './toasts.ts'

/* ---- what comes in ---------------------------------------------------------------------------------- */

const LIVE = new Set(['queued', 'running'])
export const isLive = (j: Job): boolean => LIVE.has(j.state)

function put (job: Job): void {
  const next = new Map(jobs.value)
  next.set(job.id, job)
  jobs.value = next
}

/* Reads what is live, and what waits for a person in this project. */
export async function loadJobs (projectId: string | null): Promise<void> {
  const [live, own, q] = await Promise.all([
    api.list({ state: 'queued,running' }), projectId ? api.list({ project: projectId }) : Promise.resolve([]), api.queue()])
  const next = new Map(jobs.value)
  for (const j of [...own, ...live]) next.set(j.id, j)
  jobs.value = next
  queue.value = q
}

/* An event names what changed; a job that is not known yet, or has ended, is read whole. */
export async function heardJob (part: Partial<Job> & { id: string }): Promise<void> {
  const known = jobs.value.get(part.id)
  const ended = part.state !== undefined && !LIVE.has(part.state)
  if (known) put({ ...known, ...part })
  if (!known || ended) {
    const whole = await attempt(async () => await api.get(part.id))
    if (whole) put(whole)
  }
  if (ended) dropPreview(part.id)
}

export function heardPreview (p: Preview): void {
  const next = new Map(previews.value)
  next.set(p.id, p)
  previews.value = next
}

function dropPreview (id: string): void {
  const next = new Map(previews.value)
  if (next.delete(id)) previews.value = next
}

export function heardQueue (q: Queue): void {
  queue.value = q
}

/* ---- asking ----------------------------------------------------------------------------------------- */

/* Sends a request once, however often the connection breaks. The job; throws the Failure. */
export async function ask (kind: JobKind, request: Record<string, unknown>, place: Place = {}): Promise<Job> {
  await flush()
  const job = await api.submit(kind, request, place, newId('k'))
  put(job)
  return job
}

/* The job, or null after what went wrong was told. */
export async function submit (kind: JobKind, request: Record<string, unknown>, place: Place = {}): Promise<Job | null> {
  return await attempt(async () => await ask(kind, request, place))
}

export async function cancel (id: string): Promise<void> {
  await attempt(async () => await api.cancel(id))
}

export async function again (id: string): Promise<void> {
  const job = await attempt(async () => await api.again(id))
  if (job) put(job)
}

export async function pauseQueue (paused: boolean): Promise<void> {
  const q = await attempt(async () => await api.pause(paused))
  if (q) queue.value = q
}

export async function moveJob (id: string, position: number): Promise<void> {
  await attempt(async () => await api.patch(id, { position }))
}

/* ---- candidates ------------------------------------------------------------------------------------- */

export function stepCandidate (by: number): void {
  const n = candidates.value.length
  if (n > 0) candidateIndex.value = (Math.min(candidateIndex.value, n - 1) + by + n) % n
}

async function settle (job: Job, state: 'accepted' | 'discarded'): Promise<void> {
  put({ ...job, candidate: state })
  candidateIndex.value = 0
  comparison.value = 'off'
  const kept = await attempt(async () => await api.patch(job.id, { candidate: state }))
  if (!kept) put(job)
}

/* Where a candidate image lies: over the layer that was changed, or over the whole canvas. */
export function placeOf (job: Job, size: { width: number, height: number }, layers: Layer[], canvas: { width: number, height: number }): Partial<Layer> {
  const target = find(layers, job.layer)
  const extend = job.request['extend'] as number[] | undefined
  if (target && target.kind === 'image') {
    return { x: target.x, y: target.y, scale_x: target.scale_x, scale_y: target.scale_y, rotation: target.rotation, parent: target.parent }
  }
  if (extend) return { x: -(extend[0] ?? 0), y: -(extend[1] ?? 0) }
  return { scale_x: canvas.width / size.width, scale_y: canvas.height / size.height }
}

/* The candidate that is looked at becomes a layer (or a group of layers): one undo step. */
export async function accept (): Promise<void> {
  const c = candidate.value
  const p = project.value
  if (!c || !p) return
  if (c.layers) {
    const target = find(p.layers, c.job.layer)
    const answer = await onServer(async (id) => await projects.importJob(id, { job: c.job.id, replace: target?.id, group: target !== undefined }, text.undo.apart))
    if (!answer) return
    if (target) select([target.id])
  } else {
    const prompt = String(c.job.request['prompt'] ?? '')
    const target = find(p.layers, c.job.layer)
    if (target) select([target.id])
    addLayer({ name: prompt.slice(0, 80) || text.task[c.job.kind], asset: c.asset, ...placeOf(c.job, c, p.layers, p) })
  }
  await settle(c.job, 'accepted')
}

export async function discard (): Promise<void> {
  const c = candidate.value
  if (c) await settle(c.job, 'discarded')
}

/* The job as it is when it has ended. */
export async function ended (id: string): Promise<Job> {
  return await new Promise((resolve) => {
    const stop = jobs.subscribe((all) => {
      const now = all.get(id)
      if (!now || isLive(now) || (now.state === 'done' && !now.result)) return
      queueMicrotask(() => { stop() })
      resolve(now)
    })
  })
}

/* The words that describe an image, from the model that reads images. */
export async function describe (asset: string, language: 'en' | 'zh'): Promise<string | null> {
  const job = await submit('caption', { image: asset, language })
  if (!job) return null
  const now = await ended(job.id)
  if (now.state === 'failed' && now.error) toast({ kind: 'error', text: now.error.detail })
  return now.result?.caption ?? null
}
