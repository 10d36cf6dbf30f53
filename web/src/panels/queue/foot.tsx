/* foot.tsx - what runs now, as a line at the panel's foot, so that the queue need not be opened. */
import { cancel, pauseQueue } from '../../state/actions/jobs.ts'
import { liveOf } from '../../state/progress.ts'
import { jobs, queue, queueOpen } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button } from '../../ui/button.tsx'
import { ProgressBar } from './bar.tsx'
import { titleOf, wordsOf } from './words.ts'

export function JobFoot () {
  const live = liveOf(jobs.value.values(), queue.value)
  const first = live[0]
  if (!first || queueOpen.value) return null
  const stopped = queue.value.paused && first.state !== 'running'
  return (
    <div class='job-foot'>
      <ProgressBar job={first} />
      <div class='row'>
        <button type='button' class='job-foot-words grow' title={titleOf(first)} onClick={() => { queueOpen.value = true }}>
          {stopped ? text.queue.paused : wordsOf(first)}{live.length > 1 && <span> · {text.queue.more(live.length - 1)}</span>}
        </button>
        {stopped
          ? <Button kind='quiet' onClick={() => { void pauseQueue(false) }}>{text.queue.resume}</Button>
          : <Button kind='quiet' onClick={() => { void cancel(first.id) }}>{text.cancel}</Button>}
      </div>
    </div>
  )
}
