/* finish.tsx - the shape that a change gives to its mask, and what of its side effects is undone. */
import { changeForm, fill } from '../../state/forms.ts'
import type { ChangeForm } from '../../state/requests.ts'
import { project } from '../../state/store.ts'
import { text } from '../../text.ts'
import { NumberField, Switch } from '../../ui/field.tsx'
import { wrong } from '../tasks/parts.tsx'

const put = (part: Partial<ChangeForm>): void => { fill(changeForm, 'change', part) }

export const FINISH_FIELDS = ['mask_grow', 'mask_feather', 'crop_to_mask', 'crop_padding', 'match_colours', 'register']

export const isMasked = (f: ChangeForm): boolean => project.value?.selection != null && f.inside

export function Finish () {
  const f = changeForm.value
  const masked = isMasked(f)
  return (
    <details class='more'>
      <summary>{text.finish.label}</summary>
      <div class='column'>
        <NumberField label={text.finish.grow} value={f.maskGrow} min={-1024} max={1024} unit='px' disabled={!masked} error={wrong('change', 'mask_grow')} onChange={(maskGrow) => { put({ maskGrow }) }} />
        <NumberField label={text.finish.soften} value={f.maskFeather} min={0} max={512} unit='px' disabled={!masked} error={wrong('change', 'mask_feather')} onChange={(maskFeather) => { put({ maskFeather }) }} />
        <Switch label={text.finish.invert} value={f.maskInvert} disabled={!masked} onChange={(maskInvert) => { put({ maskInvert }) }} />
        <Switch label={text.finish.crop} value={f.cropToMask} disabled={!masked} onChange={(cropToMask) => { put({ cropToMask }) }} />
        <Switch label={text.finish.colours} value={f.matchColours} onChange={(matchColours) => { put({ matchColours }) }} />
        <Switch label={text.finish.register} value={f.register} onChange={(register) => { put({ register }) }} />
      </div>
    </details>
  )
}
