/* foot.tsx - the queue while its drawer is closed: what runs now, and what has failed, as a line at the panel's foot. */
import { signal } from '@preact/signals'
import { X } from 'lucide'
import type { Job } from '../../api/types.ts'
import { cancel, pauseQueue } from '../../state/actions/jobs.ts'
import { endedOf, liveOf } from '../../state/progress.ts'
import { jobs, projectJobs, queue, queueOpen } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { ProgressBar } from './bar.tsx'
import { failureOf, titleOf, wordsOf } from './words.ts'

/* Failures that a person has seen. */
const seen = signal<ReadonlySet<string>>(new Set())
const opened = Date.now()

function Failed ({ job }: { job: Job }) {
  const dismiss = (): void => { seen.value = new Set(seen.value).add(job.id) }
  return (
    <div class='job-foot failed compact' role='alert'>
      <div class='row'>
        <span class='job-foot-words grow' title={job.error?.detail}>{text.queue.failed(failureOf(job))}</span>
        <Button kind='quiet' onClick={() => {
          dismiss()
          queueOpen.value = true
        }}>{text.queue.what}</Button>
        <IconButton class='small' label={text.close} icon={X} onClick={dismiss} />
      </div>
    </div>
  )
}

/* `more` jobs wait behind it. */
function Live ({ job, more }: { job: Job, more: number }) {
  const stopped = queue.value.paused && job.state !== 'running'
  return (
    <div class='job-foot compact'>
      <ProgressBar job={job} />
      <div class='row'>
        <button type='button' class='job-foot-words grow' title={titleOf(job)} onClick={() => { queueOpen.value = true }}>
          {stopped ? text.queue.stopped : wordsOf(job)}{more > 0 && <span> · {text.queue.more(more)}</span>}
        </button>
        {stopped
          ? <Button kind='quiet' onClick={() => { void pauseQueue(false) }}>{text.queue.resume}</Button>
          : <Button kind='quiet' onClick={() => { void cancel(job.id) }}>{text.cancel}</Button>}
      </div>
    </div>
  )
}

export function JobFoot () {
  if (queueOpen.value) return null
  const live = liveOf(jobs.value.values(), queue.value)
  const failed = endedOf(projectJobs.value, opened).find((j) => j.state === 'failed' && !seen.value.has(j.id))
  const running = live.filter((j) => j.state === 'running')
  const shown = running.length > 0 ? running : live.slice(0, 1)
  return (
    <section aria-label={text.queue.label}>
      {failed && <Failed job={failed} />}
      {shown.map((j, i) => <Live key={j.id} job={j} more={i === shown.length - 1 ? live.length - shown.length : 0} />)}
      {shown.length === 0 && <p class='visually-hidden'>{text.queue.empty}</p>}
    </section>
  )
}
