/* commands.ts - commands of the canvas; tools register their own. */
import { register } from '../state/commands.ts'
import { project, view, type ViewOptions } from '../state/store.ts'
import { text } from '../text.ts'
import { fit, zoomStep, zoomTo } from './viewport.ts'

const open = (): boolean => project.value !== null

function toggle (name: keyof ViewOptions): void {
  view.value = { ...view.value, [name]: !view.value[name] }
}

export function registerCanvasCommands (): void {
  const group = text.groups.view
  register(
    { id: 'view.fit', title: text.commands.fit, keys: ['0', 'Ctrl+0'], group, enabled: open, run: fit },
    { id: 'view.actual', title: text.commands.actual, keys: ['1', 'Ctrl+1'], group, enabled: open, run: () => { zoomTo(1) } },
    { id: 'view.double', title: text.commands.double, group, enabled: open, run: () => { zoomTo(2) } },
    { id: 'view.in', title: text.commands.zoomIn, keys: ['+', '=', 'Ctrl++', 'Ctrl+='], group, enabled: open, run: () => { zoomStep(1) } },
    { id: 'view.out', title: text.commands.zoomOut, keys: ['-', 'Ctrl+-'], group, enabled: open, run: () => { zoomStep(-1) } },
    { id: 'view.grid', title: text.canvas.grid, group, enabled: open, run: () => { toggle('grid') } }
  )
}
