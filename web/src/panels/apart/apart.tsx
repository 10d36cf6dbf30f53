/* apart.tsx - an image or a layer taken apart into layers. */
import { ScanText } from 'lucide'
import { apartTarget, lastSeeds, plannedApart, preparing, runApart, runDescribe } from '../../state/actions/ask.ts'
import { apartForm, fill } from '../../state/forms.ts'
import { LAYERS_MAX, LAYERS_MIN, RESOLUTION_UNIT, resolutionAs, type ApartForm } from '../../state/requests.ts'
import { layers } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button } from '../../ui/button.tsx'
import { NumberField, OptionalNumberField, Select, Switch, TextArea, TextField } from '../../ui/field.tsx'
import { Segmented } from '../../ui/segmented.tsx'
import { Loras } from '../tasks/loras.tsx'
import { FastField, ModelField, Nothing, SeedField, Wrong, wrong } from '../tasks/parts.tsx'
import { PlanLine } from '../tasks/plan.tsx'

const FIELDS = ['prompt', 'layers', 'resolution', 'steps', 'seed', 'guidance', 'loras']
const FIRST_RESOLUTION = 640

const put = (part: Partial<ApartForm>): void => { fill(apartForm, 'apart', part) }

const single = (): boolean => layers.value.filter((l) => l.parent === null).length === 1

function Target ({ f }: { f: ApartForm }) {
  const target = apartTarget()
  return (
    <Segmented label={text.apart.target} value={target ? 'layer' : 'image'}
      options={[
        { value: 'layer', label: single() ? text.apart.only : text.change.layer, disabled: !target && f.target === 'layer', title: target?.name ?? text.change.selectLayer },
        { value: 'image', label: text.change.whole, disabled: single() && target?.kind === 'image' }
      ]}
      onChange={(v) => { put({ target: v }) }} />
  )
}

function Description ({ f }: { f: ApartForm }) {
  return (
    <TextArea label={text.make.prompt} value={f.prompt} rows={3} placeholder={text.apart.promptHint} error={wrong('apart', 'prompt')} onInput={(prompt) => { put({ prompt }) }}>
      <span class='row describe'>
        <Select label={text.apart.language} hideLabel value={f.language} options={[{ value: 'en', label: text.apart.en }, { value: 'zh', label: text.apart.zh }]} onChange={(language) => { put({ language }) }} />
        <Button kind='quiet' icon={ScanText} busy={preparing.value === 'apart'} disabled={preparing.value === 'apart'} onClick={() => { void runDescribe() }}>{text.apart.describe}</Button>
      </span>
    </TextArea>
  )
}

function More ({ f }: { f: ApartForm }) {
  return (
    <details class='more'>
      <summary>{text.make.more}</summary>
      <div class='column'>
        <OptionalNumberField label={text.make.guidance} value={f.guidance} empty={text.make.own} start={4} min={0} max={100} step={0.5} digits={1} error={wrong('apart', 'guidance')} onChange={(guidance) => { put({ guidance }) }} />
        <TextField label={text.apart.negative} value={f.negative} onInput={(negative) => { put({ negative }) }} />
        <Switch label={text.apart.keepEmpty} value={f.keepEmpty} onChange={(keepEmpty) => { put({ keepEmpty }) }} />
        <Switch label={text.apart.mergeDuplicates} value={f.mergeDuplicates} onChange={(mergeDuplicates) => { put({ mergeDuplicates }) }} />
        <Switch label={text.apart.fullSize} value={f.fullSize} onChange={(fullSize) => { put({ fullSize }) }} />
        <FastField fast={f.fast} put={put} />
        <Switch label={text.make.int8} value={f.int8} onChange={(int8) => { put({ int8 }) }} />
      </div>
    </details>
  )
}

export function Apart () {
  const f = apartForm.value
  if (layers.value.length === 0) return <Nothing says={text.apart.nothing} />
  const less = resolutionAs((f.resolution ?? FIRST_RESOLUTION) * 0.75)
  return (
    <>
      <div class='task-form'>
        <Target f={f} />
        <Description f={f} />
        <div class='row'>
          <div class='grow'><NumberField label={text.apart.layers} value={f.layers} min={LAYERS_MIN} max={LAYERS_MAX} error={wrong('apart', 'layers')} onChange={(n) => { put({ layers: n }) }} /></div>
          <div class='grow'><OptionalNumberField label={text.make.steps} value={f.steps} empty={text.make.own} start={50} min={1} max={1000} error={wrong('apart', 'steps')} onChange={(steps) => { put({ steps }) }} /></div>
        </div>
        <OptionalNumberField label={text.apart.resolution} value={f.resolution} empty={text.make.own} start={FIRST_RESOLUTION} min={RESOLUTION_UNIT} max={2048} step={RESOLUTION_UNIT} unit='px'
          error={wrong('apart', 'resolution')} onChange={(v) => { put({ resolution: v === null ? null : resolutionAs(v) }) }} />
        <SeedField seed={f.seed} last={lastSeeds.value.apart ?? null} error={wrong('apart', 'seed')} onChange={(seed) => { put({ seed }) }} />
        <ModelField use='layers' />
        <Loras panel='apart' loras={f.loras} put={put} />
        <More f={f} />
      </div>
      <div class='task-foot'>
        <Wrong panel='apart' fields={FIELDS} />
        <PlanLine task='layers' request={plannedApart()} onSmaller={() => { put({ resolution: less }) }} />
        <Button kind='primary' class='wide' busy={preparing.value === 'apart'} title={`${text.apart.run}  Ctrl+Enter`} onClick={() => { void runApart() }}>{text.apart.run}</Button>
      </div>
    </>
  )
}
