/* events.ts - the one event stream. The browser reconnects by itself and the server sends what was missed; "reset"
 * says that it could not, and everything shown must be read again. */
import { signal } from '@preact/signals'
import type { Job, JobState, Preview, Progress, Queue, Telemetry } from './types.ts'

export interface ServerEvents {
  job: { id: string, state?: JobState, result?: Job['result'], error?: Job['error'] } & Partial<Job> & Progress
  preview: Preview
  queue: Queue
  models: { open: string | null, open_models: string[] }
  telemetry: Telemetry
  project: { id: string, revision: number, deleted?: boolean }
  asset: { id: string, deleted?: boolean }
  preferences: object
  reset: undefined
}

type Handlers = { [K in keyof ServerEvents]: (data: ServerEvents[K]) => void }

/* Whether the server is heard. */
export const connected = signal(true)

const JOB_EVENTS = ['queued', 'stage', 'step', 'done', 'failed', 'cancelled', 'interrupted', 'changed']

/* Opens the stream and opens it again whenever it ends; returns what closes it for good. */
export function listen (handlers: Handlers): () => void {
  let source: EventSource | null = null
  let timer = 0
  const open = (): void => {
    source = new EventSource('/v1/events')
    const on = <K extends keyof ServerEvents>(event: string, name: K): void => {
      source?.addEventListener(event, (ev) => { handlers[name](JSON.parse((ev as MessageEvent<string>).data || 'null') as ServerEvents[K]) })
    }
    for (const name of JOB_EVENTS) on(`job.${name}`, 'job')
    on('job.preview', 'preview')
    for (const name of ['queue', 'models', 'telemetry', 'project', 'asset', 'preferences', 'reset'] as const) on(name, name)
    source.onopen = () => {
      const was = connected.value
      connected.value = true
      if (!was) handlers.reset(undefined)
    }
    source.onerror = () => {
      connected.value = false
      if (source?.readyState === EventSource.CLOSED) timer = window.setTimeout(open, 2000)
    }
  }
  open()
  return () => {
    window.clearTimeout(timer)
    source?.close()
  }
}
