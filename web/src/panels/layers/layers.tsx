/* layers.tsx - the tree of layers, top first, with what can be done to the chosen ones. */
import { CopyPlus, Ellipsis, Folder, Layers2, Trash2 } from 'lucide'
import { useEffect, useRef, useState } from 'preact/hooks'
import { BLEND_MODES, type BlendMode, type Layer } from '../../api/types.ts'
import { select, setBlend, setOpacity } from '../../state/actions/layers.ts'
import { commands, isEnabled, run } from '../../state/commands.ts'
import { rowsOf, type Row } from '../../state/rows.ts'
import { folded, layers, selectedIds, selectedLayers } from '../../state/store.ts'
import { find } from '../../state/tree.ts'
import { text } from '../../text.ts'
import { IconButton } from '../../ui/button.tsx'
import { Select, Slider } from '../../ui/field.tsx'
import { percent } from '../../ui/format.ts'
import { Icon } from '../../ui/icon.tsx'
import { Menu, MenuButton, type MenuItem } from '../../ui/menu.tsx'
import { ToMake } from '../tasks/parts.tsx'
import './commands.ts'
import { follow, ROW } from './drag.ts'
import './layers.css'
import { LayerRow } from './row.tsx'
import { choose, focusedId, fold, renaming } from './selection.ts'

/* Up to here all rows are in the page; beyond, those that are seen and some around them. */
const ALL = 80
const AROUND = 12

const SECTIONS = [
  ['layer.rename', 'layer.duplicate', 'layer.group', 'layer.ungroup'], ['layer.mergeDown', 'layer.merge'], ['layer.reassemble', 'view.compareSource'],
  ['layer.trim', 'layer.clean', 'layer.raise', 'layer.lower'], ['layer.solo', 'layer.visible', 'layer.lock'], ['layer.remove']
]

function menuItems (): MenuItem[] {
  const item = (id: string): MenuItem[] => {
    const c = commands.value.get(id)
    return c ? [{ label: c.title, keys: c.keys?.[0], disabled: !isEnabled(c), danger: id === 'layer.remove', run: () => { run(id) } }] : []
  }
  return SECTIONS.flatMap((ids, i) => [...(i > 0 ? ['line' as const] : []), ...ids.flatMap(item)])
}

function CommandButton ({ id, icon }: { id: string, icon: Parameters<typeof IconButton>[0]['icon'] }) {
  const c = commands.value.get(id)
  return c ? <IconButton label={c.title} keys={c.keys?.[0]} icon={icon} disabled={!isEnabled(c)} onClick={() => { run(id) }} /> : null
}

/* Opacity and blend mode of the chosen layers. */
function Properties () {
  const chosen = selectedLayers.value
  const first = chosen[0]
  const ids = chosen.map((l) => l.id)
  return (
    <div class='layer-properties'>
      <Select label={text.layers.blend} hideLabel value={first?.blend_mode ?? 'normal'} disabled={!first}
        options={BLEND_MODES.map((m) => ({ value: m, label: text.blend[m] }))}
        onChange={(m: BlendMode) => { setBlend(ids, m) }} />
      <Slider label={text.layers.opacity} value={first?.opacity ?? 1} format={percent} disabled={!first}
        onChange={(v, gesture) => { setOpacity(ids, v, gesture) }} />
    </div>
  )
}

function Empty () {
  return (
    <div class='empty'>
      <p>{text.layers.empty}</p>
      <ToMake />
    </div>
  )
}

function useWindow (n: number, list: { current: HTMLDivElement | null }): [number, number] {
  const [top, setTop] = useState(0)
  useEffect(() => {
    const el = list.current
    if (!el || n <= ALL) return
    const scrolled = (): void => { setTop(el.scrollTop) }
    el.addEventListener('scroll', scrolled, { passive: true })
    return () => { el.removeEventListener('scroll', scrolled) }
  }, [n > ALL])
  if (n <= ALL) return [0, n]
  const seen = Math.ceil((list.current?.clientHeight ?? 600) / ROW)
  const from = Math.max(0, Math.floor(top / ROW) - AROUND)
  return [from, Math.min(n, from + seen + 2 * AROUND)]
}

function arrows (ev: KeyboardEvent, rows: Row[], focus: string | null, list: HTMLElement): void {
  const at = rows.findIndex((r) => r.layer.id === focus)
  const row = rows[at]
  const goTo = (to: number): void => {
    const next = rows[Math.min(rows.length - 1, Math.max(0, to))]
    if (!next) return
    choose(rows, next.layer.id, { shiftKey: ev.shiftKey, ctrlKey: false, metaKey: false })
    list.scrollTop = Math.min(Math.max(list.scrollTop, (to + 1) * ROW - list.clientHeight), to * ROW)
    requestAnimationFrame(() => { list.querySelector<HTMLElement>(`[data-layer='${next.layer.id}']`)?.focus() })
  }
  if (ev.ctrlKey || ev.metaKey || ev.altKey || ev.target instanceof HTMLInputElement) return
  if (ev.key === 'ArrowDown') goTo(at + 1)
  else if (ev.key === 'ArrowUp') goTo(at < 0 ? 0 : at - 1)
  else if (ev.key === 'Home') goTo(0)
  else if (ev.key === 'End') goTo(rows.length - 1)
  else if (ev.key === 'ArrowRight' && row?.layer.kind === 'group') row.open ? goTo(at + 1) : fold(row.layer.id, false)
  else if (ev.key === 'ArrowLeft' && row?.layer.kind === 'group' && row.open) fold(row.layer.id, true)
  else if (ev.key === 'ArrowLeft' && row?.layer.parent) goTo(rows.findIndex((r) => r.layer.id === row.layer.parent))
  else if (ev.key === 'Enter' && row) renaming.value = row.layer.id
  else return
  ev.preventDefault()
  ev.stopPropagation()
}

function Tree () {
  const list = useRef<HTMLDivElement>(null)
  const [menu, setMenu] = useState<{ x: number, y: number } | null>(null)
  const rows = rowsOf(layers.value, folded.value)
  const [from, to] = useWindow(rows.length, list)
  const focus = rows.some((r) => r.layer.id === focusedId.value) ? focusedId.value : selectedIds.value[0] ?? rows[0]?.layer.id ?? null
  const press = (layer: Layer, ev: PointerEvent): void => {
    if (ev.target instanceof Element && ev.target.closest('button, input')) return
    if (!selectedIds.value.includes(layer.id) || ev.shiftKey || ev.ctrlKey || ev.metaKey) choose(rows, layer.id, ev)
    else {
      focusedId.value = layer.id
      window.addEventListener('click', () => { if (!ev.shiftKey) select([layer.id]) }, { once: true })
    }
    if (list.current && ev.pointerType !== 'touch') follow(ev, list.current, () => rowsOf(layers.value, folded.value), () => selectedIds.value)
  }
  return (
    <>
      <div ref={list} class='layer-list' role='tree' aria-label={text.layers.tree} aria-multiselectable='true'
        onKeyDown={(ev) => { if (list.current) arrows(ev, rows, focus, list.current) }}
        onPointerDown={(ev) => { if (ev.target === list.current) select([]) }}>
        <div class='layer-space' role='none' style={{ height: `${from * ROW}px` }} />
        {rows.slice(from, to).map((row, i) => (
          <LayerRow key={row.layer.id} row={row} index={from + i} focused={row.layer.id === focus} onPress={press}
            onMenu={(layer, at) => {
              if (!selectedIds.value.includes(layer.id)) choose(rows, layer.id, { shiftKey: false, ctrlKey: false, metaKey: false })
              setMenu(at)
            }} />
        ))}
        <div class='layer-space' role='none' style={{ height: `${(rows.length - to) * ROW}px` }} />
      </div>
      {menu && <Menu items={menuItems()} at={menu} label={text.layers.menu} onClose={() => { setMenu(null) }} />}
    </>
  )
}

export function Layers () {
  const n = layers.value.length
  /* What was chosen may be gone: undone, or deleted in another window. */
  useEffect(() => {
    if (selectedIds.value.some((id) => !find(layers.value, id))) select(selectedIds.value.filter((id) => find(layers.value, id)))
  }, [layers.value])
  return (
    <section class='panel layers-panel' aria-label={text.layers.title}>
      <div class='panel-title'>
        <h2>{text.layers.title}</h2>
        <div class='row'>
          <CommandButton id='layer.group' icon={Folder} />
          <CommandButton id='layer.duplicate' icon={CopyPlus} />
          <CommandButton id='layer.mergeDown' icon={Layers2} />
          <CommandButton id='layer.remove' icon={Trash2} />
          <MenuButton label={text.layers.menu} items={menuItems} class='icon-button'><Icon of={Ellipsis} /></MenuButton>
        </div>
      </div>
      {n > 0 && <Properties />}
      {n > 0 ? <Tree /> : <Empty />}
    </section>
  )
}
