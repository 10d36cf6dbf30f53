/* change.tsx - an image or a layer changed by words, with references, inside a mask, or beyond its edges. */
import './change.css'
import { lastSeeds, plannedChange, preparing, runChange, targetOf } from '../../state/actions/ask.ts'
import { changeForm, fill } from '../../state/forms.ts'
import { anySide } from '../../state/place.ts'
import type { ChangeForm, Size } from '../../state/requests.ts'
import { sizeOf } from '../../state/sizes.ts'
import { NO_SIDES, activeLayer, extend, layers, project, type Sides } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button } from '../../ui/button.tsx'
import { NumberField, OptionalNumberField, TextArea } from '../../ui/field.tsx'
import { Segmented } from '../../ui/segmented.tsx'
import { Loras } from '../tasks/loras.tsx'
import { ModelField, MoreImages, Nothing, SeedField, StepsAndCount, Wrong, wrong } from '../tasks/parts.tsx'
import { PlanLine } from '../tasks/plan.tsx'
import { Presets } from '../tasks/presets.tsx'
import { FINISH_FIELDS, Finish, isMasked } from './finish.tsx'
import { MaskField } from './mask.tsx'
import { References } from './references.tsx'

const FIELDS = ['prompt', 'images', 'mask', 'strength', 'feather', 'extend', 'steps', 'count', 'seed', 'guidance', 'max_tokens', 'transparent', ...FINISH_FIELDS, 'loras']
const EXTEND_MAX = 8192

const put = (part: Partial<ChangeForm>): void => { fill(changeForm, 'change', part) }

function Target ({ f }: { f: ChangeForm }) {
  const able = activeLayer.value?.kind === 'image' && activeLayer.value.asset !== null
  return (
    <Segmented label={text.change.target} value={targetOf(f.target) ? 'layer' : 'image'}
      options={[{ value: 'image', label: text.change.whole }, { value: 'layer', label: text.change.layer, disabled: !able, title: able ? activeLayer.value?.name : text.change.selectLayer }]}
      onChange={(target) => { put({ target }) }} />
  )
}

function ExtendFields ({ layer }: { layer: boolean }) {
  const s = extend.value
  const side = (name: keyof Sides) => (
    <NumberField label={text.change.sides[name]} value={s[name]} min={0} max={EXTEND_MAX} step={16} onChange={(v) => { extend.value = { ...s, [name]: v } }} />
  )
  return (
    <details class='more' open={anySide(s)}>
      <summary>{layer ? text.change.extendLayer : text.change.extend}</summary>
      <div class='column extend'>
        <p class='secondary'>{text.change.extendHint}</p>
        <div class='row'><div class='grow'>{side('left')}</div><div class='grow'>{side('right')}</div></div>
        <div class='row'><div class='grow'>{side('top')}</div><div class='grow'>{side('bottom')}</div></div>
        {wrong('change', 'extend') && <small class='field-error' role='alert'>{wrong('change', 'extend')}</small>}
        {anySide(s) && <Button onClick={() => { extend.value = NO_SIDES }}>{text.change.noExtend}</Button>}
      </div>
    </details>
  )
}

function sentSize (f: ChangeForm): Size | null {
  const target = targetOf(f.target)
  return target ? sizeOf(target.asset) : project.value
}

export function Change () {
  const f = changeForm.value
  if (layers.value.length === 0) return <Nothing says={text.change.nothing} />
  return (
    <>
      <div class='task-form'>
        <Target f={f} />
        <TextArea label={text.make.prompt} value={f.prompt} rows={3} placeholder={text.change.promptHint} error={wrong('change', 'prompt')} onInput={(prompt) => { put({ prompt }) }}>
          <Presets prompt={f.prompt} onChoose={(prompt) => { put({ prompt }) }} />
        </TextArea>
        <MaskField />
        <References />
        <div class='row'>
          <div class='grow'><OptionalNumberField label={text.change.strength} value={f.strength} empty={text.make.own} start={0.8} min={0} max={1} step={0.05} digits={2} error={wrong('change', 'strength')} onChange={(strength) => { put({ strength }) }} /></div>
          <div class='grow'><NumberField label={text.change.feather} value={f.feather} min={0} max={1024} unit='px' error={wrong('change', 'feather')} onChange={(feather) => { put({ feather }) }} /></div>
        </div>
        <StepsAndCount panel='change' f={f} put={put} />
        <SeedField seed={f.seed} last={lastSeeds.value.change ?? null} error={wrong('change', 'seed')} onChange={(seed) => { put({ seed }) }} />
        <ModelField use='images' />
        <ExtendFields layer={targetOf(f.target) !== null} />
        <Finish />
        <Loras panel='change' loras={f.loras} put={put} />
        <MoreImages panel='change' f={f} put={put} inPlace={isMasked(f) || anySide(extend.value) || f.strength !== null} />
      </div>
      <div class='task-foot'>
        <Wrong panel='change' fields={FIELDS} />
        <PlanLine task='edit' request={plannedChange(sentSize(f))} onSmaller={null} />
        <Button kind='primary' class='wide' busy={preparing.value === 'change'} title={`${text.change.run}  Ctrl+Enter`} onClick={() => { void runChange() }}>{text.change.run}</Button>
      </div>
    </>
  )
}
