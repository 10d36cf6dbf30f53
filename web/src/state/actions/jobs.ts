/* jobs.ts - asking the engine, following what it does, and taking or refusing what it made. */
import { jobs as api, projects, type Place } from '../../api/client.ts'
import type { Job, JobKind, Layer, Preview, Project, Queue } from '../../api/types.ts'
import { text } from '../../text.ts'
import { newId } from '../ids.ts'
import { anySide, grown, placed, sidesOf } from '../place.ts'
import { isLive } from '../progress.ts'
import { newSeed, type Size } from '../requests.ts'
import { change, flush, onServer } from '../save.ts'
import { readSize, sizeOf } from '../sizes.ts'
import { NO_SIDES, candidate, candidateIndex, candidates, comparison, extend, jobs, previews, project, queue, shownJob, type Candidate } from '../store.ts'
import { find, group } from '../tree.ts'
import { addLayer, newLayer, select } from './layers.ts'
import { attempt, toast } from './toasts.ts'

/* ---- what comes in ---------------------------------------------------------------------------------- */

function put (job: Job): void {
  const next = new Map(jobs.value)
  next.set(job.id, job)
  jobs.value = next
}

/* What was read may be older than what was heard meanwhile: a job that has ended is not live again. */
function putRead (job: Job): void {
  const known = jobs.value.get(job.id)
  if (!known || isLive(known) || !isLive(job)) put(job)
}

/* Reads what is live, and what waits for a person in this project. */
export async function loadJobs (projectId: string): Promise<void> {
  const [live, own, q] = await Promise.all([api.list({ state: 'queued,running' }), api.list({ project: projectId }), api.queue()])
  const next = new Map(jobs.value)
  for (const j of [...own, ...live]) next.set(j.id, j)
  jobs.value = next
  queue.value = q
}

/* Jobs that are being read for the first time. */
const reading = new Set<string>()

/* An event names what changed; a job that is not known yet, or has ended, is read whole. */
export async function heardJob (part: Partial<Job> & { id: string }): Promise<void> {
  const known = jobs.value.get(part.id)
  const ended = part.state !== undefined && part.state !== 'queued' && part.state !== 'running'
  if (known) put({ ...known, ...part })
  if (ended || (!known && !reading.has(part.id))) {
    reading.add(part.id)
    const whole = await attempt(async () => await api.get(part.id))
    reading.delete(part.id)
    if (whole) putRead(whole)
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
  if (!jobs.value.has(job.id)) put(job)
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

/* The image that a job was sent: the first of those that it names. */
export function sentTo (job: Job): string | undefined {
  const images = job.request['images'] as string[] | undefined
  return images?.[0] ?? job.request['image'] as string | undefined
}

/* Where a candidate image lies: over the layer that was changed, or over the whole canvas. */
export function placeOf (job: Job, size: Size, layers: Layer[], canvas: Size): Partial<Layer> {
  return placed(job, size, sizeOf(sentTo(job)), layers, canvas)
}

/* Layers of a result: in the place of the layer that was taken apart, else as a new group on top. One undo step. */
async function acceptLayers (c: Candidate, p: Project): Promise<boolean> {
  const target = find(p.layers, c.job.layer)
  const before = new Set(p.layers.map((l) => l.id))
  const answer = await onServer(async (id) => {
    const now = await projects.importJob(id, target ? { job: c.job.id, replace: target.id, group: true } : { job: c.job.id }, text.undo.apart)
    if (target) return now
    const made = now.layers.filter((l) => !before.has(l.id)).map((l) => l.id)
    const next = group(now.layers, made, newLayer({ kind: 'group', name: text.task.layers }))
    return await projects.patch(id, { layers: next }, { label: text.undo.apart, amend: true, revision: now.revision })
  })
  if (!answer) return false
  const top = answer.layers.filter((l) => l.parent === null)
  select([target?.id ?? top[top.length - 1]?.id ?? ''])
  return true
}

/* What was changed lies over what it was made from; a canvas that was extended grows with it. One undo step. */
async function acceptImage (c: Candidate, p: Project): Promise<void> {
  const sent = sentTo(c.job)
  if (sent) await readSize(sent)
  const target = find(p.layers, c.job.layer)
  const place = placeOf(c.job, c, p.layers, p)
  const name = String(c.job.request['prompt'] ?? '').slice(0, 80) || text.task[c.job.kind]
  const sides = sidesOf(c.job.request)
  if (target || c.job.kind === 'edit') select(target ? [target.id] : [])
  if (anySide(sides)) extend.value = NO_SIDES
  if (target || !anySide(sides)) {
    addLayer({ name, asset: c.asset, ...place })
    return
  }
  const layer = newLayer({ name, asset: c.asset, ...place })
  change(grown([...p.layers, layer], p, sides), text.undo.extend)
  select([layer.id])
}

/* The candidate that is looked at becomes a layer (or a group of layers). */
export async function accept (): Promise<void> {
  const c = candidate.value
  const p = project.value
  if (!c || !p) return
  const done = await attempt(async () => c.layers ? await acceptLayers(c, p) : (await acceptImage(c, p), true))
  if (done) await settle(c.job, 'accepted')
}

export async function discard (): Promise<void> {
  const c = candidate.value
  if (!c) return
  await settle(c.job, 'discarded')
  toast({ kind: 'note', text: text.staging.discarded, action: { label: text.bringBack, run: () => { void show({ ...c.job, candidate: 'discarded' }) } } })
}

/* Asks for the same place once more, with another request. */
export async function resubmit (job: Job, request: Record<string, unknown>): Promise<Job | null> {
  return await submit(job.kind, request, { project: job.project ?? undefined, layer: job.layer ?? undefined })
}

/* The same once more with another seed. */
export async function vary (job: Job): Promise<Job | null> {
  return await resubmit(job, { ...job.request, seed: newSeed() })
}

/* Puts a result in front of the person again, whatever was decided about it. */
export async function show (job: Job): Promise<void> {
  if (job.candidate !== 'open') {
    put({ ...job, candidate: 'open' })
    await attempt(async () => await api.patch(job.id, { candidate: 'open' }))
  }
  shownJob.value = job.id
  candidateIndex.value = 0
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
