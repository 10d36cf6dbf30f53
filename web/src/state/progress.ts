/* progress.ts - how far jobs are, in which order they stand, and what can be tried when one fails. Pure. */
import type { Job, Plan, Queue, Stage } from '../api/types.ts'
import { budgetIn, canShrink } from './advice.ts'
import { smaller, type Request, type Size } from './requests.ts'

/* Where each stage begins and ends in the whole of an image, as it is on most machines. */
const SHARE: Record<Stage, [number, number]> = { load: [0, 0.05], text: [0.05, 0.08], encode: [0.08, 0.1], steps: [0.1, 0.92], decode: [0.92, 1] }

/* 0 to 1, over all images of the job. */
export function fractionOf (j: Job): number {
  if (j.state === 'done') return 1
  if (j.state !== 'running' || !j.stage) return 0
  const [from, to] = SHARE[j.stage]
  const within = from + (to - from) * Math.min(1, Math.max(0, j.done ?? 0))
  const images = Math.max(1, j.images ?? 1)
  return Math.min(1, ((j.image ?? 0) + within) / images)
}

/* Until the whole job is done; null: not known. What the engine tells is of one stage of one image. */
export function secondsLeft (j: Job): number | null {
  const left = j.seconds_left ?? null
  const more = Math.max(1, j.images ?? 1) - (j.image ?? 0) - 1
  if (left === null || left <= 0 || more <= 0) return left
  const done = j.done ?? 0
  return j.stage === 'steps' && done < 1 ? left + more * left / (1 - done) : null
}

export const isLive = (j: Job): boolean => j.state === 'queued' || j.state === 'running'

/* What runs, the longest first, then what waits in the order in which it will run. */
export function liveOf (jobs: Iterable<Job>, queue: Queue): Job[] {
  const place = new Map([...queue.running_jobs, ...queue.queued].map((id, i) => [id, i]))
  const rank = (j: Job): number => place.get(j.id) ?? (j.state === 'running' ? -1 : Infinity)
  return [...jobs].filter(isLive).sort((a, b) => rank(a) - rank(b) || a.created_ms - b.created_ms)
}

/* What ended since then, the last first. */
export function endedOf (jobs: Iterable<Job>, since: number): Job[] {
  return [...jobs].filter((j) => !isLive(j) && (j.finished_ms ?? 0) >= since).sort((a, b) => (b.finished_ms ?? 0) - (a.finished_ms ?? 0))
}

const RESOLUTION = 640
const RESOLUTION_UNIT = 32
const RESOLUTION_MIN = 64

/* The same request for less memory, or null where nothing can be less. `sent` is the size of the image that it names. */
export function smallerRequest (j: Pick<Job, 'kind' | 'request'>, sent: Size | null): Request | null {
  if (j.kind === 'caption') return null
  if (j.kind === 'layers') {
    const now = Number(j.request['resolution'] ?? RESOLUTION)
    const less = Math.floor(now * 0.75 / RESOLUTION_UNIT) * RESOLUTION_UNIT
    return less >= RESOLUTION_MIN ? { ...j.request, resolution: less } : null
  }
  const size = { width: Number(j.request['width'] ?? sent?.width ?? 1024), height: Number(j.request['height'] ?? sent?.height ?? 1024) }
  const less = smaller(size)
  return less && { ...j.request, ...less }
}

export interface Remedies { smaller: boolean, budget: string | null, stream: string | null }

/* A run that needed more than was there: by the plan. One that should have fitted as a whole is streamed. */
export function remediesOf (plan: Plan | null): Remedies {
  if (!plan) return { smaller: false, budget: null, stream: null }
  const budget = plan.verdict === 'refused' ? plan.advice.map(budgetIn).find((b) => b !== null) ?? null : null
  return {
    smaller: plan.verdict !== 'refused' || plan.advice.some(canShrink),
    budget,
    stream: plan.verdict === 'resident' ? String(Math.round(plan.peak_bytes * 0.6)) : null
  }
}

