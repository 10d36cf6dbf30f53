/* mask.tsx - what a change applies to: the project's mask, small, and what can be done to it as a whole. */
import { Blend, Brush, Contrast, Layers2, Maximize2, Minimize2, Trash2 } from 'lucide'
import { assets } from '../../api/client.ts'
import { featherSelection, growSelection, invertSelection, selectAlpha } from '../../canvas/mask/selection.ts'
import { clear } from '../../state/actions/selection.ts'
import { attempt } from '../../state/actions/toasts.ts'
import { commands, register, run } from '../../state/commands.ts'
import { changeForm, fill } from '../../state/forms.ts'
import { activeLayer, hasSelection, project, tool } from '../../state/store.ts'
import { text } from '../../text.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { Switch } from '../../ui/field.tsx'
import { Icon } from '../../ui/icon.tsx'
import { MenuButton, type MenuItem } from '../../ui/menu.tsx'
import { wrong } from '../tasks/parts.tsx'

const STEP = 8
const some = (): boolean => hasSelection.value
const layered = (): boolean => activeLayer.value?.kind === 'image' && activeLayer.value.asset !== null
const group = text.groups.masks

register(
  { id: 'mask.invert', title: text.mask.invert, keys: ['Ctrl+Shift+I'], group, enabled: () => project.value !== null, run: async () => await attempt(invertSelection) },
  { id: 'mask.clear', title: text.mask.clear, keys: ['Ctrl+Shift+A'], group, enabled: some, run: clear },
  { id: 'mask.grow', title: text.mask.grow(STEP), group, enabled: some, run: async () => await attempt(async () => { await growSelection(STEP) }) },
  { id: 'mask.shrink', title: text.mask.shrink(STEP), group, enabled: some, run: async () => await attempt(async () => { await growSelection(-STEP) }) },
  { id: 'mask.feather', title: text.mask.feather(STEP), group, enabled: some, run: async () => await attempt(async () => { await featherSelection(STEP) }) },
  {
    id: 'mask.alpha', title: text.mask.alpha, group, enabled: layered,
    run: async () => await attempt(async () => { if (activeLayer.value) await selectAlpha(activeLayer.value) })
  }
)

function itemsOf (...ids: [string, MenuIcon][]): MenuItem[] {
  return ids.map(([id, icon]) => {
    const c = commands.value.get(id)
    return { label: c?.title ?? id, keys: c?.keys?.[0], icon, disabled: !(c?.enabled?.() ?? true), run: () => { run(id) } }
  })
}
type MenuIcon = typeof Blend

function Empty () {
  return (
    <div class='mask-empty'>
      <p class='secondary'>{text.mask.hint}</p>
      <div class='row'>
        {commands.value.has('tool.brush') && <Button icon={Brush} onClick={() => { tool.value = 'brush' }}>{text.mask.paint}</Button>}
        {layered() && <Button icon={Layers2} onClick={() => { run('mask.alpha') }}>{text.mask.alpha}</Button>}
      </div>
    </div>
  )
}

export function MaskField () {
  const id = project.value?.selection
  const error = wrong('change', 'mask')
  return (
    <div class='field-group' role='group' aria-label={text.mask.label}>
      <span class='segmented-label'>{text.mask.label}</span>
      {id
        ? (
          <div class='mask-row'>
            <img class='mask-thumb' src={assets.thumb(id, 96)} alt={text.mask.shown} />
            <Switch label={text.mask.inside} value={changeForm.value.inside} onChange={(inside) => { fill(changeForm, 'change', { inside }) }} />
            <IconButton label={text.mask.invert} icon={Contrast} onClick={() => { run('mask.invert') }} />
            <IconButton label={text.mask.clear} icon={Trash2} onClick={() => { run('mask.clear') }} />
            <MenuButton label={text.mask.more} class='icon-button' items={() => itemsOf(['mask.grow', Maximize2], ['mask.shrink', Minimize2], ['mask.feather', Blend], ['mask.alpha', Layers2])}>
              <Icon of={Blend} />
            </MenuButton>
          </div>
          )
        : <Empty />}
      {error && <small class='field-error' role='alert'>{error}</small>}
    </div>
  )
}
