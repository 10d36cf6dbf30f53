/* queue.tsx - the drawer over the right column: what runs, what waits, what ended since this window was opened. */
import './queue.css'
import { Pause, Play, X } from 'lucide'
import { useEffect, useRef } from 'preact/hooks'
import { cancel, pauseQueue } from '../../state/actions/jobs.ts'
import { register } from '../../state/commands.ts'
import { endedOf, isLive, liveOf } from '../../state/progress.ts'
import { dialog, jobs, project, projectJobs, queue, queueOpen } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { EndedItem, LiveItem } from './item.tsx'

const opened = Date.now()

/* Only where nothing else takes the key. */
register(
  {
    id: 'job.cancel', title: text.queue.cancelRunning, keys: ['Escape'], group: text.groups.app, rank: -1,
    enabled: () => dialog.value === null && projectJobs.value.some(isLive),
    run: async () => {
      const live = projectJobs.value.filter(isLive)
      const one = live.find((j) => j.state === 'running') ?? live[0]
      if (one) await cancel(one.id)
    }
  },
  { id: 'queue.open', title: text.queue.open, keys: ['Q'], group: text.groups.app, enabled: () => project.value !== null, run: () => { queueOpen.value = !queueOpen.value } },
  { id: 'queue.pause', title: text.queue.pauseOrResume, group: text.groups.app, run: async () => { await pauseQueue(!queue.value.paused) } }
)

function Drawer () {
  const ref = useRef<HTMLElement>(null)
  const live = liveOf(jobs.value.values(), queue.value)
  const waiting = live.filter((j) => j.state === 'queued')
  const ended = endedOf(jobs.value.values(), opened)
  const { paused } = queue.value
  useEffect(() => { ref.current?.querySelector('button')?.focus() }, [])
  return (
    <section ref={ref} class='queue' role='region' aria-label={text.queue.label}
      onKeyDown={(ev) => {
        if (ev.key !== 'Escape') return
        ev.stopPropagation()
        queueOpen.value = false
      }}>
      <header class='panel-title'>
        <h2>{text.queue.label}</h2>
        <span class='row'>
          <Button kind='quiet' icon={paused ? Play : Pause} onClick={() => { void pauseQueue(!paused) }}>{paused ? text.queue.resume : text.queue.pause}</Button>
          <IconButton label={text.close} icon={X} onClick={() => { queueOpen.value = false }} />
        </span>
      </header>
      {paused && <p class='queue-paused' role='status'>{text.queue.paused}</p>}
      {live.length + ended.length === 0 && <p class='empty'>{text.queue.empty}</p>}
      <div class='queue-lists'>
        {live.length > 0 && (
          <ul aria-label={text.queue.live}>
            {live.map((j) => <LiveItem key={j.id} job={j} place={j.state === 'queued' ? waiting.indexOf(j) : null} waiting={waiting.length} />)}
          </ul>
        )}
        {ended.length > 0 && <h3>{text.queue.ended}</h3>}
        {ended.length > 0 && <ul aria-label={text.queue.ended}>{ended.map((j) => <EndedItem key={j.id} job={j} />)}</ul>}
      </div>
    </section>
  )
}

export function Queue () {
  return queueOpen.value ? <Drawer /> : null
}
