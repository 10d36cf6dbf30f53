/* bar.tsx - a job's progress as a line. */
import type { Job } from '../../api/types.ts'
import { fractionOf } from '../../state/progress.ts'
import { wordsOf } from './words.ts'

export function ProgressBar ({ job }: { job: Job }) {
  const f = fractionOf(job)
  return (
    <div class='progress' role='progressbar' aria-label={wordsOf(job)} aria-valuenow={Math.round(100 * f)} aria-valuemin={0} aria-valuemax={100}>
      <i style={{ transform: `scaleX(${f})` }} />
    </div>
  )
}
