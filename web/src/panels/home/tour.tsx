/* tour.tsx - three cards that do it for real: make, change, take apart. */
import { ArrowRight, Check, PaintbrushVertical, Sparkles, Split } from 'lucide'
import type { IconNode } from 'lucide'
import { assets } from '../../api/client.ts'
import { go } from '../../state/actions/projects.ts'
import { endTour, tourStep } from '../../state/actions/tour.ts'
import { jobs, tour, type TourStep } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button } from '../../ui/button.tsx'
import { Icon } from '../../ui/icon.tsx'

const t = text.tour
const icons: Record<TourStep, IconNode> = { make: Sparkles, change: PaintbrushVertical, apart: Split }

function Stage ({ step }: { step: TourStep }) {
  const s = tour.value[step]
  const job = s.job === null ? undefined : jobs.value.get(s.job)
  if (s.state === 'running') {
    return (
      <div class='tour-stage' role='status'>
        <span>{job?.stage ? text.stage[job.stage] : text.state.queued}{job?.stage === 'steps' && job.step ? ` ${job.step} / ${job.steps ?? ''}` : ''}</span>
      </div>
    )
  }
  if (s.assets.length === 0) return <div class='tour-stage'><Icon of={icons[step]} size={36} /></div>
  return (
    <div class={`tour-stage ${s.assets.length > 2 ? 'many' : ''}`}>
      {s.assets.map((a, i) => [
        i === 1 && <Icon key='arrow' of={ArrowRight} />,
        <img key={a} class={`checker ${i === 0 ? 'first' : ''}`} src={assets.thumb(a, 256)} alt={t.result[step]} />
      ])}
    </div>
  )
}

function TourCard ({ step, n }: { step: TourStep, n: number }) {
  const s = tour.value[step]
  const id = s.project
  return (
    <li class='tour-card'>
      <Stage step={step} />
      <div class='tour-words'>
        <h3>{n}. {text.tasks[step]}{s.state === 'done' && <span class='done'><Icon of={Check} /></span>}</h3>
        {s.state === 'failed' ? <p class='failed' role='alert'>{s.detail}</p> : <p>{s.state === 'done' ? t.after[step] : t.before[step]}</p>}
        <div class='row'>
          {id !== null
            ? <Button kind='plain' onClick={() => { go({ page: 'project', id }) }}>{t.open}</Button>
            : <Button kind='primary' disabled={s.state === 'running'} busy={s.state === 'running'} onClick={() => { void tourStep(step) }}>{t.do[step]}</Button>}
        </div>
      </div>
    </li>
  )
}

export function Tour () {
  return (
    <section class='tour' aria-labelledby='tour-title'>
      <header>
        <h2 id='tour-title'>{t.title}</h2>
        <p>{t.intro}</p>
        <Button kind='quiet' onClick={endTour}>{t.end}</Button>
      </header>
      <ol class='tour-cards'>
        <TourCard step='make' n={1} />
        <TourCard step='change' n={2} />
        <TourCard step='apart' n={3} />
      </ol>
    </section>
  )
}
