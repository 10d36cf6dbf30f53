/* queue_button.tsx - how much is waiting, and the drawer that shows it. */
import { ListOrdered, Pause } from 'lucide'
import { queue, queueOpen } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Icon } from '../../ui/icon.tsx'

export function QueueButton () {
  const q = queue.value
  const n = q.queued.length + q.running_jobs.length
  return (
    <button type='button' class={`button quiet queue-button ${q.running === null ? '' : 'running'}`} aria-label={text.header.queueFacts(n, q.paused)} aria-expanded={queueOpen.value}
      title={text.header.queueFacts(n, q.paused)} onClick={() => { queueOpen.value = !queueOpen.value }}>
      <Icon of={q.paused ? Pause : ListOrdered} />
      <span class='fold'>{text.header.queue}</span>{' '}
      {n > 0 && <span class='count'>{n}</span>}
    </button>
  )
}
