/* toasts.ts - short words at the edge of the screen. */
import { Failure } from '../../api/client.ts'
import { text } from '../../text.ts'
import { toasts, type Toast } from '../store.ts'

const SECONDS = { note: 4, good: 4, error: 10 }
let last = 0

export function toast (t: Omit<Toast, 'id'>): void {
  const id = ++last
  const others = toasts.value.filter((x) => x.text !== t.text || x.action)
  toasts.value = [...others.slice(-3), { ...t, id }]
  setTimeout(() => { dismiss(id) }, 1000 * (t.action ? 10 : SECONDS[t.kind]))
}

export function dismiss (id: number): void {
  toasts.value = toasts.value.filter((t) => t.id !== id)
}

/* Says what went wrong in the server's own words. */
export function tell (e: unknown): void {
  if (!(e instanceof Failure)) {
    console.error(e)
    toast({ kind: 'error', text: e instanceof Error ? e.message : text.failed })
    return
  }
  if (e.problem.status !== 401) toast({ kind: 'error', text: e.problem.detail }) // of which a page of its own tells
}

/* Runs work that a click began; what fails is told, and the answer is then null. */
export async function attempt<T> (work: () => Promise<T>): Promise<T | null> {
  try {
    return await work()
  } catch (e) {
    tell(e)
    return null
  }
}
