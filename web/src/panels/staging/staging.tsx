/* staging.tsx - the bar over the canvas while results wait: step through them, compare, take one or none. */
import './staging.css'
import { Check, ChevronLeft, ChevronRight, ChevronUp, Columns2, Shuffle, SlidersHorizontal, TriangleAlert, X } from 'lucide'
import { useEffect } from 'preact/hooks'
import { accept, discard, stepCandidate, vary } from '../../state/actions/jobs.ts'
import { register } from '../../state/commands.ts'
import { candidate, candidates, comparison, openJobs, wish, type Candidate, type Comparison } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { Icon } from '../../ui/icon.tsx'
import { MenuButton, type MenuItem } from '../../ui/menu.tsx'
import { seconds } from '../../ui/format.ts'
import { hold, release, toggleComparison, way } from './compare.ts'

const some = (): boolean => candidates.value.length > 0
const several = (): boolean => candidates.value.length > 1
const group = text.groups.candidates

function use (c: Candidate): void {
  const task = { generate: 'make', edit: 'change', layers: 'apart', caption: 'make' } as const
  wish.value = { task: task[c.job.kind], request: { ...c.job.request, seed: c.seed ?? c.job.request['seed'] } }
}

/* Before what the same keys do otherwise: a result is in front of everything. */
register(
  { id: 'candidate.previous', title: text.staging.previous, keys: ['ArrowLeft'], group, rank: 1, enabled: several, run: () => { stepCandidate(-1) } },
  { id: 'candidate.next', title: text.staging.next, keys: ['ArrowRight'], group, rank: 1, enabled: several, run: () => { stepCandidate(1) } },
  { id: 'candidate.accept', title: text.staging.accept, keys: ['Enter'], group, rank: 1, enabled: some, run: accept },
  { id: 'candidate.discard', title: text.staging.discard, keys: ['Escape'], group, rank: 1, enabled: some, run: discard },
  { id: 'candidate.compare', title: text.staging.compare, keys: ['C'], group, rank: 1, enabled: some, run: hold },
  { id: 'candidate.vary', title: text.staging.vary, group, enabled: some, run: async () => candidate.value && await vary(candidate.value.job) },
  { id: 'candidate.use', title: text.staging.use, group, enabled: some, run: () => { if (candidate.value) use(candidate.value) } }
)

function ways (): MenuItem[] {
  const names: Exclude<Comparison, 'off'>[] = ['curtain', 'before', 'difference']
  return names.map((w) => ({
    label: text.staging.ways[w], checked: way.value === w,
    run: () => {
      way.value = w
      comparison.value = w
    }
  }))
}

/* What a person should know before taking it. */
function remarks (c: Candidate): string[] {
  const r = c.job.result
  const db = r?.recomposed?.source?.psnr_db
  return [...db != null ? [text.staging.recomposed(db.toFixed(1))] : [], ...(r?.warnings ?? []).map((w) => w.detail ?? w.code), ...r?.notes ?? []]
}

function Remarks ({ c }: { c: Candidate }) {
  const list = remarks(c)
  if (list.length === 0) return null
  return (
    <p class='staging-remarks'>
      {(c.job.result?.warnings ?? []).length > 0 && <Icon of={TriangleAlert} />}
      <span>{list.join(' · ')}</span>
    </p>
  )
}

function Facts ({ c, at, n }: { c: Candidate, at: number, n: number }) {
  const total = c.job.result?.seconds?.['total']
  const waiting = openJobs.value.length - 1
  return (
    <span class='staging-facts'>
      {c.seed !== null && <span>{text.staging.seed(c.seed)}</span>}
      {total !== undefined && <span>{seconds(total)}</span>}
      {waiting > 0 && <span>{text.staging.waiting(waiting)}</span>}
      <span class='visually-hidden' role='status' aria-live='polite'>{text.staging.said(at, n, c.seed)}</span>
    </span>
  )
}

function lookAtCanvas (): void {
  document.querySelector<HTMLElement>('[role=application]')?.focus({ preventScroll: true })
}

/* Who pressed the panel's button looks at the canvas now: Enter is to accept, not to press it again. */
function leaveRunButton (): void {
  if (document.activeElement?.closest('.task-foot')) lookAtCanvas()
}

/* So does who clicked a button of the bar by pointer; one that opens a menu has the focus back from it. */
function leaveClicked (ev: MouseEvent): void {
  const byPointer = ev.detail > 0
  if (byPointer && ev.target instanceof Element && !ev.target.closest('[aria-haspopup]')) lookAtCanvas()
}

function Bar ({ c }: { c: Candidate }) {
  useEffect(leaveRunButton, [c.job.id])
  const n = candidates.value.length
  const at = candidates.value.indexOf(c) + 1
  return (
    <div class='staging' role='toolbar' aria-label={text.staging.label}>
      <Remarks c={c} />
      <div class='staging-row' onClick={leaveClicked}>
        {n > 1 && (
          <span class='staging-steps'>
            <IconButton label={text.staging.previous} icon={ChevronLeft} keys='Left' onClick={() => { stepCandidate(-1) }} />
            <span class='staging-count'>{text.staging.of(at, n)}</span>
            <IconButton label={text.staging.next} icon={ChevronRight} keys='Right' onClick={() => { stepCandidate(1) }} />
          </span>
        )}
        <Button kind='primary' icon={Check} title={`${text.staging.accept}  Enter`} onClick={() => { void accept() }}>{text.staging.accept}</Button>
        <span class='staging-compare'>
          <button type='button' class='button plain' aria-pressed={comparison.value !== 'off'} title={`${text.staging.compare}  C`} onClick={toggleComparison}>
            <Icon of={Columns2} /><span>{text.staging.compare}</span>
          </button>
          <MenuButton label={text.staging.how} class='button plain' items={ways}><Icon of={ChevronUp} /></MenuButton>
        </span>
        <Button icon={X} title={`${text.staging.discard}  Esc`} onClick={() => { void discard() }}>{text.staging.discard}</Button>
        <span class='staging-line' />
        <IconButton label={text.staging.vary} icon={Shuffle} onClick={() => { void vary(c.job) }} />
        <IconButton label={text.staging.use} icon={SlidersHorizontal} onClick={() => { use(c) }} />
        <Facts c={c} at={at} n={n} />
      </div>
    </div>
  )
}

export function Staging () {
  useEffect(() => {
    const up = (ev: KeyboardEvent): void => { if (ev.key.toUpperCase() === 'C') release() }
    window.addEventListener('keyup', up)
    return () => { window.removeEventListener('keyup', up) }
  }, [])
  const c = candidate.value
  return c && <Bar c={c} />
}
