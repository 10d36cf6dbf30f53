/* selection.ts - what a change applies to: grey levels over the canvas, white is changed. Kept with the project. */
import { text } from '../../text.ts'
import { change } from '../save.ts'
import { project } from '../store.ts'

export function setFromAsset (id: string, gesture: string | null = null): void {
  change({ selection: id }, text.undo.selection, gesture)
}

export function clear (): void {
  if (project.value?.selection != null) change({ selection: null }, text.undo.selection)
}
