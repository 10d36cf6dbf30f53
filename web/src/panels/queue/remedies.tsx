/* remedies.tsx - what can be done about a job that failed, as the plan advises. */
import { useEffect, useState } from 'preact/hooks'
import { jobs as api } from '../../api/client.ts'
import type { Job, Plan } from '../../api/types.ts'
import { again, resubmit, sentTo } from '../../state/actions/jobs.ts'
import { setBudget } from '../../state/actions/machine.ts'
import { remediesOf, smallerRequest } from '../../state/progress.ts'
import { sizeOf } from '../../state/sizes.ts'
import { text } from '../../text.ts'
import { Button } from '../../ui/button.tsx'

const SHORT_OF_MEMORY = ['memory', 'no_room', 'engine_out_of_memory']

function usePlanOf (job: Job): Plan | null {
  const [plan, setPlan] = useState<Plan | null>(null)
  const short = job.state === 'failed' && job.error !== null && SHORT_OF_MEMORY.includes(job.error.code) && job.kind !== 'caption'
  useEffect(() => {
    if (short) api.plan(job.kind, job.request).then(setPlan, () => { setPlan(null) })
  }, [job.id, short])
  return plan
}

async function withBudget (job: Job, budget: string): Promise<void> {
  await setBudget(budget)
  await again(job.id)
}

export function Remedies ({ job }: { job: Job }) {
  const plan = usePlanOf(job)
  const { smaller, budget, stream } = remediesOf(plan)
  const less = smaller ? smallerRequest(job, sizeOf(sentTo(job))) : null
  return (
    <>
      {budget && <Button onClick={() => { void withBudget(job, budget) }}>{text.plan.allow(budget)}</Button>}
      {stream && <Button onClick={() => { void withBudget(job, stream) }}>{text.queue.stream}</Button>}
      {less && <Button onClick={() => { void resubmit(job, less) }}>{text.queue.smaller}</Button>}
      {job.error?.refused !== true && <Button onClick={() => { void again(job.id) }}>{text.queue.again}</Button>}
    </>
  )
}
