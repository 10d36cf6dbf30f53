/* words.ts - a job's progress in words. */
import type { Job } from '../../api/types.ts'
import { secondsLeft } from '../../state/progress.ts'
import { text } from '../../text.ts'
import { seconds } from '../../ui/format.ts'

export const titleOf = (j: Job): string => String(j.request['prompt'] ?? '').trim() || text.queue.kinds[j.kind]

/* What happened to a job that failed, and what to do next. */
export function failureOf (j: Job): string {
  const engine = new Map(Object.entries(text.queue.engine))
  if (!j.error) return text.state[j.state]
  return j.error.refused === true ? text.queue.refused : engine.get(j.error.code) ?? j.error.detail
}

export function wordsOf (j: Job): string {
  if (j.state !== 'running') return text.state[j.state]
  const stage = j.stage === 'steps' && j.steps ? text.queue.step(j.step ?? 0, j.steps) : j.stage ? text.stage[j.stage] : text.state.running
  const left = secondsLeft(j)
  const parts = [
    (j.images ?? 1) > 1 ? text.queue.image((j.image ?? 0) + 1, j.images ?? 1) : null,
    stage,
    left !== null && left > 0 ? text.queue.left(seconds(left)) : null
  ]
  return parts.filter(Boolean).join(' · ')
}
