/* tool.ts - what a tool is: the seam between the canvas' pointers and what is done with them.
 *
 *     registerTool({ id: 'brush', key: 'B', label, icon, cursor: () => 'none', down: (p) => gesture, Overlay, Options })
 *
 * A registered tool is in the rail and has its key. `down` answers with the gesture that the pointer began, or null when it
 * began nothing. One gesture is one undo point: show what happens with draft.ts or veil.ts and call `change` once, in
 * `up`. `cancel` (Escape, a second finger) puts everything back. Other keys of a tool are commands. */
import { signal } from '@preact/signals'
import type { IconNode } from 'lucide'
import type { ComponentType } from 'preact'
import { register } from '../../state/commands.ts'
import { project, taskPanel, tool, type Tool as ToolName } from '../../state/store.ts'
import { text } from '../../text.ts'
import type { Point } from '../../state/matrix.ts'

export interface Pointer extends Point { // canvas pixels, not rounded
  screen: Point // CSS pixels of the canvas area
  pressure: number // 0 to 1; a mouse has 0.5
  pen: boolean
  touch: boolean
  shift: boolean
  alt: boolean
  ctrl: boolean
  /* Where the pointer was since the last event, oldest first, ending with this one; for smooth strokes. */
  trail: { x: number, y: number, pressure: number }[]
}

export interface Gesture {
  move: (p: Pointer) => void
  up: (p: Pointer) => void
  cancel: () => void
}

export interface Tool {
  id: ToolName
  key: string
  label: string
  icon: IconNode
  /* A CSS cursor; `p` is null before the pointer came. */
  cursor: (p: Pointer | null) => string
  down: (p: Pointer) => Gesture | null
  /* The pointer moves with no button pressed; null: it has left. */
  hover?: (p: Pointer | null) => void
  /* Another tool is chosen, or this one. */
  leave?: () => void
  enter?: () => void
  /* SVG over the canvas, in CSS pixels of the area (viewport.ts converts). */
  Overlay?: ComponentType
  /* Its fields in the bar over the canvas. */
  Options?: ComponentType
}

export const tools = signal<ReadonlyMap<ToolName, Tool>>(new Map())
/* In the order of the rail. */
export const ORDER: ToolName[] = ['move', 'hand', 'brush', 'eraser', 'lasso', 'rectangle', 'wand', 'crop', 'zoom']

export const activeTool = (): Tool | null => tools.value.get(tool.value) ?? null

export function chooseTool (id: ToolName): void {
  if (tool.value === id) return
  activeTool()?.leave?.()
  tool.value = id
  activeTool()?.enter?.()
}

/* A mask says where a change applies: its tools show the panel of changes. */
export function forMasks (): void {
  if ((project.value?.layers.length ?? 0) > 0) taskPanel.value = 'change'
}

export function registerTool (t: Tool): void {
  tools.value = new Map(tools.value).set(t.id, t)
  register({ id: `tool.${t.id}`, title: t.label, keys: [t.key], group: text.groups.tools, run: () => { chooseTool(t.id) } })
}
