/* make.tsx - an image from words. */
import { ArrowLeftRight } from 'lucide'
import { answering, lastSeeds, makeSize, plannedMake, runMake } from '../../state/actions/ask.ts'
import { fill, makeForm } from '../../state/forms.ts'
import { RATIOS, SIDE_MAX, SIDE_MIN, UNIT, fitted, sameSize, shaped, side, sideFor, smaller, type MakeForm } from '../../state/requests.ts'
import { project } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { NumberField, TextArea } from '../../ui/field.tsx'
import { Segmented } from '../../ui/segmented.tsx'
import { Loras } from '../tasks/loras.tsx'
import { ModelField, MoreImages, SeedField, StepsAndCount, Wrong, wrong } from '../tasks/parts.tsx'
import { PlanLine } from '../tasks/plan.tsx'
import { Presets } from '../tasks/presets.tsx'

const put = (part: Partial<MakeForm>): void => { fill(makeForm, 'make', part) }

function SizeFields () {
  const size = makeSize()
  const canvas = project.value ? fitted(project.value) : null
  const base = sideFor(answering('images'))
  const presets = [...RATIOS.map((r) => ({ value: r as string, size: shaped(r, base) })), ...canvas ? [{ value: 'canvas', size: canvas }] : []]
  const current = presets.find((p) => sameSize(p.size, size))?.value ?? null
  const resize = (part: { width?: number, height?: number }): void => {
    const next = { ...size, ...part }
    put({ size: { width: side(next.width), height: side(next.height) } })
  }
  return (
    <div class='column tight'>
      <Segmented label={text.make.size} value={current}
        options={presets.map((p) => ({ value: p.value, label: p.value === 'canvas' ? text.make.canvas : p.value, title: `${p.size.width} x ${p.size.height}` }))}
        onChange={(v) => { put({ size: presets.find((p) => p.value === v)?.size ?? null }) }} />
      <div class='row'>
        <div class='grow'><NumberField label={text.make.width} value={size.width} min={SIDE_MIN} max={SIDE_MAX} step={UNIT} error={wrong('make', 'width')} onChange={(width) => { resize({ width }) }} /></div>
        <IconButton label={text.make.swap} icon={ArrowLeftRight} onClick={() => { put({ size: { width: size.height, height: size.width } }) }} />
        <div class='grow'><NumberField label={text.make.height} value={size.height} min={SIDE_MIN} max={SIDE_MAX} step={UNIT} error={wrong('make', 'height')} onChange={(height) => { resize({ height }) }} /></div>
      </div>
    </div>
  )
}

export function Make () {
  const f = makeForm.value
  const less = smaller(makeSize())
  return (
    <>
      <div class='task-form'>
        <TextArea label={text.make.prompt} value={f.prompt} placeholder={text.make.promptHint} error={wrong('make', 'prompt')} onInput={(prompt) => { put({ prompt }) }}>
          <Presets prompt={f.prompt} onChoose={(prompt) => { put({ prompt }) }} />
        </TextArea>
        <SizeFields />
        <StepsAndCount panel='make' f={f} put={put} />
        <SeedField seed={f.seed} last={lastSeeds.value.make ?? null} error={wrong('make', 'seed')} onChange={(seed) => { put({ seed }) }} />
        <ModelField use='images' />
        <Loras panel='make' loras={f.loras} put={put} />
        <MoreImages panel='make' f={f} put={put} />
      </div>
      <div class='task-foot'>
        <Wrong panel='make' fields={['prompt', 'width', 'height', 'steps', 'count', 'seed', 'guidance', 'max_tokens', 'transparent', 'loras']} />
        <PlanLine task='generate' request={plannedMake()} onSmaller={less && (() => { put({ size: less }) })} />
        <Button kind='primary' class='wide' title={`${text.make.generate}  Ctrl+Enter`} onClick={() => { void runMake() }}>{text.make.generate}</Button>
      </div>
    </>
  )
}
