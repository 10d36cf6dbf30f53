/* plan.tsx - what a request will cost, beside its button: memory, time, and what to do where it does not fit. */
import { computed } from '@preact/signals'
import { useEffect, useState } from 'preact/hooks'
import { Failure, jobs as api } from '../../api/client.ts'
import type { JobKind, Plan } from '../../api/types.ts'
import { setBudget } from '../../state/actions/machine.ts'
import { budgetIn, canShrink } from '../../state/advice.ts'
import type { Request } from '../../state/requests.ts'
import { connected, jobs, models, telemetry } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button } from '../../ui/button.tsx'
import { bytes, seconds } from '../../ui/format.ts'

const DEBOUNCE_MS = 350

interface Answer { plan: Plan | null, words: string | null, stale: boolean }

/* Jobs that are done: each makes the time better known. */
const done = computed(() => [...jobs.value.values()].filter((j) => j.state === 'done').length)

/* Asks again when the request, the budget or the open model is another one, a job is done, or the server is back; the last
 * answer stays, dimmed, meanwhile. */
function usePlan (task: JobKind, request: Request | null): Answer {
  const [answer, setAnswer] = useState<Answer>({ plan: null, words: null, stale: false })
  const budget = telemetry.value?.device.budget_bytes ?? 0
  const key = request ? JSON.stringify([task, request, budget, connected.value, done.value, models.value.find((m) => m.open)?.id]) : ''
  useEffect(() => {
    if (!request) {
      setAnswer({ plan: null, words: null, stale: false })
      return
    }
    setAnswer((a) => ({ ...a, stale: true }))
    /* The answer waits for the job that runs, and a browser has few connections: what is no longer asked is given up. */
    const asking = new AbortController()
    const timer = window.setTimeout(() => {
      const say = (a: Answer): void => { if (!asking.signal.aborted) setAnswer(a) }
      api.plan(task, request, asking.signal).then(
        (plan) => { say({ plan, words: null, stale: false }) },
        (e: unknown) => { say({ plan: null, words: e instanceof Failure ? e.problem.detail : text.failed, stale: false }) })
    }, DEBOUNCE_MS)
    return () => {
      window.clearTimeout(timer)
      asking.abort()
    }
  }, [key])
  return answer
}

function Advice ({ plan, onSmaller }: { plan: Plan, onSmaller: (() => void) | null }) {
  return (
    <ul class='plan-advice compact'>
      {plan.advice.map((line) => {
        const budget = budgetIn(line)
        return (
          <li key={line}>
            <span>{line}</span>
            {budget && <Button onClick={() => { void setBudget(budget) }}>{text.plan.allow(budget)}</Button>}
            {canShrink(line) && onSmaller && <Button onClick={onSmaller}>{text.plan.smaller}</Button>}
          </li>
        )
      })}
    </ul>
  )
}

export function PlanLine ({ task, request, onSmaller }: { task: JobKind, request: Request | null, onSmaller: (() => void) | null }) {
  const { plan, words, stale } = usePlan(task, request)
  if (words) return <p class='plan wrong' role='status'>{words}</p>
  if (!plan) return <p class='plan' role='status'>{request ? text.plan.asking : ''}</p>
  return (
    <div class={stale ? 'plan stale' : 'plan'} role='status' aria-busy={stale}>
      <p class={plan.verdict}>
        <b>{bytes(plan.peak_bytes)}</b>
        <span>{plan.seconds !== null && plan.seconds !== undefined ? text.plan.about(seconds(plan.seconds)) : text.plan.unknown}</span>
        <span class='verdict'>{text.plan[plan.verdict]}</span>
      </p>
      {plan.verdict !== 'resident' && <Advice plan={plan} onSmaller={onSmaller} />}
    </div>
  )
}
