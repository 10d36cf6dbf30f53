/* mask.tsx - what a change applies to: the project's mask, small, and what can be done to it as a whole. */
import { Blend, Brush, Contrast, Ellipsis, Layers2, Maximize2, Minimize2, Trash2 } from 'lucide'
import { assets } from '../../api/client.ts'
import { commands, isEnabled, run } from '../../state/commands.ts'
import { changeForm, fill } from '../../state/forms.ts'
import { project } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { Switch } from '../../ui/field.tsx'
import { Icon } from '../../ui/icon.tsx'
import { MenuButton, type MenuItem } from '../../ui/menu.tsx'
import { wrong } from '../tasks/parts.tsx'

const MORE = [['mask.grow', Maximize2], ['mask.shrink', Minimize2], ['mask.feather', Blend], ['mask.fromLayer', Layers2]] as const

function items (): MenuItem[] {
  return MORE.flatMap(([id, icon]) => {
    const c = commands.value.get(id)
    return c ? [{ label: c.title, keys: c.keys?.[0], icon, disabled: !isEnabled(c), run: () => { run(id) } }] : []
  })
}

function Empty () {
  const fromLayer = commands.value.get('mask.fromLayer')
  return (
    <div class='mask-empty compact'>
      <p class='secondary'>{text.mask.hint}</p>
      <div class='row'>
        <Button icon={Brush} onClick={() => { run('tool.brush') }}>{text.mask.paint}</Button>
        {fromLayer && isEnabled(fromLayer) && <Button icon={Layers2} onClick={() => { run('mask.fromLayer') }}>{text.mask.fromLayer}</Button>}
      </div>
    </div>
  )
}

export function MaskField () {
  const id = project.value?.selection
  const error = wrong('change', 'mask')
  return (
    <div class='field-group' role='group' aria-label={text.mask.label}>
      <span class='field-group-label'>{text.mask.label}</span>
      {id
        ? (
          <div class='mask-row'>
            <img class='mask-thumb' src={assets.thumb(id, 96)} alt={text.mask.shown} />
            <Switch label={text.mask.inside} value={changeForm.value.inside} onChange={(inside) => { fill(changeForm, 'change', { inside }) }} />
            <IconButton label={text.masks.invert} icon={Contrast} onClick={() => { run('mask.invert') }} />
            <IconButton label={text.masks.clear} icon={Trash2} onClick={() => { run('mask.clear') }} />
            <MenuButton label={text.mask.more} class='icon-button' items={items}><Icon of={Ellipsis} /></MenuButton>
          </div>
          )
        : <Empty />}
      {error && <small class='field-error' role='alert'>{error}</small>}
    </div>
  )
}
