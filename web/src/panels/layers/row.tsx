/* row.tsx - one layer of the tree. */
import { ChevronDown, ChevronRight, Eye, EyeOff, Folder, Lock, LockOpen, TriangleAlert } from 'lucide'
import { useEffect, useRef } from 'preact/hooks'
import { assets } from '../../api/client.ts'
import type { Layer } from '../../api/types.ts'
import { rename, setLocked, setVisible } from '../../state/actions/layers.ts'
import type { Row } from '../../state/rows.ts'
import { layers, selectedIds, soloId } from '../../state/store.ts'
import { isShown } from '../../state/tree.ts'
import { text } from '../../text.ts'
import { IconButton } from '../../ui/button.tsx'
import { Cut } from '../../ui/cut.tsx'
import { percent } from '../../ui/format.ts'
import { Icon } from '../../ui/icon.tsx'
import { dragged, drop } from './drag.ts'
import { fold, renaming } from './selection.ts'

const nameOf = (l: Layer): string => l.name || (l.kind === 'group' ? text.newGroup : text.layers.unnamed)

function Thumbnail ({ layer }: { layer: Layer }) {
  if (layer.asset === null) return <span class='layer-thumb folder'><Icon of={Folder} /></span>
  return (
    <span class='layer-thumb checker'>
      <img src={assets.thumb(layer.asset, 64)} alt='' loading='lazy' draggable={false} />
      {layer.kind === 'group' && <span class='layer-badge'><Icon of={Folder} size={12} /></span>}
    </span>
  )
}

function NameField ({ layer }: { layer: Layer }) {
  const ref = useRef<HTMLInputElement>(null)
  useEffect(() => { ref.current?.select() }, [])
  /* Once: a field that goes away loses the focus too. */
  const ended = useRef(false)
  const end = (keep: boolean): void => {
    const name = ref.current?.value.trim()
    if (ended.current || name === undefined) return
    ended.current = true
    renaming.value = null
    if (keep && name !== layer.name) rename(layer.id, name)
  }
  return (
    <input ref={ref} class='layer-rename' aria-label={text.layers.name} defaultValue={layer.name} maxLength={200}
      onBlur={() => { end(true) }}
      onPointerDown={(ev) => { ev.stopPropagation() }}
      onKeyDown={(ev) => {
        ev.stopPropagation()
        if (ev.key !== 'Enter' && ev.key !== 'Escape') return
        const row = ev.currentTarget.closest<HTMLElement>('[role=treeitem]')
        end(ev.key === 'Enter')
        row?.focus()
      }} />
  )
}

/* What stands below the name: what it holds, and how it is blended where that is not the usual. */
function notesOf (layer: Layer, members: number): string {
  return [
    layer.kind === 'group' ? text.layers.members(members) : '', layer.blend_mode === 'normal' ? '' : text.blend[layer.blend_mode],
    layer.opacity < 1 ? percent(layer.opacity) : ''
  ].filter(Boolean).join(' · ')
}

function Name ({ layer, members }: { layer: Layer, members: number }) {
  const name = nameOf(layer)
  const notes = notesOf(layer, members)
  return (
    <span class='layer-name' title={name} onDblClick={() => { renaming.value = layer.id }}>
      <Cut name={name} />
      {notes && <small>{notes}</small>}
    </span>
  )
}

/* What a reader of the screen is told of it. */
function described (layer: Layer): string {
  const says = [nameOf(layer)]
  if (!layer.visible) says.push(text.layers.hidden)
  if (layer.locked) says.push(text.layers.locked)
  if (layer.warning) says.push(layer.warning)
  return says.join(', ')
}

export function LayerRow ({ row, index, focused, onPress, onMenu }: {
  row: Row
  index: number
  focused: boolean
  onPress: (layer: Layer, ev: PointerEvent) => void
  onMenu: (layer: Layer, at: { x: number, y: number }) => void
}) {
  const { layer } = row
  const chosen = selectedIds.value.includes(layer.id)
  const line = drop.value?.row === index && drop.value.where !== 'into' ? drop.value : null
  const group = layer.kind === 'group'
  const classes = ['layer-row', chosen ? 'chosen' : '', isShown(layers.value, layer) ? '' : 'dimmed',
    dragged.value.includes(layer.id) ? 'dragged' : '', drop.value?.where === 'into' && drop.value.parent === layer.id ? 'target' : '']
  return (
    <div class={classes.join(' ')} role='treeitem' data-layer={layer.id} aria-label={described(layer)} aria-level={row.depth + 1}
      aria-selected={chosen} aria-expanded={group ? row.open : undefined} tabIndex={focused ? 0 : -1}
      style={{ paddingLeft: `${4 + 16 * Math.min(row.depth, 8)}px` }}
      onPointerDown={(ev) => { if (ev.button === 0) onPress(layer, ev) }}
      onContextMenu={(ev) => { ev.preventDefault(); onMenu(layer, { x: ev.clientX, y: ev.clientY }) }}>
      {group
        ? <IconButton class='small fold' label={row.open ? text.layers.fold : text.layers.unfold} icon={row.open ? ChevronDown : ChevronRight} onClick={() => { fold(layer.id, row.open) }} />
        : <span class='fold' />}
      <IconButton class='small' label={layer.visible ? text.layers.hide : text.layers.show} icon={layer.visible ? Eye : EyeOff}
        pressed={soloId.value === layer.id} onClick={() => { setVisible([layer.id], !layer.visible) }} />
      <Thumbnail layer={layer} />
      {layer.mask && <span class='layer-thumb mask'><img src={assets.thumb(layer.mask, 64)} alt={text.layers.mask} draggable={false} /></span>}
      {renaming.value === layer.id ? <NameField layer={layer} /> : <Name layer={layer} members={row.members} />}
      {layer.warning && <span class='layer-warning' title={layer.warning}><Icon of={TriangleAlert} /></span>}
      <IconButton class={`small lock ${layer.locked ? '' : 'faint'}`} label={layer.locked ? text.layers.unlock : text.layers.lock}
        icon={layer.locked ? Lock : LockOpen} onClick={() => { setLocked([layer.id], !layer.locked) }} />
      {line && <span class={`drop-line ${line.where}`} />}
    </div>
  )
}
