/* item.tsx - one job of the queue. */
import { ArrowDown, ArrowUp } from 'lucide'
import { assets } from '../../api/client.ts'
import type { Job } from '../../api/types.ts'
import { cancel, moveJob, show } from '../../state/actions/jobs.ts'
import { go } from '../../state/actions/projects.ts'
import { previews, project } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { middle } from '../../ui/format.ts'
import { ProgressBar } from './bar.tsx'
import { Remedies } from './remedies.tsx'
import { failureOf, titleOf, wordsOf } from './words.ts'

const DRAGGED = 'application/x-veetance-job'

function thumbOf (j: Job): string | null {
  const p = previews.value.get(j.id)
  if (p) return `data:${p.type};base64,${p.data}`
  const asset = j.result?.composite ?? j.result?.images?.[0]?.asset
  return asset ? assets.thumb(asset, 96) : null
}

function Thumb ({ job }: { job: Job }) {
  const url = thumbOf(job)
  return url ? <img class='queue-thumb checker' src={url} alt='' loading='lazy' /> : <span class='queue-thumb empty-thumb' />
}

function shows (j: Job): void {
  if (j.project && j.project !== project.value?.id) go({ page: 'project', id: j.project })
  void show(j)
}

export function LiveItem ({ job, place, waiting }: { job: Job, place: number | null, waiting: number }) {
  return (
    <li class='queue-item' draggable={place !== null}
      onDragStart={(ev) => { ev.dataTransfer?.setData(DRAGGED, job.id) }}
      onDragOver={(ev) => { if (place !== null && ev.dataTransfer?.types.includes(DRAGGED)) ev.preventDefault() }}
      onDrop={(ev) => {
        const id = ev.dataTransfer?.getData(DRAGGED)
        if (id && place !== null && id !== job.id) void moveJob(id, place)
      }}>
      <Thumb job={job} />
      <div class='queue-text'>
        <b title={titleOf(job)}>{middle(titleOf(job), 56)}</b>
        <small>{text.queue.kinds[job.kind]} · {job.model}</small>
        <small>{wordsOf(job)}</small>
        {job.state === 'running' && <ProgressBar job={job} />}
        <div class='queue-actions compact'>
          {place !== null && waiting > 1 && (
            <>
              <IconButton class='small' label={text.queue.earlier} icon={ArrowUp} disabled={place === 0} onClick={() => { void moveJob(job.id, place - 1) }} />
              <IconButton class='small' label={text.queue.later} icon={ArrowDown} disabled={place === waiting - 1} onClick={() => { void moveJob(job.id, place + 1) }} />
            </>
          )}
          <Button onClick={() => { void cancel(job.id) }}>{text.cancel}</Button>
        </div>
      </div>
    </li>
  )
}

function decided (j: Job): string {
  return j.candidate === 'accepted' ? text.queue.accepted : j.candidate === 'discarded' ? text.queue.discarded : text.state.done
}

export function EndedItem ({ job }: { job: Job }) {
  const done = job.state === 'done'
  return (
    <li class='queue-item'>
      <Thumb job={job} />
      <div class='queue-text'>
        <b title={titleOf(job)}>{middle(titleOf(job), 56)}</b>
        <small>{text.queue.kinds[job.kind]} · {job.model}</small>
        <small class={job.state === 'failed' ? 'queue-failed' : ''} title={job.error?.detail}>{done ? decided(job) : failureOf(job)}</small>
        {job.error?.log && (
          <details class='queue-log'>
            <summary>{text.queue.log}</summary>
            <pre tabIndex={0}>{job.error.detail}{'\n'}{job.error.log}</pre>
          </details>
        )}
        <div class='queue-actions compact'>
          {done ? job.project && job.kind !== 'caption' && <Button onClick={() => { shows(job) }}>{text.queue.show}</Button> : <Remedies job={job} />}
        </div>
      </div>
    </li>
  )
}
