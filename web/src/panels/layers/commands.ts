/* commands.ts - what can be done to the chosen layers: for keys, the palette and the menu. */
import * as act from '../../state/actions/layers.ts'
import { register, type Command } from '../../state/commands.ts'
import { layers, selectedIds, selectedLayers, soloId } from '../../state/store.ts'
import { childrenOf, find } from '../../state/tree.ts'
import { text } from '../../text.ts'
import { renaming } from './selection.ts'

const ids = (): string[] => selectedIds.value
const some = (): boolean => selectedLayers.value.length > 0
const one = (): boolean => selectedLayers.value.length === 1
const first = (): string => ids()[0] ?? ''
const allImages = (): boolean => some() && selectedLayers.value.every((l) => l.kind === 'image')

function siblingsOfFirst () {
  const l = find(layers.value, first())
  const siblings = l ? childrenOf(layers.value, l.parent) : []
  return { parent: l?.parent ?? null, siblings, at: siblings.findIndex((s) => s.id === l?.id) }
}

function reorder (by: 1 | -1): void {
  const { parent, at } = siblingsOfFirst()
  act.moveLayers([first()], parent, by > 0 ? at + 2 : at - 1)
}

const hasBelow = (): boolean => one() && siblingsOfFirst().at > 0
const hasAbove = (): boolean => one() && siblingsOfFirst().at < siblingsOfFirst().siblings.length - 1
const madeGroup = (): boolean => one() && selectedLayers.value[0]?.kind === 'group' && selectedLayers.value[0].asset !== null

const t = text.layers
const list: Omit<Command, 'group'>[] = [
  { id: 'layer.rename', title: t.rename, keys: ['F2'], enabled: one, run: () => { renaming.value = first() } },
  { id: 'layer.duplicate', title: text.commands.duplicate, keys: ['Ctrl+J'], enabled: some, run: () => { act.duplicateLayers(ids()) } },
  { id: 'layer.group', title: text.commands.group, keys: ['Ctrl+G'], enabled: some, run: () => { act.groupLayers(ids()) } },
  { id: 'layer.ungroup', title: text.commands.ungroup, keys: ['Ctrl+Shift+G'], enabled: () => selectedLayers.value.some((l) => l.kind === 'group'), run: () => { act.ungroupLayers(ids()) } },
  { id: 'layer.mergeDown', title: text.commands.mergeDown, keys: ['Ctrl+E'], enabled: hasBelow, run: async () => { await act.mergeDown(first()) } },
  { id: 'layer.merge', title: t.merge, keys: ['Ctrl+Shift+E'], enabled: () => ids().length > 1 || selectedLayers.value[0]?.kind === 'group', run: async () => { await act.mergeLayers(ids()) } },
  { id: 'layer.reassemble', title: t.reassemble, enabled: madeGroup, run: () => { act.reassemble(first()) } },
  { id: 'layer.trim', title: t.trim, enabled: allImages, run: async () => { await act.trimLayers(ids()) } },
  { id: 'layer.clean', title: t.clean, enabled: allImages, run: async () => { await act.cleanLayers(ids()) } },
  { id: 'layer.raise', title: t.raise, keys: ['Ctrl+]'], enabled: hasAbove, run: () => { reorder(1) } },
  { id: 'layer.lower', title: t.lower, keys: ['Ctrl+['], enabled: hasBelow, run: () => { reorder(-1) } },
  { id: 'layer.solo', title: t.solo, enabled: one, run: () => { soloId.value = soloId.value === first() ? null : first() } },
  { id: 'layer.visible', title: t.toggleVisible, enabled: some, run: () => { act.setVisible(ids(), !selectedLayers.value.every((l) => l.visible)) } },
  { id: 'layer.lock', title: t.toggleLock, enabled: some, run: () => { act.setLocked(ids(), !selectedLayers.value.every((l) => l.locked)) } },
  { id: 'layer.selectAll', title: text.commands.selectAll, keys: ['Ctrl+A'], enabled: () => layers.value.length > 0, run: () => { act.select(layers.value.map((l) => l.id)) } },
  { id: 'layer.remove', title: text.commands.remove, keys: ['Delete', 'Backspace'], enabled: some, run: () => { act.removeLayers(ids()) } }
]

register(...list.map((c) => ({ ...c, group: text.groups.layers })))
