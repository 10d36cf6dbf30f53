/* commands.ts - commands of the canvas; tools register their own. */
import { effect } from '@preact/signals'
import { copyImage, cutImage } from '../state/actions/clipboard.ts'
import { nudge } from '../state/actions/layers.ts'
import { prefer } from '../state/actions/machine.ts'
import { register, type Command } from '../state/commands.ts'
import { newId } from '../state/ids.ts'
import { activeLayer, candidate, compareGroup, comparison, preferences, project, selectedIds, view, type ViewOptions } from '../state/store.ts'
import { text } from '../text.ts'
import { fit, zoomStep, zoomTo } from './viewport.ts'

const open = (): boolean => project.value !== null

function toggle (name: keyof ViewOptions): void {
  view.value = { ...view.value, [name]: !view.value[name] }
}

/* Whether rulers are shown is a preference: kept by the server. */
export function followRulers (): () => void {
  return effect(() => {
    const { rulers } = preferences.value
    if (view.peek().rulers !== rulers) view.value = { ...view.peek(), rulers }
  })
}

/* ---- nudging: one undo step for a burst ------------------------------------------------------------------ */

const BURST_MS = 900
let burst = { name: newId('n'), at: 0, ids: '' }

function nudgeBy (dx: number, dy: number): void {
  const ids = selectedIds.value
  const now = performance.now()
  const same = now - burst.at < BURST_MS && burst.ids === ids.join()
  burst = { name: same ? burst.name : newId('n'), at: now, ids: ids.join() }
  nudge(ids, dx, dy, burst.name)
}

/* Arrows belong to lists and fields where one has the focus. */
function takesArrows (): boolean {
  const on = document.activeElement
  return project.value !== null && selectedIds.value.length > 0 && (on === null || on === document.body || on.closest('.canvas') !== null)
}

const ARROWS = [['ArrowLeft', -1, 0], ['ArrowRight', 1, 0], ['ArrowUp', 0, -1], ['ArrowDown', 0, 1]] as const

function nudges (): Command[] {
  return ARROWS.flatMap(([key, dx, dy]) => [1, 10].map((by) => ({
    id: `layer.nudge.${key}.${by}`, title: text.canvas.nudge[key](by), keys: [by === 1 ? key : `Shift+${key}`], group: text.groups.layers,
    enabled: takesArrows, run: () => { nudgeBy(by * dx, by * dy) }
  })))
}

/* ---- a group beside the image that it was taken apart from ------------------------------------------------ */

function comparable (): boolean {
  const l = activeLayer.value
  return compareGroup.value !== null || (candidate.value === null && l?.kind === 'group' && l.asset !== null)
}

export function compareSource (): void {
  const off = compareGroup.value !== null
  compareGroup.value = off ? null : activeLayer.value?.id ?? null
  comparison.value = off ? 'off' : 'curtain'
}

/* Words that are selected on the page are copied as words. */
const copyable = (): boolean => open() && (project.value?.layers.length ?? 0) > 0 && (getSelection()?.isCollapsed ?? true)

export function registerCanvasCommands (): void {
  const group = text.groups.view
  register(
    { id: 'view.fit', title: text.commands.fit, keys: ['0', 'Ctrl+0'], group, enabled: open, run: fit },
    { id: 'view.actual', title: text.commands.actual, keys: ['1', 'Ctrl+1'], group, enabled: open, run: () => { zoomTo(1) } },
    { id: 'view.double', title: text.commands.double, group, enabled: open, run: () => { zoomTo(2) } },
    { id: 'view.in', title: text.commands.zoomIn, keys: ['+', '=', 'Ctrl++', 'Ctrl+='], group, enabled: open, run: () => { zoomStep(1) } },
    { id: 'view.out', title: text.commands.zoomOut, keys: ['-', 'Ctrl+-'], group, enabled: open, run: () => { zoomStep(-1) } },
    { id: 'view.grid', title: text.canvas.grid, group, enabled: open, run: () => { toggle('grid') } },
    { id: 'view.rulers', title: text.canvas.rulers, keys: ['Shift+R'], group, enabled: open, run: () => { prefer({ rulers: !preferences.value.rulers }) } },
    { id: 'view.snap', title: text.canvas.snap, group, enabled: open, run: () => { toggle('snap') } },
    { id: 'view.compareSource', title: text.canvas.compareSource, group, enabled: comparable, run: compareSource },
    { id: 'image.copy', title: text.canvas.copy, keys: ['Ctrl+C'], group: text.groups.edit, enabled: copyable, run: copyImage },
    { id: 'image.cut', title: text.commands.cut, keys: ['Ctrl+X'], group: text.groups.edit, enabled: () => copyable() && selectedIds.value.length > 0, run: cutImage },
    ...nudges()
  )
}
