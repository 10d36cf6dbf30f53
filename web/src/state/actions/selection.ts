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

/* ---- on its way ------------------------------------------------------------------------------------------ */

let writing: Promise<unknown> = Promise.resolve()

/* Says that the selection is about to become what `work` stores. */
export function holdFor<T> (work: Promise<T>): Promise<T> {
  writing = Promise.allSettled([writing, work])
  return work
}

/* Ends when the project has the selection that is seen. */
export async function settled (): Promise<void> {
  await writing
}
